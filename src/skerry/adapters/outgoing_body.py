"""A request's body on its way out, and who is waited for meanwhile.

Owns the clock of one request until its head is there. While the next chunk of a body is awaited
nobody but its maker is waited for; once it is handed over, the destination has to take it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from skerry.upstream.ports import Dial


class Watch:
    """The timeout of one request, until its head is there."""

    def __init__(self, timeout: asyncio.Timeout, dial: Dial) -> None:
        self._timeout = timeout
        self._dial = dial
        self._ended = False

    def for_head(self) -> None:
        """Everything is sent: the answer must begin."""
        self._reschedule(self._dial.first_byte_seconds)

    def for_taking(self) -> None:
        """A chunk was handed over: the destination must take it."""
        self._reschedule(self._dial.stall_seconds)

    def stop(self) -> None:
        """The destination is not waited for."""
        self._reschedule(None)

    def end(self) -> None:
        """The head is there, or never will be; the rest of a body may go on."""
        self._ended = True

    def _reschedule(self, seconds: float | None) -> None:
        if not (self._ended or self._timeout.expired()):
            now = asyncio.get_running_loop().time()
            self._timeout.reschedule(None if seconds is None else now + seconds)


class OutgoingBody:
    """Gives a body's chunks to the HTTP client. `error` is what its maker raised."""

    def __init__(self, body: AsyncIterator[bytes]) -> None:
        self.watch: Watch | None = None
        self.error: Exception | None = None
        self._body = body

    def __aiter__(self) -> OutgoingBody:
        return self

    async def __anext__(self) -> bytes:
        chunk = b""
        while not chunk:  # an empty one would read as the end
            if self.watch is not None:
                self.watch.stop()
            try:
                chunk = await anext(self._body)
            except StopAsyncIteration:
                if self.watch is not None:
                    self.watch.for_head()
                raise
            except Exception as error:
                self.error = error
                raise
        if self.watch is not None:
            self.watch.for_taking()
        return chunk
