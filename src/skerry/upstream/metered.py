"""A body on its way in: counted, paced, watched for a trickle, its end told to the gate.

Owns one exchange from head to close. Never hashes: that is the fill's business.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from skerry.base.clock import Clock
from skerry.upstream.core import limits
from skerry.upstream.gate import Gate, Lease
from skerry.upstream.ports import Exchange, TransportError, Trouble
from skerry.wire.message import Duplex, Headers

DRIP_WINDOW_STALLS = 3
"""A trickle is looked for over this many stall timeouts."""


class Metered:
    """An `Exchange` that holds a lease until it is closed or at its end."""

    def __init__(
        self,
        exchange: Exchange,
        *,
        gate: Gate,
        lease: Lease,
        clock: Clock,
        stall_seconds: float | None = None,
    ) -> None:
        dial = gate.source.dial
        self.stall_seconds = dial.stall_seconds if stall_seconds is None else stall_seconds
        self._exchange = exchange
        self._gate = gate
        self._lease = lease
        self._clock = clock

    @property
    def source(self) -> str:
        """The name of the source that answers."""
        return self._gate.source.name

    @property
    def status(self) -> int:
        return self._exchange.status

    @property
    def headers(self) -> Headers:
        return self._exchange.headers

    def chunks(self) -> AsyncIterator[bytes]:
        """The body. Raises TransportError STALL (a trickle too) or CUT, and then closes itself."""
        return _Chunks(self, self._gate, self._lease, self._clock, self._exchange.chunks())

    def switched(self) -> Duplex | None:
        """See `Exchange`. Closing this gives back the lease and leaves the connection open."""
        return self._exchange.switched()

    async def fail(self, trouble: Trouble, what: str) -> None:
        """Tells the gate that the head was no good after all, and closes."""
        self._lease.failed(trouble, what)
        self._gate.refusals.answered(trouble)
        await self.close()

    async def close(self) -> None:
        """Lets the connection go; may be called twice."""
        self._lease.close()
        await self._exchange.close()


class _Chunks:
    """An iterator rather than a generator: left half-read, it needs no one to finish it."""

    def __init__(
        self,
        body: Metered,
        gate: Gate,
        lease: Lease,
        clock: Clock,
        source: AsyncIterator[bytes],
    ) -> None:
        self._body = body
        self._gate = gate
        self._lease = lease
        self._clock = clock
        self._source = source
        self._drip = limits.Drip(DRIP_WINDOW_STALLS * body.stall_seconds)
        self._owed_seconds = 0.0
        self._begun = False
        self._left_bytes = _announced_bytes(body.headers)

    def __aiter__(self) -> _Chunks:
        return self

    async def __anext__(self) -> bytes:
        if self._owed_seconds > 0:
            await self._clock.sleep(self._owed_seconds)
        asked_at = self._clock.monotonic()
        try:
            chunk = await anext(self._source)
            waited = self._clock.monotonic() - asked_at
            self._drip, slow = limits.received(self._drip, len(chunk), waited)
            if slow:
                least = self._drip.bytes_per_second_min
                raise TransportError(Trouble.STALL, f"sends less than {least} bytes a second")
        except StopAsyncIteration:
            self._lease.succeeded()
            await self._body.close()
            raise
        except TransportError as error:
            self._lease.failed(error.trouble, error.what)
            self._gate.refusals.answered(error.trouble)
            await self._body.close()
            raise
        if not self._begun:
            self._begun = True
            self._lease.alive()
        self._owed_seconds = self._gate.received(len(chunk))
        if self._left_bytes is not None:
            self._left_bytes -= len(chunk)
            if self._left_bytes == 0:
                # Whoever knows the length does not ask whether more comes (RFC 9112 section 6.3).
                self._lease.succeeded()
        return chunk


def _announced_bytes(headers: Headers) -> int | None:
    said = headers.get("Content-Length", "")
    sized = "Transfer-Encoding" not in headers and said is not None and said.isdecimal()
    return int(said) if sized and said else None


async def read_whole(exchange: Exchange, *, bytes_max: int) -> bytes:
    """A small body. Raises TransportError, TOO_LARGE when it is not small; always closes."""
    parts: list[bytes] = []
    total = 0
    try:
        async for chunk in exchange.chunks():
            total += len(chunk)
            if total > bytes_max:
                raise TransportError(Trouble.TOO_LARGE, f"sent more than {bytes_max} bytes")
            parts.append(chunk)
    finally:
        await exchange.close()
    return b"".join(parts)
