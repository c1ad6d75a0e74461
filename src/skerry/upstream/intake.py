"""One open body, read ahead of whoever writes it down.

Owns the batching: what has come while the last batch was written becomes the next one, so that
hashing and writing work on big pieces while the first bytes never wait. Bounded; knows neither
the content nor its digest.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator

from skerry.aio.tasks import Nursery
from skerry.upstream.ports import Exchange

AHEAD_BYTES_MAX = 1 << 20
"""Held in memory per body; a fill costs little more than this, however long the content."""
BATCH_BYTES = 256 * 1024
"""A batch this long is worth a thread; a shorter one waits while bytes are there to be had."""
TURNS_MAX = 2
"""Turns of the event loop that bring nothing before a short batch is handed on."""


class Intake:
    """Reads an exchange, until its end; `close` lets it go.

    The first batch is read by its asker: most contents are no longer, and need no task. From the
    second on it is read ahead.
    """

    def __init__(self, exchange: Exchange, nursery: Nursery) -> None:
        self._exchange = exchange
        self._source = exchange.chunks()
        self._nursery = nursery
        self._chunks: deque[bytes] = deque()
        self._held_bytes = 0
        self._changed = asyncio.Event()
        self._room = asyncio.Event()
        self._begun = False
        self._ended = False
        self._error: Exception | None = None
        self._task: asyncio.Task[None] | None = None

    async def batch(self) -> bytes:
        """What has come since the last call, at least one byte; b"" at the body's end.

        Raises what the exchange raised, after the bytes that came before it.
        """
        if not self._begun:
            self._begun = True
            if first := await anext(self._source, b""):
                return first
            self._ended = True
        if self._task is None and not self._ended:
            self._task = self._nursery.start(self._read(), name="fill.intake")
        while not self._chunks and not self._ended:
            self._changed.clear()
            await self._changed.wait()
        await self._gather()
        if not self._chunks:
            if self._error is not None:
                raise self._error
            return b""
        taken = [self._chunks.popleft()]
        size = len(taken[0])
        while self._chunks and size + len(self._chunks[0]) <= BATCH_BYTES:
            taken.append(self._chunks.popleft())
            size += len(taken[-1])
        self._held_bytes -= size
        self._room.set()
        # Only small pieces are joined: a large one is a batch, and copying it costs.
        return taken[0] if len(taken) == 1 else b"".join(taken)

    async def close(self) -> None:
        """Stops reading. Nothing is left of it afterwards, also when the caller is cancelled."""
        try:
            if self._task is not None:
                self._task.cancel()
                await asyncio.wait([self._task])
        finally:
            if isinstance(self._source, AsyncGenerator):
                await self._source.aclose()  # left between two chunks, it would linger
            await self._exchange.close()

    async def _gather(self) -> None:
        """Waits as long as the network is quicker than one turn of the loop."""
        turns = 0
        while turns < TURNS_MAX and self._held_bytes < BATCH_BYTES and not self._ended:
            before = self._held_bytes
            await asyncio.sleep(0)
            turns = turns + 1 if self._held_bytes == before else 0

    async def _read(self) -> None:
        try:
            async for chunk in self._source:
                await self._hold(chunk)
        except Exception as error:
            self._error = error
        finally:
            self._ended = True
            self._changed.set()

    async def _hold(self, chunk: bytes) -> None:
        if not chunk:
            return
        self._chunks.append(chunk)
        self._held_bytes += len(chunk)
        self._changed.set()
        while self._held_bytes >= AHEAD_BYTES_MAX:
            self._room.clear()
            await self._room.wait()
