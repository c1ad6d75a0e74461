"""One file on its way in: written and hashed in threads, read while it grows.

Owns `ingest/<name>` from begin to commit or abort. Chunks are gathered while a thread is busy
with the ones before, so that a fast source costs one thread hop per megabyte and a slow one waits
for nobody. Order at commit: prove, release followers, fsync, rename, fsync of the folder (design
section 4; known failures T10, T13, T15). A long content without a name has nothing to prove but
its length: it is hashed behind its readers, from the file, and named before it is synced.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import weakref
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum

from skerry.adapters.disk_layout import HASH_STEP_BYTES, hash_and_close, translated, unlink_quietly
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

PENDING_BYTES_MAX = 2 * 1024 * 1024
"""The writer waits for the disk when it is this far ahead: a few batches, or each would wait."""

BEHIND_BYTES_MIN = 1024 * 1024
"""A content without a name that is not longer is hashed as it comes: it is at hand."""

BEHIND_BYTES_MAX = 256 * 1024 * 1024
"""The hash is never further behind: what it reads again is then still in the page cache."""

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
        self._behind = not named and (size_bytes is None or size_bytes > BEHIND_BYTES_MIN)
        self._algorithm = NAMELESS_ALGORITHM if self._behind else algorithm
        self._hasher = new_hasher(self._algorithm)
        self._growth = Growth(held_back_bytes=HELD_BACK_BYTES if named else 0)
        self._state = State.OPEN
        self._accepted = self._written = self._hashed = 0
        self._pending: list[bytes] = []
        self._job: asyncio.Future[None] | None = None
        self._error: StoreError | None = None
        self.gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._kept: asyncio.Future[None] = asyncio.get_running_loop().create_future()

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
            self.digest = await self._prove(digest)
            self._raise_unless_open()  # given up by somebody else meanwhile: nothing is left of it
        except BaseException as error:
            reason = error if isinstance(error, Exception) else SpoolAborted("commit was cancelled")
            await self.abort(reason)
            raise
        self._state = State.COMMITTING
        self._growth.finish(self._written)
        if when_proven is not None:
            when_proven()
        self._keep_on()
        try:
            # Cancelling the writer does not stop a commit that has begun.
            await asyncio.shield(self._kept)
        except OSError as error:
            raise self._desk.failed(error, f"storing {self.digest or NAMELESS}") from error
        assert self.digest is not None  # noqa: S101  nothing is kept without a name
        return self.digest

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
        # Asked of the state, which only the loop changes: a thread closes the descriptor of what
        # was given up at any moment, and then its number may be another file's.
        given_up = self._state is State.ABORTED
        fd = os.open(os.devnull, os.O_RDONLY) if given_up else os.dup(self._fd)
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
        inline = size <= (INLINE_BYTES_MAX if self._written else FIRST_BYTES)
        if inline and not self._too_far_behind():
            try:
                self._absorb(chunks)
            except OSError as error:
                self._error = self._desk.failed(error, "writing to ingest")
            else:
                self._absorbed(size)
            return
        self._job = self._start(lambda: self._absorb_and_hash(chunks))
        self._job.add_done_callback(lambda job: self._job_done(job, size))

    def _absorb(self, chunks: list[bytes]) -> None:
        # One by one: joining would cost a third of what hashing and writing do.
        position = self._written
        for chunk in chunks:
            data = memoryview(chunk)
            if not self._behind:
                self._hasher.update(data)
            while data:
                done = os.pwrite(self._fd, data, position)
                position, data = position + done, data[done:]

    def _absorb_and_hash(self, chunks: list[bytes]) -> None:
        self._absorb(chunks)
        while self._too_far_behind():
            self._hash_on(BEHIND_BYTES_MIN)

    def _too_far_behind(self) -> bool:
        return self._behind and self._written - self._hashed > BEHIND_BYTES_MAX

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

    async def _prove(self, digest: Digest | None) -> Digest | None:
        """The digest of what came; None when nothing depends on it and it is still to be found."""
        if self.size_bytes not in (None, self._written):
            raise DigestMismatch(
                f"{digest or NAMELESS} came with {self._written} of {self.size_bytes} bytes",
                next_step="it is fetched again from another source, if there is one",
            )
        if self._behind and digest is None:
            return None
        algorithm = NAMELESS_ALGORITHM if digest is None else digest.algorithm
        if self._behind or algorithm != self._algorithm:
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

    def _hash_on(self, size_bytes: int) -> None:
        done = hash_and_close(os.dup(self._fd), self._hasher, self._hashed, size_bytes)
        if not done:
            raise OSError(errno.EIO, f"the file ends at {self._hashed} bytes")
        self._hashed += done

    def _keep_on(self) -> None:
        """The next step of keeping what readers have: hashed if it has no name yet, then synced."""
        if self.digest is None and self._hashed == self._written:
            self.digest = Digest(self._algorithm, self._hasher.hexdigest())
        step = self._start(self._make_durable if self.digest is not None else self._hash_rest)
        step.add_done_callback(self._stepped)

    def _stepped(self, step: asyncio.Future[None]) -> None:
        error = step.exception()
        if error is None and self.digest is None:
            self._keep_on()
            return
        self._desk.ended(self, error is None)
        self.gone.set_result(None)
        if error is None:
            self._kept.set_result(None)
        else:
            self._kept.set_exception(error)

    def _hash_rest(self) -> None:
        with self._unlinked_if_it_fails():
            self._hash_on(HASH_STEP_BYTES)

    def _make_durable(self) -> None:
        assert self.digest is not None  # noqa: S101  it was named on the loop, before it is visible
        with self._unlinked_if_it_fails():
            os.fsync(self._fd)
            self._desk.place(self._path, self.digest)

    @contextmanager
    def _unlinked_if_it_fails(self) -> Iterator[None]:
        try:
            yield
        except OSError:
            unlink_quietly(self._path)
            raise

    def _throw_away(self) -> None:
        def unlink() -> None:
            unlink_quietly(self._path)
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
