"""A client's connection that speaks another protocol, seen from the main process.

Owns the bytes to it over one line: each piece is told to be taken before the next one leaves, so
that a client that does not read never stands in the way of what it sends. RFC 9110 section 7.8.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

from skerry.adapters.worker_line import PIECE_BYTES, Line, LineEnded
from skerry.adapters.worker_packets import Kind, pack, pack_chunk
from skerry.wire.message import BodyAborted

LEFT = "the client has left"
_END, _OVER = pack(Kind.END), pack(Kind.OVER)


class FarClient:
    """`Duplex` to a worker's client; `chunks` are what the worker sends when it is asked to."""

    def __init__(self, line: Line, chunks: AsyncIterator[bytes]) -> None:
        self._line = line
        self._chunks = chunks
        self._taken: asyncio.Future[None] | None = None
        self._one_at_a_time = asyncio.Lock()
        self._over = False

    def taken(self) -> None:
        """The worker's client has taken the last piece."""
        if self._taken is not None and not self._taken.done():
            self._taken.set_result(None)

    def lost(self) -> None:
        """The client or its worker is gone."""
        self._over = True
        self.taken()

    def chunks(self) -> AsyncIterator[bytes]:
        return self._chunks

    async def write(self, data: bytes) -> None:
        async with self._one_at_a_time:
            for start in range(0, len(data), PIECE_BYTES):
                self._taken = asyncio.get_running_loop().create_future()
                await self._send(pack_chunk(data[start : start + PIECE_BYTES]))
                await self._taken
                if self._over:
                    raise BodyAborted(LEFT)

    async def finish(self) -> None:
        with suppress(BodyAborted):
            await self._send(_END)

    async def close(self) -> None:
        if not self._over:
            self._over = True
            with suppress(LineEnded):
                await self._line.send(_OVER)

    async def _send(self, packet: bytes) -> None:
        if self._over:
            raise BodyAborted(LEFT)
        try:
            await self._line.send(packet)
        except LineEnded as error:
            raise BodyAborted(LEFT) from error
