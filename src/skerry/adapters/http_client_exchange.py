"""One answer on its way in, and a connection after a 101.

Owns what of an answer has come and was not taken, and the bounds on waiting for more. Knows no
HTTP: `http_client_connection` reads that and tells it here.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from skerry.upstream.core.limits import silence_seconds
from skerry.upstream.ports import Dial, TransportError, Trouble
from skerry.wire.message import NO_HEADERS, BodyAborted, Duplex, Headers, Interim

AHEAD_BYTES_MAX = 1024 * 1024
"""The source is made to wait when so much has not been taken; one more read may have come."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What an answer is read against.

    Attributes:
        named: the origin, for messages: never a path, whose query may hold a signature.
        switch: whether the request asked for another protocol.
    """

    method: str
    named: str
    dial: Dial
    interim: Interim | None = None
    switch: bool = False


class Line(Protocol):
    """The connection an answer comes by."""

    def resume_reading(self) -> None: ...
    def abort(self) -> None: ...
    def write(self, data: bytes) -> None: ...
    async def drained(self) -> None:
        """Waits while the other side does not take what was written."""

    def finish_writing(self) -> None: ...


class HttpExchange:
    """An `Exchange`. It outlives its connection's part in it: what has come can still be read."""

    def __init__(self, asked: Asked, line: Line) -> None:
        self.status = 0
        self.headers = NO_HEADERS
        self.held_bytes = 0
        self.upload: asyncio.Task[None] | None = None
        self._asked = asked
        self._line: Line | None = line
        self._pieces: deque[bytes] = deque()
        self._ended = False
        self._error: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._tunnel: TunnelEnd | None = None
        self._handed_over = False
        self._stall_seconds = self._asked.dial.stall_seconds

    @property
    def sending(self) -> bool:
        """Whether the request's body is still on its way."""
        return self.upload is not None and not self.upload.done()

    # the connection's side

    def begun(self, status: int, headers: Headers) -> None:
        """The head is whole."""
        self.status, self.headers = status, headers
        self._stall_seconds = silence_seconds(self._asked.dial.stall_seconds, headers)
        self._wake()

    def take(self, piece: bytes) -> None:
        """A piece of the body, in order."""
        self._pieces.append(piece)
        self.held_bytes += len(piece)
        self._wake()

    def end(self) -> None:
        """The body is whole: the connection is another's from here on."""
        self._ended = True
        if self._tunnel is None:
            self._line = None
        self._stop_upload()
        self._wake()

    def fail(self, error: Exception) -> None:
        """Nothing more will come. What came before is still given."""
        if self._error is None and not self._ended:
            self._error = error
            self._wake()
        self._line = None
        self._stop_upload()

    def tunnel(self) -> None:
        """From here on the bytes are another protocol's."""
        if self._line is not None:
            self._tunnel = TunnelEnd(self, self._line)

    # the asker's side

    async def head(self) -> None:
        """Waits for the head within the bound that `bound` set. Raises TransportError."""
        while not self.status:
            if self._error is not None:
                raise self._error
            await self._wait()
        self.bound(None)

    def bound(self, seconds: float | None) -> None:
        """From now on the next sign of life must come within so many seconds."""
        if self._timer is not None:
            self._timer.cancel()
        loop = asyncio.get_running_loop()
        self._timer = None if seconds is None else loop.call_later(seconds, self._expire)

    def chunks(self) -> AsyncIterator[bytes]:
        """The body as sent. Raises TransportError STALL, CUT, PROTOCOL."""
        return self

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if not self._pieces and not self._ended and self._error is None:
            self.bound(self._stall_seconds)
            try:
                while not self._pieces and not self._ended and self._error is None:
                    await self._wait()
            finally:
                self.bound(None)
        return self._next()

    def switched(self) -> Duplex | None:
        """The connection after a 101, which is then the caller's; None for every other answer."""
        self._handed_over = self._tunnel is not None
        return self._tunnel

    async def close(self) -> None:
        """Lets the connection go: back to its pool at the body's end, else closed."""
        self.bound(None)
        self._stop_upload()
        if self._handed_over:
            return
        line, self._line = self._line, None
        if line is not None:
            line.abort()

    async def next_of_tunnel(self) -> bytes:
        """Like the next chunk, but another protocol may be silent for as long as it likes."""
        while not self._pieces and not self._ended and self._error is None:
            await self._wait()
        return self._next()

    def _next(self) -> bytes:
        if self._pieces:
            piece = self._pieces.popleft()
            self.held_bytes -= len(piece)
            if self._line is not None and self.held_bytes < AHEAD_BYTES_MAX:
                self._line.resume_reading()
            return piece
        if self._error is not None:
            raise self._error
        raise StopAsyncIteration

    async def _wait(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _expire(self) -> None:
        named, dial = self._asked.named, self._asked.dial
        line = self._line
        if self.status:
            what = f"{named} sent nothing for {self._stall_seconds:g} s"
            self.fail(TransportError(Trouble.STALL, what))
        else:
            what = f"{named} did not answer within {dial.first_byte_seconds:g} s"
            self.fail(TransportError(Trouble.FIRST_BYTE_TIMEOUT, what))
        if line is not None:
            line.abort()

    def _stop_upload(self) -> None:
        if self.upload is not None and self.upload is not asyncio.current_task():
            self.upload.cancel()


class TunnelEnd:
    """A `Duplex` over the connection of a 101."""

    def __init__(self, exchange: HttpExchange, line: Line) -> None:
        self._exchange = exchange
        self._line = line
        self._closed = False

    def chunks(self) -> AsyncIterator[bytes]:
        """What the other side sends. Raises BodyAborted when it breaks off."""
        return self

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await self._exchange.next_of_tunnel()
        except TransportError as error:
            raise BodyAborted(error.what) from error

    async def write(self, data: bytes) -> None:
        """See `Duplex`."""
        if self._closed:
            raise BodyAborted("the connection was let go")
        self._line.write(data)
        try:
            await self._line.drained()
        except TransportError as error:
            raise BodyAborted(error.what) from error

    async def finish(self) -> None:
        """Ends this side's half. TLS has no halves here: the whole connection ends then."""
        if not self._closed:
            self._line.finish_writing()

    async def close(self) -> None:
        """See `Duplex`."""
        if not self._closed:
            self._closed = True
            self._line.abort()
