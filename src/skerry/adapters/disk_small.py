"""Small copies of what can be had again: in memory until proven, then one file each at once.

Owns a spool that needs no file while it grows, no thread and no sync of its own, and the sync of
all of them together a moment later. Never used for what somebody may take for durable. A loss of
power in that moment may tear a file; the next start looks for those (known failures T15, T16).
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass

from skerry.adapters.disk_index import DiskIndex
from skerry.adapters.disk_layout import Layout, sync_all
from skerry.adapters.disk_shelf import Shelf
from skerry.base.clock import Clock
from skerry.base.digest import Digest, digest_of
from skerry.store.growth import FileSegment, Growth
from skerry.store.ports import (
    NAMELESS,
    NAMELESS_ALGORITHM,
    DigestMismatch,
    SpoolAborted,
    StoreError,
)
from skerry.wire.message import Segment

SYNC_SECONDS = 1.0
"""After the first copy that is not durable yet, all of them are made so."""
SYNCED_MARGIN_SECONDS = 5.0
"""Files with times so shortly before the last sync are looked at too: clocks are coarse."""
_MARK = "synced_at"


@dataclass(frozen=True, slots=True)
class SmallDesk:
    """What a small spool needs of its store.

    Attributes:
        place: writes the proven bytes and shows them; raises OSError.
        ended: told once that the spool is placed or gone; True when it was placed.
        failed: translates the disk's error and remembers that it failed.
    """

    place: Callable[[Digest, bytes], None]
    ended: Callable[[SmallSpool, bool], None]
    failed: Callable[[OSError, str], StoreError]


class SmallSpool:
    """A `store.ports.Spool` of announced length, at most `SMALL_BYTES_MAX`. Used from one loop."""

    def __init__(self, *, size_bytes: int, desk: SmallDesk) -> None:
        self.size_bytes = size_bytes
        self.digest: Digest | None = None
        self.content: bytes | None = None
        self._desk = desk
        self._parts: list[bytes] = []
        self._received = 0
        self._growth: Growth | None = None
        self._memory_fd = -1
        self._state = "open"

    @property
    def received_bytes(self) -> int:
        return self._received

    async def write(self, chunk: bytes | bytearray | memoryview) -> None:
        self._raise_unless_open()
        if self._received + len(chunk) > self.size_bytes:
            raise SpoolAborted(f"more than the announced {self.size_bytes} bytes arrived")
        data = bytes(chunk)
        if self._growth is not None:
            os.pwrite(self._memory_fd, data, self._received)
        self._parts.append(data)
        self._received += len(data)
        if self._growth is not None:
            self._growth.received(self._received)

    async def commit(
        self, digest: Digest | None, *, when_proven: Callable[[], None] | None = None
    ) -> Digest:
        self._raise_unless_open()
        try:
            content, found = self._prove(digest)
        except DigestMismatch as error:
            await self.abort(error)
            raise
        self._state = "committed"
        self.digest, self.content = found, content
        self._parts.clear()
        if self._growth is not None:
            self._growth.finish(self._received)
        if when_proven is not None:
            when_proven()
        placed = False
        try:
            self._desk.place(found, content)
            placed = True
        except OSError as error:
            raise self._desk.failed(error, f"storing {found}") from error
        finally:
            self._desk.ended(self, placed)
        return found

    async def abort(self, error: Exception) -> None:
        if self._state == "open":
            self._state = "aborted"
            self._parts.clear()
            if self._growth is not None:
                self._growth.abort(error)
            self._desk.ended(self, False)

    def follow(self, offset_bytes: int, size_bytes: int) -> Segment:
        """Readers send files: whoever reads it while it grows gets one, in memory."""
        if self._growth is None:
            self._growth = Growth(held_back_bytes=0)
            self._memory_fd = os.memfd_create("skerry-spool", os.MFD_CLOEXEC)
            content = b"".join(self._parts) if self.content is None else self.content
            os.pwrite(self._memory_fd, content, 0)
            if self.content is not None:
                self._growth.finish(len(content))
            elif self._state == "aborted":
                self._growth.abort(SpoolAborted("the spool is aborted"))
            else:
                self._growth.received(len(content))
        return FileSegment(
            os.dup(self._memory_fd),
            offset_bytes=offset_bytes,
            size_bytes=size_bytes,
            growth=self._growth,
        )

    def __del__(self) -> None:
        if self._memory_fd >= 0:
            os.close(self._memory_fd)

    def _prove(self, digest: Digest | None) -> tuple[bytes, Digest]:
        content = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        if len(content) != self.size_bytes:
            raise DigestMismatch(
                f"{digest or NAMELESS} came with {len(content)} of {self.size_bytes} bytes",
                next_step="it is fetched again from another source, if there is one",
            )
        found = digest_of(content, NAMELESS_ALGORITHM if digest is None else digest.algorithm)
        if digest not in (None, found):
            raise DigestMismatch(
                f"what came as {digest} has the digest {found}",
                next_step="it is fetched again from another source, if there is one",
            )
        return content, found

    def _raise_unless_open(self) -> None:
        if self._state != "open":
            raise SpoolAborted(f"the spool is {self._state}")


class SmallCopies:
    """The small spools of one store, and when what they placed is durable.

    Attributes:
        claimed_bytes: what live ones have announced.
        unsynced: files with times after the first and up to the second were placed before this
            start, and nothing tells that they were synced.
    """

    def __init__(
        self,
        layout: Layout,
        shelf: Shelf,
        index: DiskIndex,
        *,
        clock: Clock,
        names: Iterator[int],
        run_in: Executor,
        failed: Callable[[OSError, str], StoreError],
    ) -> None:
        self.claimed_bytes = 0
        self.unsynced = _known(index.mark(_MARK)) - SYNCED_MARGIN_SECONDS, clock.now()
        self._layout = layout
        self._shelf = shelf
        self._index = index
        self._clock = clock
        self._names = names
        self._run_in = run_in
        self._desk = SmallDesk(self._place, self._ended, failed)
        self._spools: set[SmallSpool] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._placed = self._synced = 0
        self._looked_at = self._closed = False

    @property
    def count(self) -> int:
        """Live spools."""
        return len(self._spools)

    def begin(self, size_bytes: int) -> SmallSpool:
        """A new spool of this announced length."""
        spool = SmallSpool(size_bytes=size_bytes, desk=self._desk)
        self._spools.add(spool)
        self.claimed_bytes += size_bytes
        return spool

    def looked_at(self) -> None:
        """The suspects of `unsynced` are known: what is synced from now on may be noted."""
        self._looked_at = True

    def sync(self) -> None:
        """Makes durable what was placed before; blocks."""
        began, placed = self._clock.now(), self._placed
        with suppress(OSError):  # without the mark the next start looks at these files
            sync_all(str(self._layout.data_dir))
            self._synced = placed
            self._note(began)

    def note(self) -> None:
        """Notes that all is durable, if it is; blocks."""
        now = self._clock.now()
        if self._placed == self._synced:
            self._note(now)

    async def close(self) -> None:
        """Ends what is live; nothing is placed any more."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        for spool in list(self._spools):
            await spool.abort(SpoolAborted("the node is stopping"))

    def _note(self, moment: float) -> None:
        if self._looked_at:
            self._index.set_mark(_MARK, str(moment))

    def _place(self, digest: Digest, content: bytes) -> None:
        if self._closed:
            raise OSError(errno.EROFS, "the store is closed")
        self._placed += 1
        source = f"{self._layout.ingest}/{next(self._names)}"
        self._shelf.put(source, digest, content, now=self._clock.now())
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(SYNC_SECONDS, self._begin_sync)

    def _begin_sync(self) -> None:
        self._timer = None  # what is placed from now on may come too late for this one
        with suppress(RuntimeError):  # the threads have ended
            self._run_in.submit(self.sync)

    def _ended(self, spool: SmallSpool, _: bool) -> None:
        self._spools.discard(spool)
        self.claimed_bytes -= spool.size_bytes


def _known(mark: str) -> float:
    try:
        return float(mark)
    except ValueError:
        return 0.0
