"""What comes from an origin, handed on.

Owns what a passed answer's head becomes, and how a body flows: as it comes, or in pieces of the
size that is asked for. Never stores. RFC 9110 section 7.6.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator

from skerry.base.digest import Hasher
from skerry.cdn.core.hops import end_to_end
from skerry.cdn.core.status import ProxyError, ProxyStatus
from skerry.cdn.core.storing import refusal
from skerry.cdn.ports import RoutePolicy
from skerry.upstream.ports import Cause, Exchange, TransportError, Trouble, Unavailable
from skerry.wire.message import Answer, BodyAborted, Headers, Interim, Request

RETRY_SECONDS = 5

_ERRORS = {
    Trouble.DNS: ProxyError.DNS_ERROR,
    Trouble.REFUSED: ProxyError.CONNECTION_REFUSED,
    Trouble.CONNECT_TIMEOUT: ProxyError.CONNECTION_TIMEOUT,
    Trouble.TLS: ProxyError.TLS_PROTOCOL_ERROR,
    Trouble.FIRST_BYTE_TIMEOUT: ProxyError.HTTP_RESPONSE_TIMEOUT,
    Trouble.STALL: ProxyError.CONNECTION_READ_TIMEOUT,
    Trouble.CUT: ProxyError.HTTP_RESPONSE_INCOMPLETE,
    Trouble.PROTOCOL: ProxyError.HTTP_PROTOCOL_ERROR,
    Trouble.WRONG_CONTENT: ProxyError.HTTP_PROTOCOL_ERROR,
    Trouble.TOO_LARGE: ProxyError.HTTP_RESPONSE_BODY_SIZE,
    Trouble.BREAKER_OPEN: ProxyError.DESTINATION_UNAVAILABLE,
    Trouble.RATE_LIMITED: ProxyError.DESTINATION_UNAVAILABLE,
    Trouble.BUDGET: ProxyError.CONNECTION_LIMIT_REACHED,
    Trouble.FORBIDDEN_ADDRESS: ProxyError.DESTINATION_IP_PROHIBITED,
}


async def passed(request: Request, exchange: Exchange) -> Answer:
    """The origin's answer for the one who asked; its body flows as the client takes it."""
    headers = end_to_end(exchange.headers)
    if request.method == "HEAD" or exchange.status in (204, 304):
        await exchange.close()
        return Answer(exchange.status, headers)
    return Answer(exchange.status, headers, Flow(exchange))


def hints(request: Request) -> Interim | None:
    """What takes an origin's 1xx answers on to the client that asked, and to nobody else.

    Whoever waits for the same answer gets none: only a whole head tells whether it may be shared.
    """
    send = request.interim
    if send is None:
        return None
    return lambda status, headers: send(status, end_to_end(headers))


def proxy_status(error: Unavailable) -> ProxyStatus:
    """What RFC 9209 calls it: the last server's trouble stands for all."""
    if not error.causes:
        return ProxyStatus(ProxyError.DESTINATION_UNAVAILABLE)
    cause = error.causes[-1]
    kind = _ERRORS.get(cause.trouble, ProxyError.PROXY_INTERNAL_ERROR)
    return ProxyStatus(kind, next_hop=cause.source)


def broke_its_promise(origin: str) -> Unavailable:
    """A body that is not what the digest in its own head says (RFC 9530): nobody gets it."""
    what = "sent something else than its digest says"
    cause = Cause(origin, Trouble.WRONG_CONTENT, what)
    return Unavailable(origin, (cause,), retry_after_seconds=RETRY_SECONDS)


def has_body(headers: Headers) -> bool:
    """Whether a request brings a body (RFC 9112 section 6.3)."""
    length = (headers.get("Content-Length") or "0").strip()
    return "Transfer-Encoding" in headers or length != "0"


class Flow:
    """A body on its way from the origin to one client. Closing it lets the connection go, also
    when nobody began to read, which a generator's `finally` would sleep through."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._chunks: AsyncIterator[bytes] | None = None

    def __aiter__(self) -> Flow:
        return self

    async def __anext__(self) -> bytes:
        if self._chunks is None:
            self._chunks = self._exchange.chunks()
        try:
            return await anext(self._chunks)
        except TransportError as error:
            raise BodyAborted(str(error)) from error

    async def aclose(self) -> None:
        if isinstance(self._chunks, AsyncGenerator):
            await self._chunks.aclose()
        await self._exchange.close()


class Pieces:
    """An exchange's body in pieces of any size; `hasher` is shown all of it.

    Raises TransportError when it ends too soon.
    """

    def __init__(self, exchange: Exchange, hasher: Hasher | None = None) -> None:
        self._chunks = exchange.chunks()
        self._rest = b""
        self._hasher = hasher

    async def take(self, bytes_max: int) -> bytes:
        while not self._rest:
            try:
                self._rest = await anext(self._chunks)
            except StopAsyncIteration:
                raise TransportError(Trouble.CUT, "ended before its length") from None
            if self._hasher is not None:
                self._hasher.update(self._rest)
        taken, self._rest = self._rest[:bytes_max], self._rest[bytes_max:]
        return taken

    async def skip(self, count: int) -> None:
        while count > 0:
            count -= len(await self.take(count))


def part_of_storable(request: Request, policy: RoutePolicy, exchange: Exchange) -> bool:
    """Whether an answer with a part tells that the whole may be stored."""
    if exchange.status != 206 or "If-Range" in request.headers:
        return False
    return refusal(request, 206, exchange.headers, policy, parts=True) is None
