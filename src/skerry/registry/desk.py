"""Everything an operator can have the registry do, in one place for the admin door.

Owns the translation between rooms and the plain values of `operations`. Decides nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

from skerry.aio.offload import Aside
from skerry.base.errors import BadInput
from skerry.base.reference import Reference, is_tag
from skerry.registry.assembly import Parts, RegistryRooms
from skerry.registry.layout import export_layout, import_layout
from skerry.registry.operations import (
    Evicted,
    Exported,
    ImageCounts,
    ImageRow,
    Imported,
    NotHeld,
    Pinned,
    Removed,
    ScrubEvent,
    ScrubStep,
    SourceStatus,
    Status,
    UpstreamStatus,
    WarmEvent,
)
from skerry.registry.ports import Repository
from skerry.registry.remote import Remote
from skerry.store.housekeeping import Scrubbed
from skerry.store.service import Housekeeper
from skerry.telemetry.events import Event
from skerry.upstream.gate import SourceStatistics

SCRUB_BEAT_SECONDS = 0.25

DAMAGE = ("file.salvaged", "catalog.restored", "tokens.closed", "trust.roots_lost")
"""Events of a start that found a file damaged: a warning for as long as this life."""


class Desk:
    """`operations.Operations` of one node."""

    def __init__(
        self,
        *,
        node: str,
        version: str,
        rooms: RegistryRooms,
        parts: Parts,
        housekeeper: Housekeeper,
    ) -> None:
        self._node = node
        self._version = version
        self._images = rooms.images
        self._shelf = rooms.shelf
        self._verdicts = rooms.verdicts
        self._healing = rooms.healing
        self._misses = rooms.misses
        self._housekeeper = housekeeper
        self._parts = parts
        self._started_at = parts.clock.now()
        self._aside = Aside()

    async def list_images(self) -> list[ImageRow]:
        """See `Operations`. In a thread: looking at every image takes a while."""
        return await self._aside.read(self._shelf.rows)

    def warm(
        self,
        images: Sequence[str],
        *,
        platforms: Sequence[str],
        all_platforms: bool,
        bytes_max: int | None,
    ) -> AsyncIterator[WarmEvent]:
        """See `Operations`."""
        return self._images.warm(
            images, platforms=platforms, all_platforms=all_platforms, bytes_max=bytes_max
        )

    async def pin(self, reference: str) -> Pinned:
        """See `Operations`."""
        return await self._images.pin(reference)

    async def unpin(self, reference: str) -> Pinned:
        """See `Operations`."""
        return await self._images.unpin(reference)

    async def remove(self, reference: str) -> Removed:
        """See `Operations`."""
        removed = await self._images.remove(reference)
        self._housekeeper.taken_out(removed.freed_bytes)
        return removed

    async def export(self, reference: str, path: str) -> Exported:
        """See `Operations`."""
        named = self._images.named(reference)
        root = self._images.root(named)
        if root is None:
            raise NotHeld(f"{named} is not on this node", next_step="see `skerry ls`")
        await self._verdicts.allow(named.repository, root)
        done = await export_layout(
            Path(path),
            [(str(named), root)],
            store=self._parts.store,
            catalog=self._parts.catalog,
        )
        return Exported(str(named), str(root), str(done.path), done.blob_count, done.size_bytes)

    async def import_layout(self, path: str, name: str | None) -> Imported:
        """See `Operations`."""

        def place(reference: str) -> tuple[Repository, str | None]:
            """A bare tag in the layout completes the given name; a full name stands alone."""
            text = name or reference
            if name and is_tag(reference) and Reference.parse(name).tag == "latest":
                text = f"{name.removesuffix(':latest')}:{reference}"
            if not text or (not name and is_tag(reference)):
                raise BadInput(
                    f"an image in {path} has no name", next_step="give one with --as NAME"
                )
            named = self._images.named(text)
            return named.repository, named.tag

        done = await import_layout(
            Path(path),
            store=self._parts.store,
            catalog=self._parts.catalog,
            clock=self._parts.clock,
            place=place,
        )
        self._parts.changed()
        return Imported(
            tuple(
                f"{found.repository}:{found.tag}"
                if found.tag
                else f"{found.repository}@{found.digest}"
                for found in done.images
            ),
            done.blob_count,
            done.size_bytes,
        )

    async def scrub(self) -> AsyncIterator[ScrubEvent]:
        """See `Operations`."""
        latest = Scrubbed()

        def note(done: Scrubbed) -> None:
            nonlocal latest
            latest = done

        task = self._parts.nursery.start(self._housekeeper.scrub_now(note), name="scrub")
        told = healed = 0
        while not task.done():
            await asyncio.wait({task}, timeout=SCRUB_BEAT_SECONDS)
            for digest in latest.corrupt[told:]:
                told += 1
                yield _scrubbing(ScrubStep.CORRUPT, latest, healed, digest=str(digest))
                sound = await self._healing.settled(digest)  # begun when it was found
                healed += sound
                step = ScrubStep.HEALED if sound else ScrubStep.LOST
                yield _scrubbing(step, latest, healed, digest=str(digest))
            yield _scrubbing(ScrubStep.PROGRESS, latest, healed)
        latest = task.result()
        unreadable = len(latest.unreadable)
        what = f"{unreadable} blobs could not be read; see the events" if unreadable else ""
        yield _scrubbing(ScrubStep.DONE, latest, healed, what=what)

    async def evict(self, *, bytes_wanted: int | None, reference: str | None) -> Evicted:
        """See `Operations`."""
        if reference is not None:
            removed = await self.remove(reference)
            return Evicted((removed.reference,), removed.freed_bytes)
        went = await self._housekeeper.evict(bytes_wanted)
        return Evicted(tuple(_shown(group) for group in went.group_ids), went.freed_bytes)

    async def status(self) -> Status:
        """See `Operations`."""
        rows = await self.list_images()
        store = self._parts.store.statistics()
        upstreams = tuple(_upstream(remote) for remote in self._parts.remotes.values())
        cut_off = bool(self._parts.remotes) and not any(
            remote.client.reachable() for remote in self._parts.remotes.values()
        )
        warnings = []
        if not store.writable:
            warnings.append("the disk takes no writes: what is here is served, nothing is added")
        if store.quarantine_count:
            warnings.append(f"{store.quarantine_count} blobs rotted: check the disk's health")
        half = sum(not row.whole for row in rows)
        if half:
            what = "1 image is" if half == 1 else f"{half} images are"
            warnings.append(f"{what} half here: `skerry ls --missing`, `skerry warm`")
        for kind in DAMAGE:
            told = self._parts.events.recent(kind)
            warnings += [f"{each.subject}: {each.cause}; {each.next_step}" for each in told]
        beside = [found for remote in self._parts.remotes.values() for found in _beside(remote)]
        warnings += dict.fromkeys(beside)
        return Status(
            node=self._node,
            version=self._version,
            started_at=self._started_at,
            cut_off=cut_off,
            store=store,
            images=ImageCounts(
                whole=len(rows) - half, half=half, pinned=sum(row.pinned for row in rows)
            ),
            upstreams=upstreams,
            fills=len(self._parts.fills.statistics().flying),
            spending=self._misses.statistics(),
            warnings=tuple(warnings),
        )

    async def events(self, since: float, kind: str = "") -> Sequence[Event]:
        """See `Operations`. In a thread: a full record takes a while to search."""
        return await self._aside.read(self._parts.events.history, since, kind)


def _upstream(remote: Remote) -> UpstreamStatus:
    found = remote.client.statistics()
    return UpstreamStatus(
        remote.name,
        tuple(source_status(source) for source in found.sources),
    )


def source_status(source: SourceStatistics) -> SourceStatus:
    """How a source is now: what it failed with is told until it has answered again."""
    failed_at, heard_at = source.last_failure_at or 0.0, source.last_success_at or 0.0
    in_trouble = source.breaker != "closed" or failed_at > heard_at
    return SourceStatus(
        source.name,
        source.breaker,
        source.last_trouble if in_trouble else "",
        failed_at if in_trouble else 0.0,
        heard_at=heard_at,
        blocked_seconds=source.blocked_seconds,
        requests_left=source.requests_left,
        remaining=source.remaining,
    )


def _beside(remote: Remote) -> Iterator[str]:
    """What is wrong beside the sources of an upstream, one sentence each."""
    found = remote.client.statistics()
    for tokens in found.tokens:
        if tokens.breaker != "closed":
            yield (
                f"{remote.name}: the token service of {tokens.source} fails"
                f" ({tokens.last_trouble}): what needs a new token cannot be fetched"
            )
    for sibling in found.siblings:
        if sibling.breaker != "closed":
            yield f"the sibling {sibling.name} does not answer: {sibling.last_trouble}"


def _scrubbing(
    step: ScrubStep, done: Scrubbed, healed: int, *, digest: str = "", what: str = ""
) -> ScrubEvent:
    return ScrubEvent(
        step,
        digest=digest,
        checked_count=done.blob_count,
        checked_bytes=done.blob_bytes,
        total_bytes=done.total_bytes,
        corrupt_count=len(done.corrupt),
        healed_count=healed,
        what=what,
    )


def _shown(group_id: str) -> str:
    """An image's name; of another owner of the store, its mark and what it calls the thing."""
    *mark, upstream, name, digest = group_id.split("\n")
    if mark and mark[0] != "registry":
        return f"{mark[0]}/{name}"
    return f"{upstream}/{name}@{digest}" if upstream else f"{name}@{digest}"
