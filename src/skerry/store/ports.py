"""What the rest of the node may ask of the store.

Owns the Protocols, their values and their errors. A blob is either wholly there, proven and
durable, or it is not there; presence is the file itself, never a row about it (known failures
T16, T17).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from skerry.base.digest import Digest
from skerry.base.errors import Party, SkerryError
from skerry.wire.message import Segment

HELD_BACK_BYTES = 32 * 1024
"""The end of a growing spool that no follower sees before the digest agrees (design section 4)."""
SMALL_BYTES_MAX = 64 * 1024
"""Up to here a content without a name is held in memory until it is proven."""
NAMELESS = "a content without a name"
NAMELESS_ALGORITHM = "sha256"
"""What is kept without a known name is named by this."""


class StoreError(SkerryError):
    """The disk would not do it."""


class StoreFull(StoreError):
    """No room: the budget, the disk or its quota is used up, or the disk is read-only."""

    party = Party.OPERATOR


class BlobMissing(StoreError):
    """Not in the store."""


class DigestMismatch(SkerryError):
    """The bytes are not what their name says; they were thrown away."""

    party = Party.UPSTREAM


class SpoolAborted(SkerryError):
    """The rest of a growing spool will never come."""

    party = Party.UPSTREAM


@dataclass(frozen=True, slots=True)
class BlobInfo:
    """One stored blob. `last_used` is in seconds since the epoch and may lag by a minute."""

    digest: Digest
    size_bytes: int
    last_used: float


@dataclass(frozen=True, slots=True)
class StoreStatistics:
    """A snapshot. `blob_bytes` equals what `du` counts of the blobs' lengths."""

    blob_count: int
    blob_bytes: int
    spool_count: int
    spool_bytes: int
    quarantine_count: int
    quarantine_bytes: int
    budget_bytes: int
    writable: bool
    scrubbed_count: int
    corrupt_count: int
    evicted_count: int
    evicted_bytes: int


class Spool(Protocol):
    """Bytes on their way in; readable by followers while they grow.

    One writer. Exactly one of `commit` and `abort` ends it.
    """

    @property
    def received_bytes(self) -> int: ...
    @property
    def size_bytes(self) -> int | None:
        """The length announced at `begin`, or None."""

    @property
    def digest(self) -> Digest | None:
        """What the bytes are called; known before they are visible: from their proof on, or later
        if nobody had a name for them."""

    @property
    def content(self) -> bytes | None:
        """The whole, once proven, while it is at hand in memory; else it is read by `follow`."""

    async def write(self, chunk: bytes | bytearray | memoryview) -> None:
        """Appends and hashes, off the event loop when large.

        Raises StoreFull, or SpoolAborted when more than `size_bytes` arrives; either leaves the
        spool to be aborted by its writer.
        """

    async def commit(
        self, digest: Digest | None, *, when_proven: Callable[[], None] | None = None
    ) -> Digest:
        """Proves length and digest, lets followers have the end, makes it durable and visible.

        None: nobody knows what the bytes are called. Only an announced length can be proven, and
        they are named by their sha256. Returns the name.

        Order: prove, release followers and call `when_proven`, fsync, rename, fsync of the folder.
        What nobody had a name for may be hashed after the release: it proves nothing to them.
        Returns when the blob is durable. Raises DigestMismatch (followers are aborted, the bytes
        are gone) or StoreFull (followers got everything, nothing is kept). A blob already there
        is success.
        """

    async def abort(self, error: Exception) -> None:
        """Throws the bytes away; followers raise BodyAborted with `error` as its cause."""

    def follow(self, offset_bytes: int, size_bytes: int) -> Segment:
        """A reader of these bytes that waits for what is missing.

        All but the last `HELD_BACK_BYTES` of what was received are shown until commit has proven
        the whole; all of it when the spool is not `named`. Works after commit too. Survives
        eviction of the blob while open.
        """


class Store(Protocol):
    """Content-addressed bytes on one disk."""

    def size_of(self, digest: Digest) -> int | None:
        """Length in bytes, or None when the blob is not there. One stat call."""

    def open(self, digest: Digest, offset_bytes: int = 0, size_bytes: int | None = None) -> Segment:
        """A reader of part or all of a stored blob; counts as a use. Raises BlobMissing."""

    async def read(self, digest: Digest, *, bytes_max: int) -> bytes:
        """A small blob whole. Raises BlobMissing, or StoreError when longer than `bytes_max`."""

    async def begin(
        self, *, size_bytes: int | None = None, algorithm: str = "sha256", named: bool = True
    ) -> Spool:
        """A new spool; makes room by eviction if it can. Raises StoreFull.

        `algorithm` is the one most likely asked for at commit; another costs a second read.
        Without a name to prove the end by there is nothing to hold it back for: followers of a
        spool that is not `named` see every byte as it comes. Such a content is a copy that can be
        had again: when it is short it is visible at its commit and durable a moment later.
        """

    async def put(self, digest: Digest, data: bytes) -> None:
        """Proves, stores and makes durable something small. Raises DigestMismatch, StoreFull."""

    async def delete(self, digest: Digest) -> int:
        """Removes a blob; open readers keep theirs. Returns the bytes freed, 0 when absent.

        Gone before the first suspension: nothing comes between a caller's check and the removal.
        """

    async def verify(self, digest: Digest, *, bytes_per_second: int | None = None) -> bool:
        """Re-hashes one blob in a thread; on mismatch quarantines it and returns False.

        True for a sound blob. Read no faster than `bytes_per_second`, when given. Raises
        BlobMissing, or StoreError when the disk could not be read (nothing is concluded, T40).
        """

    def blobs(self) -> Iterator[BlobInfo]:
        """Every stored blob, in no order."""

    def statistics(self) -> StoreStatistics: ...


@dataclass(frozen=True, slots=True)
class Group:
    """Blobs that are only useful together: for the registry, one image; for the cache, one object.

    Attributes:
        id: opaque to the store.
        members: digest -> length in bytes; members may be shared with other groups.
        last_used: seconds since the epoch.
        pinned: never evicted.
        busy: being filled or pushed just now, never evicted.
        refetchable: could be had again from somewhere at this moment.
    """

    id: str
    members: dict[Digest, int]
    last_used: float
    pinned: bool = False
    busy: bool = False
    refetchable: bool = True


class Inventory(Protocol):
    """What the owners of the blobs know, for eviction. Filled by `app`."""

    def groups(self) -> list[Group]:
        """Every group, including one for each loose blob that somebody owns; of very many, those
        that go first.

        Called in a thread of its own, since a large catalog takes seconds.
        """

    async def drop(self, group_ids: list[str]) -> None:
        """Forgets these groups, durably, before their bytes go (no dangling manifest, T38).

        One that was pinned or became busy since it was listed stays.
        """

    def names(self, group_ids: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """What people call those of these groups that are still here, as `groups` listed them.

        Called in a thread of its own.
        """

    def still_wanted(self, digest: Digest) -> bool:
        """Whether some group, pin, push or fill holds the digest at this very moment."""


MakeRoom = Callable[[int], Awaitable[bool]]
"""Asked for so many bytes under the high watermark; answers whether they are there now."""


@dataclass(frozen=True, slots=True)
class Room:
    """How full a store is. Watermarks are shares of the budget.

    Attributes:
        used_bytes: blobs and what live spools have claimed (announced or received).
        disk_free_bytes: what the file system can take beyond what live spools still wait for.
    """

    used_bytes: int
    budget_bytes: int
    disk_free_bytes: int
    high_watermark: float = 0.95
    low_watermark: float = 0.85

    def shortage_bytes(self, need_bytes: int) -> int:
        """How much must go for `need_bytes` more to fit under the high watermark; 0 if it fits."""
        over = self.used_bytes + need_bytes - int(self.budget_bytes * self.high_watermark)
        return max(0, over, need_bytes - self.disk_free_bytes)

    def goal_bytes(self, need_bytes: int) -> int:
        """How much eviction should free at once: down to the low watermark; 0 if it fits."""
        shortage = self.shortage_bytes(need_bytes)
        over = self.used_bytes + need_bytes - int(self.budget_bytes * self.low_watermark)
        return max(shortage, over) if shortage else 0

    def fits(self, need_bytes: int) -> bool:
        """Whether it may still be taken in, past the high watermark if need be."""
        return (
            self.used_bytes + need_bytes <= self.budget_bytes and need_bytes <= self.disk_free_bytes
        )


class KeptStore(Store, Protocol):
    """A store as its housekeeper sees it: what the rest of the node has no business with."""

    make_room: MakeRoom | None
    """Asked before `begin` raises StoreFull."""

    removed: Callable[[Digest], None]
    """Told of each blob that was deleted or quarantined, before anything else can happen."""

    def room(self) -> Room:
        """How full it is at this moment."""

    async def reconcile(self) -> list[Digest]:
        """Corrects the accounting from the files. Returns blobs whose length changed: suspects."""

    async def flush(self) -> None:
        """Writes last uses and sizes to the index, if the disk lets it."""

    async def next_blobs(self, after: Digest | None, *, count_max: int) -> list[BlobInfo]:
        """Stored blobs in digest order behind a cursor; fewer or more than asked, [] at the end."""

    def scrub_cursor(self) -> Digest | None:
        """Where the last scrub got to; None for a fresh round."""

    async def set_scrub_cursor(self, cursor: Digest | None) -> None:
        """Keeps the cursor across restarts, if the disk lets it."""
