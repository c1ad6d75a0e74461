"""Operations that do nothing but remember, for the admin door and the command line."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from skerry.base.errors import Party, SkerryError
from skerry.registry.operations import (
    Evicted,
    Exported,
    Freshness,
    ImageCounts,
    ImageRow,
    Imported,
    MissingPart,
    NotHeld,
    Pinned,
    Removed,
    ScrubEvent,
    ScrubStep,
    SourceStatus,
    Status,
    UpstreamStatus,
    WarmEvent,
    WarmStep,
)
from skerry.store.ports import StoreStatistics
from skerry.telemetry.events import Event, Level

DIGEST = "sha256:" + "a" * 64
WHOLE = ImageRow(
    reference="docker.io/library/nginx:1.27",
    digest=DIGEST,
    media_type="application/vnd.oci.image.index.v1+json",
    size_bytes=70 << 20,
    whole=True,
    missing=(),
    platforms=("linux/amd64",),
    pinned=True,
    last_used=1_700_000_000.0,
    freshness=Freshness.STALE,
    confirmed_at=1_699_990_000.0,
)
HALF = ImageRow(
    reference="ghcr.io/team/app:2",
    digest="sha256:" + "b" * 64,
    media_type="application/vnd.oci.image.manifest.v1+json",
    size_bytes=1 << 20,
    whole=False,
    missing=(MissingPart("sha256:" + "c" * 64, "layer", 5 << 20, "linux/arm64"),),
    platforms=(),
    pinned=False,
    last_used=1_700_000_000.0,
    freshness=Freshness.FRESH,
)
STORE = StoreStatistics(
    blob_count=12,
    blob_bytes=71 << 20,
    spool_count=0,
    spool_bytes=0,
    quarantine_count=0,
    quarantine_bytes=0,
    budget_bytes=10 << 30,
    writable=True,
    scrubbed_count=3,
    corrupt_count=0,
    evicted_count=0,
    evicted_bytes=0,
)
STATUS = Status(
    node="edge-1",
    version="0.1.0",
    started_at=1_700_000_000.0,
    cut_off=True,
    store=STORE,
    images=ImageCounts(whole=1, half=1, pinned=1),
    upstreams=(
        UpstreamStatus("docker.io", (SourceStatus("origin", "open", "dns", 1_700_000_100.0),)),
    ),
    warnings=("docker.io cannot be reached",),
)


class RememberingOperations:
    """Answers from constants and keeps what it was asked.

    Promises: `gone` names raise NotHeld, `cut` names raise an upstream's error in mid-stream.
    """

    def __init__(self) -> None:
        self.asked: list[tuple[object, ...]] = []
        self.closed = 0

    async def list_images(self) -> list[ImageRow]:
        return [WHOLE, HALF]

    async def warm(
        self,
        images: Sequence[str],
        *,
        platforms: Sequence[str],
        all_platforms: bool,
        bytes_max: int | None,
    ) -> AsyncIterator[WarmEvent]:
        self.asked.append(("warm", tuple(images), tuple(platforms), all_platforms, bytes_max))
        try:
            for image in images:
                if image.startswith("gone"):
                    raise NotHeld("gone is not known anywhere", next_step="check its name")
                yield WarmEvent(WarmStep.PLANNED, image, DIGEST, planned_bytes=10)
                yield WarmEvent(WarmStep.PROGRESS, image, DIGEST, planned_bytes=10, done_bytes=5)
                if image.startswith("cut"):
                    raise SkerryError("the link died", next_step="later", party=Party.UPSTREAM)
                if image.startswith("bad"):
                    yield WarmEvent(WarmStep.FAILED, image, DIGEST, 10, 5, "wrong digest", "")
                    continue
                yield WarmEvent(WarmStep.DONE, image, DIGEST, planned_bytes=10, done_bytes=10)
        finally:
            self.closed += 1

    async def pin(self, reference: str) -> Pinned:
        self.asked.append(("pin", reference))
        return Pinned(reference, pinned=True, changed=True)

    async def unpin(self, reference: str) -> Pinned:
        self.asked.append(("unpin", reference))
        return Pinned(reference, pinned=False, changed=False)

    async def remove(self, reference: str) -> Removed:
        self.asked.append(("remove", reference))
        if reference.startswith("gone"):
            raise NotHeld(f"{reference} is not held here", next_step="see skerry ls")
        return Removed(reference, DIGEST, 5 << 20)

    async def export(self, reference: str, path: str) -> Exported:
        self.asked.append(("export", reference, path))
        return Exported(reference, DIGEST, path, 3, 1 << 20)

    async def import_layout(self, path: str, name: str | None) -> Imported:
        self.asked.append(("import", path, name))
        return Imported((name or "local/app:1",), 3, 1 << 20)

    async def scrub(self) -> AsyncIterator[ScrubEvent]:
        self.asked.append(("scrub",))
        yield ScrubEvent(ScrubStep.PROGRESS, checked_count=1, checked_bytes=5, total_bytes=10)
        yield ScrubEvent(ScrubStep.CORRUPT, DIGEST, 2, 10, 10, corrupt_count=1)
        yield ScrubEvent(ScrubStep.HEALED, DIGEST, 2, 10, 10, corrupt_count=1, healed_count=1)
        yield ScrubEvent(ScrubStep.DONE, "", 2, 10, 10, corrupt_count=1, healed_count=1)

    async def evict(self, *, bytes_wanted: int | None, reference: str | None) -> Evicted:
        self.asked.append(("evict", bytes_wanted, reference))
        return Evicted((WHOLE.reference,), 70 << 20)

    async def status(self) -> Status:
        return STATUS

    async def events(self, since: float, kind: str = "") -> tuple[Event, ...]:
        self.asked.append(("events", since, kind))
        return (Event(1_700_000_050.0, "tag.moved", "x", "y", "z", Level.WARNING),)
