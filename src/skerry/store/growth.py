"""How much of a growing file may be seen, and who waits for more.

Owns the followers' side of a spool: the visible end, the waiters, the abort. Never writes bytes
and never decides whether they are right. Design section 4; known failures T10, T14, T35.
"""

from __future__ import annotations

import asyncio
import os

from skerry.store.ports import HELD_BACK_BYTES
from skerry.wire.message import BodyAborted


class Growth:
    """The visible end of one growing file. Used from the event loop only."""

    def __init__(self, *, held_back_bytes: int = HELD_BACK_BYTES) -> None:
        self._held_back_bytes = held_back_bytes
        self._shown_bytes = 0
        self._finished = False
        self._error: Exception | None = None
        self._waiters: set[asyncio.Future[None]] = set()

    def received(self, total_bytes: int) -> None:
        """So much is in the file; what is held back stays hidden until `finish`."""
        shown = max(0, total_bytes - self._held_back_bytes)
        if shown > self._shown_bytes:
            self._shown_bytes = shown
            self._wake()

    def finish(self, total_bytes: int) -> None:
        """The whole is proven: everything may be seen, nothing more will come."""
        self._shown_bytes = total_bytes
        self._finished = True
        self._wake()

    def abort(self, error: Exception) -> None:
        """The rest will never come, or what came is wrong. After `finish` it changes nothing."""
        if not self._finished:
            self._error = error
            self._wake()

    async def beyond(self, position: int) -> int:
        """Waits until more than `position` may be seen; returns the visible end, in bytes.

        Raises BodyAborted, with the writer's error as its cause.
        """
        while True:
            if self._error is not None:
                raise BodyAborted(str(self._error)) from self._error
            if position < self._shown_bytes:
                return self._shown_bytes
            if self._finished:
                raise BodyAborted(f"the content ends at {self._shown_bytes} bytes")
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.add(waiter)
            try:
                await waiter
            finally:
                self._waiters.discard(waiter)

    def _wake(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)


class FileSegment:
    """Consecutive bytes of an open file: a `wire.message.Segment`. Owns its descriptor."""

    __slots__ = ("_fd", "_growth", "offset_bytes", "size_bytes")

    def __init__(
        self, fd: int, *, offset_bytes: int, size_bytes: int, growth: Growth | None = None
    ) -> None:
        self._fd = fd
        self._growth = growth
        self.offset_bytes = offset_bytes
        self.size_bytes = size_bytes

    def fileno(self) -> int:
        if self._fd < 0:
            raise ValueError("the segment is closed")
        return self._fd

    async def readable(self, position: int) -> int:
        stop = self.offset_bytes + self.size_bytes
        if self._growth is None:
            return stop
        return min(await self._growth.beyond(position), stop)

    def close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def __del__(self) -> None:
        # An answer that was cancelled before its body was sent is closed by nobody else.
        self.close()
