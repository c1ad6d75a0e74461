"""What an operator can have the registry do, and the values that come back.

Owns the Protocol and its results, made of plain fields so that the admin door can write them as
JSON and the CLI can read them back. Holds no logic; whoever implements it raises SkerryError.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from skerry.base.errors import Party, SkerryError
from skerry.store.ports import StoreStatistics
from skerry.telemetry.events import Event
from skerry.telemetry.horizon import Expiry
from skerry.telemetry.ratios import HitRatio
from skerry.upstream.misses import Spending


class NotHeld(SkerryError):
    """The image that was named is not on this node."""

    party = Party.CLIENT


class Freshness(StrEnum):
    """How sure a tag's meaning is."""

    FRESH = "fresh"
    STALE = "stale"  # its window is over and the upstream has not confirmed it since
    MOVED = "moved"  # the upstream says another digest, which is not whole here yet
    GONE = "gone"  # deleted upstream, still served here
    LOCAL = "local"  # pushed here: always right
    DIGEST = "digest"  # named by digest: for ever


@dataclass(frozen=True, slots=True)
class MissingPart:
    """A content that an image needs and this node has not.

    Attributes:
        kind: `manifest`, `config` or `layer`.
        size_bytes: as its descriptor says.
        platform: `os/arch[/variant]` it is for, "" when it is for all or not said.
    """

    digest: str
    kind: str
    size_bytes: int
    platform: str = ""


@dataclass(frozen=True, slots=True)
class ImageRow:
    """One image as this node has it.

    Attributes:
        reference: `host/name:tag`, or `host/name@digest` for one without a tag; without a host
            when it was pushed here.
        digest: what the reference means here.
        size_bytes: held here for this image, a shared layer counted in each image.
        whole: every content of every platform in `platforms` is here; the companions too.
        missing: what is not here; () exactly when whole.
        platforms: that can be pulled now.
        last_used: seconds since the epoch.
        confirmed_at: when the upstream last said so, seconds since the epoch; None when local
            or never.
    """

    reference: str
    digest: str
    media_type: str
    size_bytes: int
    whole: bool
    missing: tuple[MissingPart, ...]
    platforms: tuple[str, ...]
    pinned: bool
    last_used: float
    freshness: Freshness
    confirmed_at: float | None = None


class WarmStep(StrEnum):
    PLANNED = "planned"
    PROGRESS = "progress"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class WarmEvent:
    """One step of warming one image.

    Every image gets PLANNED first (unless it fails before), then PROGRESS, then one of DONE and
    FAILED. When the byte cap would be passed, the image is FAILED before anything is fetched.

    Attributes:
        image: as the operator wrote it.
        planned_bytes: to be fetched for it; what is here already does not count.
        done_bytes: fetched so far.
        what, next_step: of a failure.
    """

    step: WarmStep
    image: str
    digest: str = ""
    planned_bytes: int = 0
    done_bytes: int = 0
    what: str = ""
    next_step: str = ""


class ScrubStep(StrEnum):
    PROGRESS = "progress"
    CORRUPT = "corrupt"  # found and quarantined
    HEALED = "healed"  # fetched again, whole
    LOST = "lost"  # could not be fetched again now
    DONE = "done"


@dataclass(frozen=True, slots=True)
class ScrubEvent:
    """One step of re-hashing everything. The counts are totals of this scrub so far."""

    step: ScrubStep
    digest: str = ""
    checked_count: int = 0
    checked_bytes: int = 0
    total_bytes: int = 0
    corrupt_count: int = 0
    healed_count: int = 0
    what: str = ""


@dataclass(frozen=True, slots=True)
class Pinned:
    """`changed` is False when it was so before."""

    reference: str
    pinned: bool
    changed: bool


@dataclass(frozen=True, slots=True)
class Removed:
    """`freed_bytes` leaves out what other images share."""

    reference: str
    digest: str
    freed_bytes: int


@dataclass(frozen=True, slots=True)
class Exported:
    """An image written as an OCI layout."""

    reference: str
    digest: str
    path: str
    blob_count: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Imported:
    """An OCI layout read in, every blob proven."""

    references: tuple[str, ...]
    blob_count: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Evicted:
    """What was dropped to make room, whole images."""

    references: tuple[str, ...]
    freed_bytes: int


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """One source of an upstream.

    Attributes:
        breaker: `closed`, `open` or `half_open`.
        trouble: what the last failure was, "" when it has answered since.
        since: when that was, seconds since the epoch.
        heard_at: when it last answered, seconds since the epoch; 0 for never since the start.
        blocked_seconds: how long it is not asked from now, for whatever reason.
        requests_left: of our own budget this minute; None without one.
        remaining: what it last said is left of its rate limit; None when it does not say.
    """

    name: str
    breaker: str
    trouble: str = ""
    since: float = 0.0
    heard_at: float = 0.0
    blocked_seconds: float = 0.0
    requests_left: int | None = None
    remaining: int | None = None


@dataclass(frozen=True, slots=True)
class UpstreamStatus:
    """One upstream; its sources in the order they are tried."""

    name: str
    sources: tuple[SourceStatus, ...]


@dataclass(frozen=True, slots=True)
class ImageCounts:
    """How many images are here: every one is whole or half."""

    whole: int
    half: int
    pinned: int


@dataclass(frozen=True, slots=True)
class Status:
    """The node at one glance.

    Attributes:
        started_at: seconds since the epoch.
        cut_off: no source of any upstream can be used now.
        fills: contents on their way in.
        warnings: sentences for the operator, worst first.
        sites: what the edge door serves, with the origins behind it; told by the edge.
        spending: what clients had asked of upstreams, by where they are; what cost most first.
        processes, serving: how many serve the public doors, and do now; told by those.
        ends_first: the first thing that needs the outside to expire; None when nothing does. Told
            by the horizon.
        ratios: how much was answered without the outside, by class; told by the metrics.
    """

    node: str
    version: str
    started_at: float
    cut_off: bool
    store: StoreStatistics
    images: ImageCounts
    upstreams: tuple[UpstreamStatus, ...]
    fills: int = 0
    warnings: tuple[str, ...] = ()
    sites: tuple[UpstreamStatus, ...] = ()
    spending: tuple[Spending, ...] = ()
    processes: int = 1
    serving: int = 1
    ends_first: Expiry | None = None
    ratios: tuple[HitRatio, ...] = ()


@dataclass(frozen=True, slots=True)
class Signer:
    """One owner whose signature counts."""

    owner: str
    key: str


@dataclass(frozen=True, slots=True)
class PassedOver:
    """A good signature that counts for nothing, and why."""

    key: str
    format: str
    why: str


@dataclass(frozen=True, slots=True)
class Verified:
    """Whether an image may leave this node, and by whose word.

    Attributes:
        policy: "" when none holds for the repository; then everything may leave.
        threshold: how many owners have to sign.
        missing: in words; "" when nothing is.
        admitted_at: when it was accepted, seconds since the epoch; None if it never was.
        media_type, size_bytes: of the image's manifest, which some signatures name.
        closed: why nothing new can be admitted now (the root of trust has expired), "" when it can.
        note: that the root is used under a grace, "" when it is not.
        open_until: when an image that two owners opened is held back again, seconds since the
            epoch; None when it is not open.
    """

    reference: str
    digest: str
    policy: str
    accepted: bool
    threshold: int = 0
    required: tuple[str, ...] = ()
    signers: tuple[Signer, ...] = ()
    passed_over: tuple[PassedOver, ...] = ()
    missing: str = ""
    admitted_at: float | None = None
    media_type: str = ""
    size_bytes: int = 0
    closed: str = ""
    note: str = ""
    open_until: float | None = None


@dataclass(frozen=True, slots=True)
class Signed:
    """A signature was attached. `signatures` counts those of its format that the image has by
    now; `attached` is the digest of the manifest that holds it."""

    reference: str
    digest: str
    signatures: int
    format: str = "cosign"
    attached: str = ""


class Operations(Protocol):
    """What the admin door offers. References are the familiar form of `Reference.parse`."""

    async def list_images(self) -> list[ImageRow]:
        """Every image, by reference."""

    def warm(
        self,
        images: Sequence[str],
        *,
        platforms: Sequence[str],
        all_platforms: bool,
        bytes_max: int | None,
    ) -> AsyncIterator[WarmEvent]:
        """Fetches what is missing of these images.

        `platforms` are `os/arch[/variant]`; empty means this machine's. `bytes_max` caps what is
        fetched for all of them. Closing the iterator stops planning; fills under way go on.
        """

    async def pin(self, reference: str) -> Pinned:
        """Keeps an image from eviction. One that is not here yet may be pinned too."""

    async def unpin(self, reference: str) -> Pinned: ...

    async def remove(self, reference: str) -> Removed:
        """Forgets an image and frees what only it used. Raises NotHeld; refuses a pinned one."""

    async def export(self, reference: str, path: str) -> Exported:
        """Writes a whole image as an OCI layout at an absolute path here. Raises NotHeld."""

    async def import_layout(self, path: str, name: str | None) -> Imported:
        """Reads an OCI layout at an absolute path here; `name` overrides its reference names."""

    def scrub(self) -> AsyncIterator[ScrubEvent]:
        """Re-hashes everything, quarantines what is wrong and fetches it again."""

    async def evict(self, *, bytes_wanted: int | None, reference: str | None) -> Evicted:
        """Frees at least `bytes_wanted` by policy, or one image. Neither: down to the low mark."""

    async def status(self) -> Status: ...

    async def events(self, since: float, kind: str = "") -> Sequence[Event]:
        """Events at or after `since` (seconds since the epoch), oldest first; of one kind, whole
        or by its first word, if given."""
