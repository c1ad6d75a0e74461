"""The long rest of one body, read past aiohttp's parser.

Owns the connection from some byte of a body whose length is known until its last one, and then
gives it back for the next request. aiohttp takes a body in pieces of what the loop reads, copies
each twice and parses it; the rest of a long body needs no parser (RFC 9112 section 6.3). Knows no
digest, judges nothing, and takes no byte beyond the body for a part of it.
"""

from __future__ import annotations

import asyncio
from collections import deque

import aiohttp
from aiohttp.client_proto import ResponseHandler

BUFFER_BYTES = 512 * 1024
"""Read at once at most: the processor's cache holds it until it was copied out."""
AHEAD_BYTES_MAX = 512 * 1024
"""The source is made to wait when so much has not been taken; one more piece may have come."""
REST_BYTES_MIN = 1 << 20
"""A shorter rest is not worth it."""


class StraightBody(asyncio.BufferedProtocol):
    """Takes a connection over from aiohttp; made by `taken_over`."""

    def __init__(
        self,
        response: aiohttp.ClientResponse,
        handler: ResponseHandler,
        transport: asyncio.Transport,
        *,
        rest_bytes: int,
    ) -> None:
        self._content = response.content
        self._handler = handler
        self._transport = transport
        self._left_bytes = rest_bytes
        self._buffer = memoryview(bytearray(min(BUFFER_BYTES, rest_bytes + 1)))
        self._chunks: deque[bytes] = deque()
        self._held_bytes = 0
        self._paused = False
        self._lost = False
        self._waiter: asyncio.Future[None] | None = None

    @property
    def held_bytes(self) -> int:
        return self._held_bytes

    async def read(self) -> bytes:
        """What has come, in one piece of the kernel's; b"" at the end.

        Raises ClientPayloadError when the connection ended before the body. One reader.
        """
        while not self._chunks:
            if self._lost:
                raise aiohttp.ClientPayloadError(f"{self._left_bytes} bytes did not come")
            if not self._left_bytes:
                return b""
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        chunk = self._chunks.popleft()
        self._held_bytes -= len(chunk)
        if self._paused and self._held_bytes < AHEAD_BYTES_MAX and not self._lost:
            self._paused = False
            self._transport.resume_reading()
        return chunk

    # the loop's side

    def get_buffer(self, sizehint: int) -> memoryview:
        # One byte more than is due: whoever sends it is not to be asked on this connection again.
        return self._buffer[: self._left_bytes + 1]

    def buffer_updated(self, nbytes: int) -> None:
        overlong = nbytes > self._left_bytes
        nbytes -= overlong
        self._chunks.append(bytes(self._buffer[:nbytes]))
        self._held_bytes += nbytes
        self._left_bytes -= nbytes
        if not self._left_bytes:
            self._give_back(keep=not overlong)
        elif self._held_bytes >= AHEAD_BYTES_MAX:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        self._handler.connection_lost(exc)
        self._wake()

    def _give_back(self, *, keep: bool) -> None:
        """aiohttp hears that the body is at its end and keeps the connection, if it may."""
        if not keep:
            self._handler.force_close()
        self._transport.pause_reading()
        self._transport.set_protocol(self._handler)
        self._transport.resume_reading()
        self._content.feed_eof()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def taken_over(response: aiohttp.ClientResponse, *, had_bytes: int) -> StraightBody | None:
    """The rest of a body after its first bytes, or None when it must be read by aiohttp.

    `had_bytes` were read so far. None too while aiohttp holds bytes back: ask again.
    """
    connection, length = response.connection, response.content_length
    if connection is None or length is None or "Transfer-Encoding" in response.headers:
        return None
    handler, transport = connection.protocol, connection.transport
    rest = length - had_bytes
    if handler is None or transport is None or rest < REST_BYTES_MIN or transport.is_closing():
        return None
    # Bytes aiohttp holds come first; one that it made wait may have bytes of its own besides.
    if response.content.total_bytes != had_bytes or not transport.is_reading():
        return None
    body = StraightBody(response, handler, transport, rest_bytes=rest)
    transport.pause_reading()
    transport.set_protocol(body)
    transport.resume_reading()
    return body
