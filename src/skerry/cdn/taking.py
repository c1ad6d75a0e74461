"""Bodies of answers that the node itself takes, as a client would.

Owns waiting for their end and reading small ones. Never sends anything on.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator

from skerry.base.errors import BadInput
from skerry.wire.message import Body, Segment


async def drained(body: Body) -> int:
    """Waits until all of a body is here, without reading what a file has. Returns its length.

    Raises BodyAborted.
    """
    if isinstance(body, bytes):
        return len(body)
    if isinstance(body, AsyncIterator):
        count = 0
        async for piece in body:
            count += await drained(piece)
        return count
    try:
        await _arrived(body)
        return body.size_bytes
    finally:
        body.close()


async def whole(body: Body, *, bytes_max: int) -> bytes:
    """A small body. Raises BadInput when it is longer, BodyAborted."""
    if isinstance(body, AsyncIterator):
        pieces: list[bytes] = []
        size = 0
        async for piece in body:
            pieces.append(await whole(piece, bytes_max=bytes_max - size))
            size += len(pieces[-1])
        return b"".join(pieces)
    size = len(body) if isinstance(body, bytes) else body.size_bytes
    try:
        if size > bytes_max:
            raise BadInput(f"it is longer than {bytes_max} bytes", next_step="make it shorter")
        if isinstance(body, bytes):
            return body
        await _arrived(body)
        return await asyncio.to_thread(os.pread, body.fileno(), size, body.offset_bytes)
    finally:
        if not isinstance(body, bytes):
            body.close()


async def _arrived(segment: Segment) -> None:
    position, stop = segment.offset_bytes, segment.offset_bytes + segment.size_bytes
    while position < stop:
        position = await segment.readable(position)
