"""One file on its way in: written and hashed in threads, read while it grows.

Owns `ingest/<name>` from begin to commit or abort. Chunks are gathered while a thread is busy
with the ones before, so that a fast source costs one thread hop per megabyte and a slow one waits
for nobody. Order at commit: prove, release followers, fsync, rename, fsync of the folder (design
section 4; known failures T10, T13, T15).
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import weakref
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum

from skerry.adapters.disk_layout import translated
from skerry.base.digest import Digest, new_hasher
from skerry.store.growth import FileSegment, Growth
from skerry.store.ports import (
    HELD_BACK_BYTES,
    NAMELESS,
    NAMELESS_ALGORITHM,
    DigestMismatch,
    SpoolAborted,
    StoreError,
    StoreFull,
)
from skerry.wire.message import Segment

INLINE_BYTES_MAX = 16 * 1024
"""Up to here a write and its hash cost less than waking a thread."""

FIRST_BYTES = 128 * 1024
"""So much of the beginning is written at once: a reader waits for it, and for nothing else."""

PENDING_BYTES_MAX = 1024 * 1024
"""The writer waits for the disk when it is this far ahead."""

CLAIM_STEP_BYTES = 4 * 1024 * 1024
"""How far a spool of unknown length claims the budget ahead."""


@dataclass(frozen=True, slots=True)
class Desk:
    """What a spool needs of its store.

    Attributes:
        run_in: the threads that write and hash.
        reserve: makes sure of room for more bytes; raises StoreFull.
        place: moves the proven, synced file in (in a thread); raises OSError.
        ended: told once when the spool's file is placed or gone; True when it was placed.
        failed: translates the disk's error and remembers that it failed.
    """

    run_in: Executor
    reserve: Callable[[int], Awaitable[None]]
    place: Callable[[str, Digest], None]
    ended: Callable[[DiskSpool, bool], None]
    failed: Callable[[OSError, str], StoreError]


class State(Enum):
    OPEN = "open"
    COMMITTING = "committing"
    ABORTED = "aborted"


class DiskSpool:
    """A `store.ports.Spool` on a file. Used from one event loop."""

    def __init__(
        self,
        path: str,
        fd: int,
        *,
        size_bytes: int | None,
        algorithm: str,
        desk: Desk,
        named: bool = True,
    ) -> None:
        self.size_bytes = size_bytes
        self.digest: Digest | None = None
        self.content = None
        self.claimed_bytes = size_bytes or 0
        self._path = path
        self._fd = fd
        # Late followers dup it after commit too, so it lives as long as the spool is held.
        self._close = weakref.finalize(self, os.close, fd)
        self._desk = desk
        self._algorithm = algorithm
        self._hasher = new_hasher(algorithm)
        self._growth = Growth(held_back_bytes=HELD_BACK_BYTES if named else 0)
        self._state = State.OPEN
        self._accepted = self._written = 0
        self._pending: list[bytes] = []
        self._job: asyncio.Future[None] | None = None
        self._error: StoreError | None = None
        self.gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def received_bytes(self) -> int:
        return self._accepted

    async def write(self, chunk: bytes | bytearray | memoryview) -> None:
        self._raise_unless_open()
        total = self._accepted + len(chunk)
        if self.size_bytes is not None and total > self.size_bytes:
            raise SpoolAborted(f"more than the announced {self.size_bytes} bytes arrived")
        if total > self.claimed_bytes:
            await self._claim(total - self.claimed_bytes)
        if not self._accepted and len(chunk) > FIRST_BYTES:
            view = memoryview(chunk)
            self._take(bytes(view[:FIRST_BYTES]))
            chunk = view[FIRST_BYTES:]
        self._take(bytes(chunk))  # shared if it is bytes: a caller may use its buffer again
        while self._job is not None and self._accepted - self._written >= PENDING_BYTES_MAX:
            await asyncio.wait([self._job])
        if self._error is not None:
            raise self._error

    async def commit(
        self, digest: Digest | None, *, when_proven: Callable[[], None] | None = None
    ) -> Digest:
        self._raise_unless_open()
        try:
            await self._drain()
            self.digest = found = await self._prove(digest)
        except BaseException as error:
            reason = error if isinstance(error, Exception) else SpoolAborted("commit was cancelled")
            await self.abort(reason)
            raise
        self._state = State.COMMITTING
        self._growth.finish(self._written)
        if when_proven is not None:
            when_proven()
        durable = self._start(lambda: self._make_durable(found))
        durable.add_done_callback(self._committed)
        try:
            # Cancelling the writer does not stop a commit that has begun.
            await asyncio.shield(durable)
        except OSError as error:
            raise self._desk.failed(error, f"storing {found}") from error
        return found

    async def abort(self, error: Exception) -> None:
        if self._state is State.OPEN:
            self._state = State.ABORTED
            self._growth.abort(error)
            self._pending.clear()
            if self._job is None:
                self._throw_away()
        if self._state is State.ABORTED:
            await asyncio.shield(self.gone)

    def follow(self, offset_bytes: int, size_bytes: int) -> Segment:
        fd = os.dup(self._fd) if self._close.alive else os.open(os.devnull, os.O_RDONLY)
        return FileSegment(
            fd, offset_bytes=offset_bytes, size_bytes=size_bytes, growth=self._growth
        )

    # writing

    async def _claim(self, least_bytes: int) -> None:
        step = max(least_bytes, CLAIM_STEP_BYTES)
        try:
            await self._desk.reserve(step)
        except StoreFull:
            step = least_bytes
            await self._desk.reserve(step)
        self._raise_unless_open()
        self.claimed_bytes += step

    def _take(self, chunk: bytes) -> None:
        self._pending.append(chunk)
        self._accepted += len(chunk)
        if self._job is None and self._error is None:
            self._go_on()

    def _go_on(self) -> None:
        """Hands what is pending to the disk, in a thread unless it is little."""
        chunks, self._pending = self._pending, []
        size = sum(len(chunk) for chunk in chunks)
        if size <= (INLINE_BYTES_MAX if self._written else FIRST_BYTES):
            try:
                self._absorb(chunks)
            except OSError as error:
                self._error = self._desk.failed(error, "writing to ingest")
            else:
                self._absorbed(size)
            return
        self._job = self._start(lambda: self._absorb(chunks))
        self._job.add_done_callback(lambda job: self._job_done(job, size))

    def _absorb(self, chunks: list[bytes]) -> None:
        # One by one: joining would cost a third of what hashing and writing do.
        position = self._written
        for chunk in chunks:
            data = memoryview(chunk)
            self._hasher.update(data)
            while data:
                done = os.pwrite(self._fd, data, position)
                position, data = position + done, data[done:]

    def _absorbed(self, size: int) -> None:
        self._written += size
        if self._state is State.OPEN:
            self._growth.received(self._written)

    def _job_done(self, job: asyncio.Future[None], size: int) -> None:
        self._job = None
        error = job.exception()
        if isinstance(error, OSError):
            self._error = self._desk.failed(error, "writing to ingest")
        elif error is not None:
            self._error = StoreError(f"writing to ingest: {error}")
        else:
            self._absorbed(size)
        if self._state is State.ABORTED:
            self._throw_away()
        elif self._pending and self._error is None:
            self._go_on()

    async def _drain(self) -> None:
        while self._job is not None:
            await asyncio.wait([self._job])
        if self._error is not None:
            raise self._error

    # ending

    async def _prove(self, digest: Digest | None) -> Digest:
        if self.size_bytes not in (None, self._written):
            raise DigestMismatch(
                f"{digest or NAMELESS} came with {self._written} of {self.size_bytes} bytes",
                next_step="it is fetched again from another source, if there is one",
            )
        algorithm = NAMELESS_ALGORITHM if digest is None else digest.algorithm
        if algorithm != self._algorithm:
            self._job = again = self._start(lambda: self._hash_again(algorithm))
            again.add_done_callback(lambda job: self._job_done(job, 0))
            await asyncio.wait([again])
            if self._error is not None:
                raise self._error
        found = Digest(algorithm, self._hasher.hexdigest())
        if digest not in (None, found):
            raise DigestMismatch(
                f"what came as {digest} has the digest {found}",
                next_step="it is fetched again from another source, if there is one",
            )
        return found

    def _hash_again(self, algorithm: str) -> None:
        with os.fdopen(os.dup(self._fd), "rb", buffering=0) as file:
            file.seek(0)
            self._hasher = hashlib.file_digest(file, algorithm)

    def _make_durable(self, digest: Digest) -> None:
        try:
            os.fsync(self._fd)
            self._desk.place(self._path, digest)
        except OSError:
            with suppress(OSError):
                os.unlink(self._path)
            raise

    def _committed(self, durable: asyncio.Future[None]) -> None:
        self._desk.ended(self, durable.exception() is None)
        self.gone.set_result(None)

    def _throw_away(self) -> None:
        def unlink() -> None:
            with suppress(OSError):
                os.unlink(self._path)
            self._close()

        self._start(unlink).add_done_callback(self._thrown_away)

    def _thrown_away(self, job: asyncio.Future[None]) -> None:
        job.exception()
        self._desk.ended(self, False)
        if not self.gone.done():
            self.gone.set_result(None)

    def _start(self, work: Callable[[], None]) -> asyncio.Future[None]:
        return asyncio.get_running_loop().run_in_executor(self._desk.run_in, work)

    def _raise_unless_open(self) -> None:
        if self._error is not None:
            raise self._error
        if self._state is not State.OPEN:
            raise SpoolAborted(f"the spool is {self._state.value}")


def created(path: str) -> int:
    """A new file for a spool; its descriptor. Raises StoreError."""
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise translated(error, "beginning to store") from error
