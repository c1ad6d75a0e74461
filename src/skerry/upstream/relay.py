"""A content that cannot be kept, on its way through memory to one reader.

Owns the bounded buffer, the proof and the held back end; the fill writes to it as to a spool.
Never touches the disk: this is how misses are served when it is full (known failures T36).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable

from skerry.base.digest import Digest, new_hasher
from skerry.store.ports import HELD_BACK_BYTES, DigestMismatch, SpoolAborted
from skerry.wire.message import BodyAborted

BUFFER_BYTES_MAX = 1 << 20
"""The reader may be this far behind before the source is made to wait."""
IDLE_SECONDS = 30.0
"""A reader that takes nothing for so long has left without saying so."""
HASH_IN_THREAD_BYTES = 256 * 1024


class Relay:
    """One writer, at most one reader. The end is shown only once it is proven."""

    def __init__(
        self,
        algorithm: str,
        *,
        held_back_bytes: int = HELD_BACK_BYTES,
        idle_seconds: float = IDLE_SECONDS,
    ) -> None:
        self._algorithm = algorithm
        self._hasher = new_hasher(algorithm)
        self._held_back_bytes = held_back_bytes
        self._idle_seconds = idle_seconds
        self._chunks: deque[bytes] = deque()
        self._held_bytes = 0
        self._changed = asyncio.Event()
        self._taken = asyncio.Event()
        self._proven = False
        self._abandoned = False
        self._error: Exception | None = None

    async def write(self, chunk: bytes) -> None:
        """Hashes and hands on; waits while the reader is behind. Raises SpoolAborted."""
        if len(chunk) >= HASH_IN_THREAD_BYTES:
            await asyncio.to_thread(self._hasher.update, chunk)
        else:
            self._hasher.update(chunk)
        while self._held_bytes >= BUFFER_BYTES_MAX and not self._abandoned:
            self._taken.clear()
            try:
                async with asyncio.timeout(self._idle_seconds):
                    await self._taken.wait()
            except TimeoutError:
                self._abandoned = True
        if self._abandoned:
            raise SpoolAborted("the only reader of a content that passes through has left")
        self._chunks.append(chunk)
        self._held_bytes += len(chunk)
        self._changed.set()

    async def commit(
        self, digest: Digest | None, *, when_proven: Callable[[], None] | None = None
    ) -> Digest:
        """Shows the end if the digest agrees, or nobody knows it; returns what it is.

        Raises DigestMismatch and aborts if it does not agree.
        """
        found = Digest(self._algorithm, self._hasher.hexdigest())
        if digest not in (None, found):
            error = DigestMismatch(f"{digest} came as {found}")
            await self.abort(error)
            raise error
        self._proven = True
        self._changed.set()
        if when_proven is not None:
            when_proven()
        return found

    async def abort(self, error: Exception) -> None:
        """The rest will never come: the reader raises BodyAborted."""
        if self._error is None and not self._proven:
            self._error = error
            self._chunks.clear()
            self._changed.set()

    async def stream(
        self, offset_bytes: int, size_bytes: int | None
    ) -> AsyncGenerator[bytes, None]:
        """The reader's bytes. Raises BodyAborted; leaving early lets the source go."""
        skip, left = offset_bytes, size_bytes
        try:
            while left is None or left > 0:
                chunk = await self._take()
                if not chunk:
                    return
                skipped = min(skip, len(chunk))
                skip -= skipped
                piece = chunk[skipped:] if left is None else chunk[skipped : skipped + left]
                left = None if left is None else left - len(piece)
                if piece:
                    yield piece
        finally:
            self._abandoned = True
            self._taken.set()

    async def _take(self) -> bytes:
        """The next bytes that may be shown; b"" after the proven end."""
        while self._error is None:
            most = self._held_bytes - (0 if self._proven else self._held_back_bytes)
            if most > 0:
                chunk = self._chunks.popleft()
                if len(chunk) > most:
                    self._chunks.appendleft(chunk[most:])
                    chunk = chunk[:most]
                self._held_bytes -= len(chunk)
                self._taken.set()
                return chunk
            if self._proven:
                return b""
            self._changed.clear()
            await self._changed.wait()
        raise BodyAborted from self._error
