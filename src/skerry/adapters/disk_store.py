"""Content-addressed bytes on one disk: `store.ports.KeptStore` over plain files.

Owns one data directory (docs/internals/store.md). Presence is the file; the index is derived and
may vanish. Never knows what a blob means, and never evicts by itself: it asks `make_room`.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

from skerry.adapters.disk_index import DiskIndex
from skerry.adapters.disk_layout import (
    HASH_STEP_BYTES,
    Folder,
    Layout,
    hash_and_close,
    read_and_close,
    translated,
    unlink_quietly,
)
from skerry.adapters.disk_shelf import Shelf
from skerry.adapters.disk_small import SmallCopies, SmallSpool
from skerry.adapters.disk_spool import Desk, DiskSpool, created
from skerry.base.clock import Clock
from skerry.base.digest import Digest, InvalidDigest, digest_of, new_hasher
from skerry.base.units import format_bytes
from skerry.store.growth import FileSegment
from skerry.store.ports import (
    SMALL_BYTES_MAX,
    BlobInfo,
    DigestMismatch,
    MakeRoom,
    Room,
    SpoolAborted,
    StoreError,
    StoreFull,
    StoreStatistics,
)
from skerry.wire.message import Segment

THREADS_MAX = 8
READ_INLINE_BYTES_MAX = 64 * 1024
CHANGED_COUNT_MAX = 5_000
"""So many corrections are written before more are gathered."""
QUARANTINE_BYTES_MAX = 1 << 30
QUARANTINE_SHARE_MAX = 0.02
DEFAULT_BUDGET_SHARE = 0.8

T = TypeVar("T")


class DiskStore:
    """The blobs below one data directory; one process at a time.

    Args:
        data_dir: made if missing. Opening does no scan: the index is believed until `reconcile`.
        budget_bytes: for blobs and spools together; None is 80 % of the file system's size.
    Raises StoreError when the directory cannot be read or another process has it.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        clock: Clock,
        budget_bytes: int | None = None,
        high_watermark: float = 0.95,
        low_watermark: float = 0.85,
        make_room: MakeRoom | None = None,
    ) -> None:
        self.make_room = make_room
        self.removed: Callable[[Digest], None] = lambda digest: None
        self._clock = clock
        self._layout = Layout(data_dir)
        with suppress(OSError):
            data_dir.mkdir(parents=True, exist_ok=True, mode=0o750)  # private images, too
        self._lock_fd = self._layout.lock()
        try:
            self._layout.prepare()
        except StoreError:
            if self._lock_fd is not None:
                os.close(self._lock_fd)
            raise
        self._index = DiskIndex(self._layout.index)
        self._shelf = Shelf(self._layout, self._index)
        disk = os.statvfs(data_dir)
        self._budget_bytes = budget_bytes or int(
            disk.f_blocks * disk.f_frsize * DEFAULT_BUDGET_SHARE
        )
        self._watermarks = high_watermark, low_watermark
        self._threads = ThreadPoolExecutor(THREADS_MAX, thread_name_prefix="skerry-store")
        self._spools: set[DiskSpool] = set()
        self._names = itertools.count(1)
        self._writable = True
        self._closed = False
        self._scrubbed = self._corrupt = self._evicted = self._evicted_bytes = 0
        quarantined = self._layout.quarantined()
        self._quarantine_count = len(quarantined)
        self._quarantine_bytes = sum(size for _, size in quarantined)
        self._desk = Desk(
            run_in=self._threads,
            reserve=self._reserve,
            place=self._place,
            ended=self._spool_ended,
            failed=self._failed,
        )
        self._small = SmallCopies(
            self._layout,
            self._shelf,
            self._index,
            clock=clock,
            names=self._names,
            run_in=self._threads,
            failed=self._failed,
        )

    # reading

    def size_of(self, digest: Digest) -> int | None:
        return self._shelf.size_of(digest)

    def open(self, digest: Digest, offset_bytes: int = 0, size_bytes: int | None = None) -> Segment:
        fd, whole = self._shelf.open(digest)
        size = whole - offset_bytes if size_bytes is None else size_bytes
        if offset_bytes < 0 or size < 0 or offset_bytes + size > whole:
            os.close(fd)
            raise StoreError(f"{digest} has only {whole} bytes")
        self._shelf.mark_used(digest, self._clock.now())
        return FileSegment(fd, offset_bytes=offset_bytes, size_bytes=size)

    async def read(self, digest: Digest, *, bytes_max: int) -> bytes:
        segment = self.open(digest)
        try:
            size = segment.size_bytes
            if size > bytes_max:
                raise StoreError(f"{digest} is longer than {bytes_max} bytes")
            if size <= READ_INLINE_BYTES_MAX:
                data = os.pread(segment.fileno(), size, 0)
            else:
                # A descriptor of its own: cancelling the reader does not stop the thread.
                copy = os.dup(segment.fileno())
                data = await self._run(partial(read_and_close, copy, size))
        except OSError as error:
            raise translated(error, f"reading {digest}") from error
        finally:
            segment.close()
        if len(data) != size:
            raise StoreError(f"{digest} ended at {len(data)} of {size} bytes")
        return data

    def blobs(self) -> Iterator[BlobInfo]:
        for folder in self._layout.folders():
            yield from self._shelf.infos(folder)

    async def verify(self, digest: Digest, *, bytes_per_second: int | None = None) -> bool:
        fd, _ = self._shelf.open(digest)
        try:
            hasher = new_hasher(digest.algorithm)
            position = 0
            while done := await self._run(
                partial(hash_and_close, os.dup(fd), hasher, position, HASH_STEP_BYTES)
            ):
                position += done
                if bytes_per_second:
                    await self._clock.sleep(done / bytes_per_second)
            self._scrubbed += 1
            if hasher.hexdigest() == digest.hex:
                return True
            self._corrupt += 1
            self._put_away(digest, os.fstat(fd).st_ino)
        except OSError as error:
            raise translated(error, f"reading {digest}") from error
        finally:
            os.close(fd)
        await self._run(self._bound_quarantine)
        return False

    # writing

    async def begin(
        self, *, size_bytes: int | None = None, algorithm: str = "sha256", named: bool = True
    ) -> DiskSpool | SmallSpool:
        await self._reserve(size_bytes or 0)
        if not named and size_bytes is not None and size_bytes <= SMALL_BYTES_MAX:
            return self._small.begin(size_bytes)
        path = f"{self._layout.ingest}/{next(self._names)}"
        try:
            fd = created(path)
        except StoreFull:
            self._writable = False
            raise
        spool = DiskSpool(
            path, fd, size_bytes=size_bytes, algorithm=algorithm, desk=self._desk, named=named
        )
        self._spools.add(spool)
        return spool

    async def put(self, digest: Digest, data: bytes) -> None:
        found = digest_of(data, digest.algorithm)
        if found != digest:
            raise DigestMismatch(f"what came as {digest} has the digest {found.hex}")
        spool = await self.begin(size_bytes=len(data), algorithm=digest.algorithm)
        try:
            await spool.write(data)
            await spool.commit(digest)
        except BaseException:
            await spool.abort(SpoolAborted(f"{digest} was not stored"))
            raise

    async def delete(self, digest: Digest) -> int:
        rubbish = f"{self._layout.ingest}/gone-{next(self._names)}"
        try:
            size = self._shelf.take(digest, rubbish)
        except OSError as error:
            raise self._failed(error, f"deleting {digest}") from error
        if size is None:
            return 0
        self.removed(digest)
        self._evicted += 1
        self._evicted_bytes += size
        # Freeing the extents of a large file takes a while: not on the event loop.
        await self._run(partial(unlink_quietly, rubbish))
        return size

    def statistics(self) -> StoreStatistics:
        return StoreStatistics(
            blob_count=self._shelf.blob_count,
            blob_bytes=self._shelf.blob_bytes,
            spool_count=len(self._spools) + self._small.count,
            spool_bytes=self._small.claimed_bytes
            + sum(spool.received_bytes for spool in self._spools),
            quarantine_count=self._quarantine_count,
            quarantine_bytes=self._quarantine_bytes,
            budget_bytes=self._budget_bytes,
            writable=self._writable,
            scrubbed_count=self._scrubbed,
            corrupt_count=self._corrupt,
            evicted_count=self._evicted,
            evicted_bytes=self._evicted_bytes,
        )

    # upkeep

    def room(self) -> Room:
        return self._room(0)

    def _room(self, wanted_bytes: int) -> Room:
        waiting = sum(max(0, s.claimed_bytes - s.received_bytes) for s in self._spools)
        claimed = sum(max(s.claimed_bytes, s.received_bytes) for s in self._spools)
        free = self._layout.free_bytes(wanted_bytes)
        high, low = self._watermarks
        return Room(
            used_bytes=self._shelf.blob_bytes + claimed + self._small.claimed_bytes,
            budget_bytes=self._budget_bytes,
            disk_free_bytes=max(0, free - waiting),
            high_watermark=high,
            low_watermark=low,
        )

    async def reconcile(self) -> list[Digest]:
        suspects = []
        on_disk = await self._run(self._layout.folders)
        for folder in sorted({*on_disk, *self._shelf.known_folders()}):
            recount = partial(self._shelf.recount, folder, unsynced=self._small.unsynced)
            suspects += await self._run(recount)
            if self._shelf.changed_count > CHANGED_COUNT_MAX:
                await self._run(self._shelf.flush)
        self._small.looked_at()
        await self.flush()
        return suspects

    async def flush(self) -> None:
        await self._run(self._shelf.flush)
        await self._run(self._small.note)
        if not self._writable:
            await self._run(self._try_writing)

    async def next_blobs(self, after: Digest | None, *, count_max: int) -> list[BlobInfo]:
        def collect() -> list[BlobInfo]:
            found: list[BlobInfo] = []
            for folder in self._layout.folders():
                if after is not None and folder < Folder.of(after):
                    continue
                infos = self._shelf.infos(folder)
                found += [info for info in infos if after is None or info.digest > after]
                if len(found) >= count_max:
                    break
            return found

        return await self._run(collect)

    def scrub_cursor(self) -> Digest | None:
        try:
            return Digest.parse(self._index.mark("scrub_cursor"))
        except InvalidDigest:
            return None

    async def set_scrub_cursor(self, cursor: Digest | None) -> None:
        await self._run(partial(self._index.set_mark, "scrub_cursor", str(cursor or "")))

    async def close(self) -> None:
        """Aborts live spools, lets commits that have begun end, writes the index, lets go."""
        if self._closed:
            return
        self._closed = True
        await self._small.close()
        for spool in list(self._spools):
            await spool.abort(SpoolAborted("the node is stopping"))
        while self._spools:
            await asyncio.wait([spool.gone for spool in self._spools])
        await self._run(self._small.sync)
        await self._run(self._shelf.flush)
        await self._run(self._index.close)
        self._threads.shutdown(wait=True)
        if self._lock_fd is not None:
            os.close(self._lock_fd)
            self._lock_fd = None

    # inside

    async def _reserve(self, size_bytes: int) -> None:
        room = self._room(size_bytes)
        if room.shortage_bytes(size_bytes) and self.make_room is not None:
            await self.make_room(size_bytes)
            room = self._room(size_bytes)
        if not room.fits(size_bytes):
            step = "raise store.budget or unpin something"
            if size_bytes > room.disk_free_bytes:
                self._writable = False  # until `flush` finds that it is again
                step = "free space on the disk; it is not store.budget that is short"
            raise StoreFull(
                f"no room for {format_bytes(size_bytes)}: {format_bytes(room.used_bytes)} of "
                f"{format_bytes(room.budget_bytes)} are used and the disk has "
                f"{format_bytes(room.disk_free_bytes)} left",
                next_step=step,
            )

    def _place(self, path: str, digest: Digest) -> None:
        self._shelf.place(path, digest, now=self._clock.now())

    def _spool_ended(self, spool: DiskSpool, placed: bool) -> None:
        self._spools.discard(spool)
        self._writable = self._writable or placed

    def _failed(self, error: OSError, doing: str) -> StoreError:
        found = translated(error, doing)
        if isinstance(found, StoreFull):
            self._writable = False
        return found

    def _try_writing(self) -> None:
        path = f"{self._layout.ingest}/try-{next(self._names)}"
        try:
            with open(path, "xb") as file:
                file.write(bytes(64 * 1024))
                os.fsync(file.fileno())
        except OSError:
            pass
        else:
            self._writable = True
        unlink_quietly(path)

    def _put_away(self, digest: Digest, inode: int) -> None:
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(self._clock.now()))
        name = f"{stamp}-{next(self._names):08}-mismatch-{digest.algorithm}-{digest.hex}"
        try:
            self._shelf.take(digest, f"{self._layout.quarantine}/{name}", inode=inode)
        except OSError as error:
            self._shelf.condemn(digest)
            self._failed(error, f"quarantining {digest}")
        self.removed(digest)

    def _bound_quarantine(self) -> None:
        bound = min(QUARANTINE_BYTES_MAX, int(self._budget_bytes * QUARANTINE_SHARE_MAX))
        kept = self._layout.quarantined()
        while kept and sum(size for _, size in kept) > bound:
            unlink_quietly(kept.pop(0)[0])
        self._quarantine_count = len(kept)
        self._quarantine_bytes = sum(size for _, size in kept)

    async def _run(self, work: Callable[[], T]) -> T:
        # Shielded: a step that was handed a descriptor runs and gives it back, asker or no asker.
        return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._threads, work))
