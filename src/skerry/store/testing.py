"""The store's memory twin.

Promise: it behaves as DiskStore does towards `ports.Store` and `ports.KeptStore` (the suite in
`conformance.py` runs on both) and injects only the faults the store promises to survive:
- `full = True`: `begin` and `write` raise StoreFull, as on ENOSPC; reading goes on;
- `read_only = True`: the same, and `commit`, `put` and `delete` raise StoreFull;
- `crash()`: everything not committed is lost, its followers abort; committed blobs stay;
- `flip_bit(digest)`: one bit of a stored blob turns, silently, under open readers too;
- `kill_writers()`: the next call on each live spool raises StoreError, as when the disk breaks.
It never loses or changes a committed blob otherwise, and never reorders. Bytes live in memfds, so
that servers and tests read both twins with sendfile or pread.
"""

from __future__ import annotations

import asyncio
import os
import weakref
from collections.abc import Callable, Iterator

from skerry.base.clock import Clock
from skerry.base.digest import Digest, digest_of, new_hasher
from skerry.store.growth import FileSegment, Growth
from skerry.store.ports import (
    HELD_BACK_BYTES,
    NAMELESS,
    NAMELESS_ALGORITHM,
    SMALL_BYTES_MAX,
    BlobInfo,
    BlobMissing,
    DigestMismatch,
    MakeRoom,
    Room,
    SpoolAborted,
    StoreError,
    StoreFull,
    StoreStatistics,
)
from skerry.wire.message import Segment

_CRASHED = "the node crashed before the spool was committed"


async def read_segment(segment: Segment) -> bytes:
    """Everything a segment gives, as a server would send it; closes it. Raises BodyAborted."""
    try:
        stop = segment.offset_bytes + segment.size_bytes
        position, parts = segment.offset_bytes, []
        while position < stop:
            end = await segment.readable(position)
            parts.append(os.pread(segment.fileno(), end - position, position))
            position += len(parts[-1])
            if not parts[-1]:
                raise StoreError(f"the file ends at {position} of {stop} bytes")
        return b"".join(parts)
    finally:
        segment.close()


class _Memory:
    """A file without a name; gone with its last reference."""

    def __init__(self) -> None:
        self.fd = os.memfd_create("skerry")
        self.size_bytes = 0
        weakref.finalize(self, os.close, self.fd)

    def append(self, chunk: bytes | bytearray | memoryview) -> None:
        os.pwrite(self.fd, chunk, self.size_bytes)
        self.size_bytes += len(chunk)

    def read(self) -> bytes:
        return os.pread(self.fd, self.size_bytes, 0)

    def segment(self, offset: int, size: int, growth: Growth | None = None) -> FileSegment:
        return FileSegment(os.dup(self.fd), offset_bytes=offset, size_bytes=size, growth=growth)


class MemorySpool:
    """A spool of `MemoryStore`."""

    def __init__(
        self, store: MemoryStore, size_bytes: int | None, algorithm: str, *, named: bool = True
    ) -> None:
        self.size_bytes = size_bytes
        self.digest: Digest | None = None
        self.growth = Growth(held_back_bytes=HELD_BACK_BYTES if named else 0)
        self.memory = _Memory()
        self.fault: StoreError | SpoolAborted | None = None
        self._store = store
        self._named = named
        self._hasher = new_hasher(algorithm)
        self._algorithm = algorithm

    @property
    def received_bytes(self) -> int:
        return self.memory.size_bytes

    @property
    def claimed_bytes(self) -> int:
        return max(self.size_bytes or 0, self.received_bytes)

    @property
    def content(self) -> bytes | None:
        small = self.size_bytes is not None and self.size_bytes <= SMALL_BYTES_MAX
        return self.memory.read() if small and not self._named and self.digest else None

    async def write(self, chunk: bytes | bytearray | memoryview) -> None:
        await asyncio.sleep(0)
        self._raise_fault()
        total = self.received_bytes + len(chunk)
        if self.size_bytes is not None and total > self.size_bytes:
            raise SpoolAborted(f"more than the announced {self.size_bytes} bytes arrived")
        if total > self.claimed_bytes:
            await self._store.reserve(total - self.claimed_bytes)
        self._store.raise_full()
        self.memory.append(chunk)
        self._hasher.update(chunk)
        self.growth.received(total)

    async def commit(
        self, digest: Digest | None, *, when_proven: Callable[[], None] | None = None
    ) -> Digest:
        self._raise_fault()
        try:
            found = self._prove(digest)
        except DigestMismatch as error:
            await self.abort(error)
            raise
        small = self.size_bytes is not None and self.size_bytes <= SMALL_BYTES_MAX
        if small or digest is not None:
            self.digest = found
        self.growth.finish(self.received_bytes)
        if when_proven is not None:
            when_proven()
        await asyncio.sleep(0)  # a crash here loses the blob though followers had all of it
        try:
            self._raise_fault()
            self._store.raise_read_only()
            self.digest = found
            self._store.keep(found, self.memory)
        finally:
            self._store.spools.discard(self)
            self.fault = self.fault or SpoolAborted("the spool is committed")
        return found

    async def abort(self, error: Exception) -> None:
        self.growth.abort(error)
        self._store.spools.discard(self)
        self.fault = self.fault or SpoolAborted(str(error))

    def follow(self, offset_bytes: int, size_bytes: int) -> Segment:
        return self.memory.segment(offset_bytes, size_bytes, self.growth)

    def _raise_fault(self) -> None:
        if self.fault is not None:
            raise self.fault

    def _prove(self, digest: Digest | None) -> Digest:
        if self.size_bytes not in (None, self.received_bytes):
            raise DigestMismatch(
                f"{digest or NAMELESS} came with {self.received_bytes} of {self.size_bytes} bytes"
            )
        algorithm = NAMELESS_ALGORITHM if digest is None else digest.algorithm
        if algorithm == self._algorithm:
            found = Digest(algorithm, self._hasher.hexdigest())
        else:
            found = digest_of(self.memory.read(), algorithm)
        if digest not in (None, found):
            raise DigestMismatch(f"what came as {digest} has the digest {found}")
        return found


class MemoryStore:
    """The memory twin of DiskStore. `budget_bytes` is enforced as the disk's is."""

    def __init__(
        self, clock: Clock, *, budget_bytes: int = 1 << 40, make_room: MakeRoom | None = None
    ) -> None:
        self.make_room = make_room
        self.removed: Callable[[Digest], None] = lambda digest: None
        self.full = False
        self.read_only = False
        self.spools: set[MemorySpool] = set()
        self._clock = clock
        self._budget_bytes = budget_bytes
        self._blobs: dict[Digest, _Memory] = {}
        self._last_used: dict[Digest, float] = {}
        self._quarantined: list[int] = []
        self._cursor: Digest | None = None
        self._scrubbed = self._corrupt = self._evicted = self._evicted_bytes = 0

    # faults

    def crash(self) -> None:
        """Loses whatever was not committed, as kill -9 and a restart do."""
        lost, self.spools = self.spools, set()
        for spool in lost:
            spool.fault = SpoolAborted(_CRASHED)
            spool.growth.abort(spool.fault)

    def kill_writers(self) -> None:
        """Breaks every live spool for its writer; followers learn of it when it aborts."""
        for spool in self.spools:
            spool.fault = StoreError("the spool's file is broken")

    def flip_bit(self, digest: Digest, position: int = 0) -> None:
        """Turns the lowest bit of one byte of a stored blob."""
        memory = self._blobs[digest]
        (byte,) = os.pread(memory.fd, 1, position)
        os.pwrite(memory.fd, bytes([byte ^ 1]), position)

    # ports.Store

    def size_of(self, digest: Digest) -> int | None:
        memory = self._blobs.get(digest)
        return None if memory is None else memory.size_bytes

    def open(self, digest: Digest, offset_bytes: int = 0, size_bytes: int | None = None) -> Segment:
        memory = self._found(digest)
        size = memory.size_bytes - offset_bytes if size_bytes is None else size_bytes
        if offset_bytes < 0 or size < 0 or offset_bytes + size > memory.size_bytes:
            raise StoreError(f"{digest} has only {memory.size_bytes} bytes")
        self._last_used[digest] = self._clock.now()
        return memory.segment(offset_bytes, size)

    async def read(self, digest: Digest, *, bytes_max: int) -> bytes:
        memory = self._found(digest)
        if memory.size_bytes > bytes_max:
            raise StoreError(f"{digest} is longer than {bytes_max} bytes")
        self._last_used[digest] = self._clock.now()
        return memory.read()

    async def begin(
        self, *, size_bytes: int | None = None, algorithm: str = "sha256", named: bool = True
    ) -> MemorySpool:
        self.raise_full()
        await self.reserve(size_bytes or 0)
        spool = MemorySpool(self, size_bytes, algorithm, named=named)
        self.spools.add(spool)
        return spool

    async def put(self, digest: Digest, data: bytes) -> None:
        spool = await self.begin(size_bytes=len(data), algorithm=digest.algorithm)
        try:
            await spool.write(data)
            await spool.commit(digest)
        except BaseException:
            await spool.abort(SpoolAborted(f"{digest} was not stored"))
            raise

    async def delete(self, digest: Digest) -> int:
        self.raise_read_only()
        memory = self._blobs.pop(digest, None)
        self._last_used.pop(digest, None)
        if memory is None:
            return 0
        self.removed(digest)
        self._evicted += 1
        self._evicted_bytes += memory.size_bytes
        return memory.size_bytes

    async def verify(self, digest: Digest, *, bytes_per_second: int | None = None) -> bool:
        memory = self._found(digest)
        self._scrubbed += 1
        if digest_of(memory.read(), digest.algorithm) == digest:
            return True
        self._corrupt += 1
        if not self.read_only:
            del self._blobs[digest]
            self._quarantined.append(memory.size_bytes)
        self.removed(digest)
        return False

    def blobs(self) -> Iterator[BlobInfo]:
        for digest, memory in list(self._blobs.items()):
            yield BlobInfo(digest, memory.size_bytes, self._last_used.get(digest, 0.0))

    def statistics(self) -> StoreStatistics:
        return StoreStatistics(
            blob_count=len(self._blobs),
            blob_bytes=sum(memory.size_bytes for memory in self._blobs.values()),
            spool_count=len(self.spools),
            spool_bytes=sum(spool.received_bytes for spool in self.spools),
            quarantine_count=len(self._quarantined),
            quarantine_bytes=sum(self._quarantined),
            budget_bytes=self._budget_bytes,
            writable=not (self.full or self.read_only),
            scrubbed_count=self._scrubbed,
            corrupt_count=self._corrupt,
            evicted_count=self._evicted,
            evicted_bytes=self._evicted_bytes,
        )

    # ports.KeptStore

    def room(self) -> Room:
        claimed = sum(spool.claimed_bytes for spool in self.spools)
        used = claimed + sum(memory.size_bytes for memory in self._blobs.values())
        return Room(used, self._budget_bytes, disk_free_bytes=1 << 60)

    async def reconcile(self) -> list[Digest]:
        return []

    async def flush(self) -> None:
        return

    async def next_blobs(self, after: Digest | None, *, count_max: int) -> list[BlobInfo]:
        rest = sorted(d for d in self._blobs if after is None or d > after)[:count_max]
        return [BlobInfo(d, self._blobs[d].size_bytes, self._last_used.get(d, 0.0)) for d in rest]

    def scrub_cursor(self) -> Digest | None:
        return self._cursor

    async def set_scrub_cursor(self, cursor: Digest | None) -> None:
        self._cursor = cursor

    # for its spools

    async def reserve(self, size_bytes: int) -> None:
        """Makes sure the budget has room for more. Raises StoreFull."""
        if self.make_room is not None and self.room().shortage_bytes(size_bytes):
            await self.make_room(size_bytes)
        if not self.room().fits(size_bytes):
            raise StoreFull(f"{size_bytes} bytes do not fit", next_step="raise store.budget")

    def raise_full(self) -> None:
        if self.full:
            raise StoreFull("the disk is full", next_step="free some space")
        self.raise_read_only()

    def raise_read_only(self) -> None:
        if self.read_only:
            raise StoreFull("the disk is read-only", next_step="remount it read-write")

    def keep(self, digest: Digest, memory: _Memory) -> None:
        self._blobs[digest] = memory
        self._last_used[digest] = self._clock.now()

    def _found(self, digest: Digest) -> _Memory:
        memory = self._blobs.get(digest)
        if memory is None:
            raise BlobMissing(f"{digest} is not in the store")
        return memory
