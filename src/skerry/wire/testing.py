"""A `Duplex` in memory, both ends of it.

Promise: bytes arrive whole and in order; a write waits while the other end leaves more than
`HELD_BYTES` unread; each half ends by itself; `cut` breaks both at once, as a reset does. It never
loses, doubles or alters a byte.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from skerry.wire.message import BodyAborted

HELD_BYTES = 64 << 10


class _Way:
    """One direction."""

    def __init__(self) -> None:
        self.held = bytearray()
        self.ended = False
        self.broken = False
        self.changed = asyncio.Event()

    def set(self) -> None:
        self.changed.set()

    async def wait(self) -> None:
        self.changed.clear()
        await self.changed.wait()


class MemoryDuplex:
    """One end; `pair` makes two that are joined."""

    def __init__(self, to_here: _Way, to_there: _Way) -> None:
        self._in, self._out = to_here, to_there
        self.closed = False

    @property
    def unread_bytes(self) -> int:
        """What was sent to this end and not read."""
        return len(self._in.held)

    def chunks(self) -> AsyncIterator[bytes]:
        return self

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        way = self._in
        while not way.held:
            if way.broken:
                raise BodyAborted("the connection was cut")
            if way.ended:
                raise StopAsyncIteration
            await way.wait()
        chunk, way.held = bytes(way.held), bytearray()
        way.set()
        return chunk

    async def write(self, data: bytes) -> None:
        way = self._out
        while len(way.held) > HELD_BYTES and not way.broken:
            await way.wait()
        if way.broken or way.ended:
            raise BodyAborted("the other side is gone")
        way.held += data
        way.set()

    async def finish(self) -> None:
        self._out.ended = True
        self._out.set()

    async def close(self) -> None:
        self.closed = True
        self._out.ended = True
        self._in.broken = True  # nobody reads here any more
        for way in (self._in, self._out):
            way.set()

    def cut(self) -> None:
        """Resets the connection."""
        for way in (self._in, self._out):
            way.broken = True
            way.set()


def pair() -> tuple[MemoryDuplex, MemoryDuplex]:
    """The two ends of one connection."""
    one, other = _Way(), _Way()
    return MemoryDuplex(one, other), MemoryDuplex(other, one)
