"""A `Duplex` in memory, both ends of it, and what every `Duplex` has to keep.

Promise: bytes arrive whole and in order; a write waits while the other end leaves more than
`HELD_BYTES` unread; each half ends by itself; `cut` breaks both at once, as a reset does. It never
loses, doubles or alters a byte.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

from skerry.wire.message import BodyAborted, Duplex

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


Check = Callable[[Duplex, Duplex], Awaitable[None]]
"""Of an end under test and the other one, which is trusted."""


def _expect(truth: bool, what: str) -> None:
    if not truth:
        raise AssertionError(what)


async def _taken(end: AsyncIterator[bytes], count: int) -> bytes:
    got = b""
    while len(got) < count:
        got += await anext(end)
    return got


async def bytes_arrive_whole_and_in_order(near: Duplex, far: Duplex) -> None:
    data = bytes(range(256)) * 4096
    here, there = near.chunks(), far.chunks()
    for source, reader in ((near, there), (far, here)):
        for start in range(0, len(data), 100_000):
            piece = data[start : start + 100_000]
            await source.write(piece)
            _expect(await _taken(reader, len(piece)) == piece, "what was written is read")


async def halves_end_one_by_one(near: Duplex, far: Duplex) -> None:
    here, there = near.chunks(), far.chunks()
    await near.finish()
    _expect([chunk async for chunk in there] == [], "the other side sees the end of this half")
    await far.write(b"still")
    _expect(await _taken(here, 5) == b"still", "the other half goes on")
    await far.finish()
    _expect([chunk async for chunk in here] == [], "and ends in its turn")


async def a_write_waits_for_its_reader(near: Duplex, far: Duplex) -> None:
    there, written = far.chunks(), 0
    try:
        while written < 256 << 20:
            async with asyncio.timeout(0.3):
                await near.write(b"x" * 65536)
            written += 65536
    except TimeoutError:
        pass
    _expect(written < 64 << 20, "nothing is held without bound")
    _expect(len(await _taken(there, written)) >= written, "and nothing is lost")


async def a_broken_one_says_so(near: Duplex, far: Duplex) -> None:
    here = near.chunks()
    await far.close()
    try:
        while True:
            await near.write(b"x" * 65536)
            await asyncio.sleep(0)
    except BodyAborted:
        pass
    try:
        async for _ in here:
            pass
    except BodyAborted:
        pass  # an end or a cut: whoever left said nothing more
    await near.close()
    await near.close()


CHECKS: tuple[Check, ...] = (
    bytes_arrive_whole_and_in_order,
    halves_end_one_by_one,
    a_write_waits_for_its_reader,
    a_broken_one_says_so,
)
