"""The `Transport` in memory.

Promise: it gives exactly the faults that `Scripted` can say, each at the place it says: refused
before anything, silent before the head, cut or stalled after a number of body bytes, bytes of the
script's choosing. It dials by the same rules as the real one (`core.guard`), with `names` for DNS.
It never reorders, duplicates or alters a byte that the script did not.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from skerry.upstream.core.guard import literal, may_dial, origin_of
from skerry.upstream.ports import Dial, TransportError, Trouble
from skerry.wire.message import Duplex, Headers, Interim


@dataclass(frozen=True, slots=True)
class Scripted:
    """One answer or fault.

    Attributes:
        trouble: raised instead of an answer.
        hang: never answers; ends only by cancellation.
        cut_after: the body breaks off after so many bytes.
        stall_after: the body falls silent after so many bytes.
        chunk_bytes: how the body is cut up.
        interim: 1xx answers, given before the head.
        duplex: what a 101 switches to.
        before_chunk: called before each chunk; the place to move a clock on.
    """

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    trouble: Trouble | None = None
    hang: bool = False
    cut_after: int | None = None
    stall_after: int | None = None
    chunk_bytes: int = 65536
    interim: tuple[tuple[int, tuple[tuple[str, str], ...]], ...] = ()
    duplex: Duplex | None = None
    before_chunk: Callable[[], None] | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """One request as it left the node."""

    method: str
    url: str
    headers: Headers
    dial: Dial
    body: bytes = b""

    @property
    def host(self) -> str:
        origin = origin_of(self.url)
        return origin.host if origin is not None else ""


Answering = Callable[[Seen], Scripted]


@dataclass
class MemoryTransport:
    """Scripts by URL (without its query); the last entry of a script repeats.

    Attributes:
        seen: every request, in order; a refused address is never among them.
        names: what DNS says; other names are public.
        open_exchanges: answers not yet closed or read to their end.
    """

    names: dict[str, str] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    open_exchanges: int = 0
    closed: bool = False
    _scripts: dict[str, list[Scripted]] = field(default_factory=dict)
    _answering: dict[str, Answering] = field(default_factory=dict)

    def on(self, url: str, *script: Scripted) -> None:
        """Answers requests to a URL, one after the other."""
        self._scripts[url] = list(script)

    def answer(self, url: str, answering: Answering) -> None:
        """Answers requests to a URL by a function."""
        self._answering[url] = answering

    def sent_to(self, host: str) -> list[Seen]:
        """The requests that went to a host."""
        return [seen for seen in self.seen if seen.host == host]

    async def send(
        self,
        method: str,
        url: str,
        headers: Headers,
        dial: Dial,
        body: bytes | AsyncIterator[bytes] = b"",
        interim: Interim | None = None,
    ) -> MemoryExchange:
        """Raises TransportError. A body is taken whole before the script is looked at."""
        origin = origin_of(url)
        if origin is None:
            raise TransportError(Trouble.PROTOCOL, "is not a usable http or https URL")
        address = literal(self.names.get(origin.host, origin.host))
        if not may_dial(origin.host, address, dial.private_hosts, port=origin.port):
            raise TransportError(
                Trouble.FORBIDDEN_ADDRESS, f"{origin.host} is an inside address not configured"
            )
        path = url.partition("?")[0]
        if path not in self._scripts and path not in self._answering:
            self.seen.append(Seen(method, url, headers, dial))
            raise TransportError(Trouble.REFUSED, f"{origin} cannot be connected: no script")
        if not isinstance(body, bytes):
            body = b"".join([chunk async for chunk in body])
        seen = Seen(method, url, headers, dial, body)
        self.seen.append(seen)
        script = self._next(path, seen)
        if script is None:
            raise TransportError(Trouble.REFUSED, f"{origin} cannot be connected: no script")
        if script.hang:
            await asyncio.get_running_loop().create_future()
        if script.trouble is not None:
            raise TransportError(script.trouble, f"{origin} failed: {script.trouble.value}")
        if script.status == 101 and not _asks_to_switch(headers):
            raise TransportError(Trouble.PROTOCOL, f"{origin} switched protocols unasked")
        if interim is not None:
            for status, fields in script.interim:
                interim(status, Headers(fields))
        self.open_exchanges += 1
        return MemoryExchange(self, script, method, str(origin))

    def _next(self, url: str, seen: Seen) -> Scripted | None:
        if (answering := self._answering.get(url)) is not None:
            return answering(seen)
        script = self._scripts.get(url)
        if not script:
            return None
        return script.pop(0) if len(script) > 1 else script[0]

    async def close(self) -> None:
        self.closed = True


class MemoryExchange:
    """An answer of a script."""

    def __init__(
        self, transport: MemoryTransport, script: Scripted, method: str, named: str
    ) -> None:
        self._transport = transport
        self._script = script
        self._named = named
        self._open = True
        self._sent = 0
        bare = method == "HEAD" or script.status in (101, 204, 304)
        self._body = b"" if bare else script.body
        sized = "content-length" in Headers(script.headers) or script.status in (101, 204, 304)
        length = () if sized else (("Content-Length", str(len(script.body))),)
        self.headers = Headers((*script.headers, *length))

    @property
    def status(self) -> int:
        return self._script.status

    def chunks(self) -> AsyncIterator[bytes]:
        return self

    def switched(self) -> Duplex | None:
        return self._script.duplex if self._script.status == 101 else None

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self._script.before_chunk is not None:
            self._script.before_chunk()
        faults = [f for f in (self._script.cut_after, self._script.stall_after) if f is not None]
        stop = min([len(self._body), *faults])
        chunk = self._body[self._sent : min(stop, self._sent + self._script.chunk_bytes)]
        if chunk:
            self._sent += len(chunk)
            return chunk
        await self.close()
        if self._script.cut_after == self._sent:
            raise TransportError(Trouble.CUT, f"{self._named} cut the transfer")
        if self._script.stall_after == self._sent:
            raise TransportError(Trouble.STALL, f"{self._named} fell silent")
        raise StopAsyncIteration

    async def close(self) -> None:
        if self._open:
            self._open = False
            self._transport.open_exchanges -= 1


def _asks_to_switch(headers: Headers) -> bool:
    return "Upgrade" in headers and "upgrade" in headers.joined("Connection").lower()


def challenge(realm: str, *, service: str = "registry", scope: str = "") -> Scripted:
    """A 401 that asks for a Bearer token."""
    asked = f',scope="{scope}"' if scope else ""
    value = f'Bearer realm="{realm}",service="{service}"{asked}'
    return Scripted(401, (("WWW-Authenticate", value),))


def token(value: str, *more: str) -> Scripted:
    """A token service's answer; `more` are further JSON members, e.g. `'"expires_in": 300'`."""
    members = ", ".join((f'"token": "{value}"', *more))
    return Scripted(200, (("Content-Type", "application/json"),), f"{{{members}}}".encode())


def guarded_by(value: str, realm: str, good: Scripted) -> Answering:
    """A resource that wants `Bearer <value>` and challenges for it."""

    def answering(seen: Seen) -> Scripted:
        wanted = f"Bearer {value}"
        return good if seen.headers.get("authorization") == wanted else challenge(realm)

    return answering
