"""The store's housekeeper: makes room, keeps the count right, finds rot.

Owns when eviction, reconciling and scrubbing happen, and their order: names are forgotten durably
before bytes go, and nothing is deleted that somebody wants at that very moment (known failures
T37, T38). What goes is decided in `core`; what the blobs mean is the Inventory's.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from skerry.aio.tasks import Nursery
from skerry.base.clock import Clock
from skerry.base.digest import Digest
from skerry.base.errors import SkerryError
from skerry.base.units import format_bytes
from skerry.store.core.admission import (
    AdmissionPolicy,
    Asks,
    Displaced,
    Verdict,
    judge,
    recent_groups,
    too_large,
)
from skerry.store.core.eviction import plan_eviction, plan_freeing
from skerry.store.departures import IMAGE, Departure, Departures
from skerry.store.housekeeping import (
    Evicted,
    EvictedFor,
    HousekeeperStatistics,
    Scrubbed,
    ScrubPolicy,
)
from skerry.store.ports import BlobInfo, BlobMissing, Group, Inventory, KeptStore, StoreError
from skerry.telemetry.events import Events, Level

UPKEEP_SECONDS = 30.0
LOOSE_SECONDS = 3600.0
"""A blob nobody knows goes, when room is needed, once it is this old: its owner may be writing."""
SEEN_SECONDS = 2 * UPKEEP_SECONDS
"""How old the picture of all groups may be by which an object on its way in is judged."""
PAGE_COUNT_MAX = 256
NAMED_MAX = 8
"""So many images the event of an eviction names; `departures` knows the others."""

T = TypeVar("T")


class Housekeeper:
    """One store's housekeeper. `start` begins its loops in the nursery; making room works before.

    Args:
        on_corrupt: told the digest of each blob that went to quarantine; must not block.
    """

    def __init__(
        self,
        *,
        store: KeptStore,
        inventory: Inventory,
        clock: Clock,
        events: Events,
        nursery: Nursery,
        on_corrupt: Callable[[Digest], None] | None = None,
        admission: AdmissionPolicy | None = None,
        scrub: ScrubPolicy | None = None,
        departures: Departures | None = None,
    ) -> None:
        self._store = store
        self._inventory = inventory
        self._clock = clock
        self._events = events
        self._nursery = nursery
        self._on_corrupt = on_corrupt
        self._admission = admission or AdmissionPolicy()
        self._scrub = scrub or ScrubPolicy()
        self.departures = departures or Departures()
        self._evicting = asyncio.Lock()
        self._asks = Asks()
        self._displaced = Displaced()
        self._wrote = True
        self._seen: tuple[float, list[Group]] | None = None
        self._loose_at = float("-inf")
        self._evictions = self._evicted_groups = self._evicted_bytes = 0
        self._evicted_for = dict.fromkeys(EvictedFor, 0)
        self._evictions_failed = self._scrub_rounds = self._corrupt = 0
        store.make_room = self.make_room

    def start(self) -> None:
        """Begins upkeep (reconcile, flush, watermark) and scrub."""
        self._nursery.start(self._keep_up(), name="store-upkeep")
        self._nursery.start(self._scrub_for_ever(), name="store-scrub")

    # room

    def admits(self, key: str, size_bytes: int, *, explicit: bool = False) -> Verdict:
        """Whether an object of this length should be kept; `explicit` when somebody asked for it.

        Anything but KEEP means: let it stream through to whoever asked, and store nothing.
        """
        room = self._store.room()
        if not explicit and too_large(size_bytes, room=room, policy=self._admission):
            return Verdict.TOO_LARGE
        if explicit or not room.shortage_bytes(size_bytes):
            return Verdict.KEEP
        now = self._clock.now()
        window = self._admission.second_ask_seconds
        before = self._asks.ask(key, now=now, within_seconds=window)
        plan = plan_eviction(self._seen_groups(), room=room, need_bytes=size_bytes)
        recent = recent_groups(plan, now=now, policy=self._admission)
        displaced = self._displaced.others(recent, now=now, within_seconds=window)
        verdict = judge(
            plan, asked_before=before, now=now, policy=self._admission, displaced=displaced
        )
        if verdict is Verdict.KEEP and not before:
            self._displaced.note(recent, now=now)
        return verdict

    async def make_room(self, need_bytes: int) -> bool:
        """Evicts until `need_bytes` more fit under the high watermark; whether they do now."""
        async with self._evicting:
            goal_bytes = self._store.room().goal_bytes(need_bytes)
            if goal_bytes:
                try:
                    why = f"room for {format_bytes(need_bytes)}"
                    await self._free(goal_bytes, EvictedFor.ROOM, why=why)
                except SkerryError as error:
                    self._failed(error)
        return not self._store.room().shortage_bytes(need_bytes)

    async def evict(self, free_bytes: int | None = None) -> Evicted:
        """Evicts now: so many bytes, or down to the low watermark. Returns what went.

        Raises the disk's or the catalog's error.
        """
        async with self._evicting:
            room = self._store.room()
            down_to = int(room.budget_bytes * room.low_watermark)
            goal_bytes = room.used_bytes - down_to if free_bytes is None else free_bytes
            if goal_bytes <= 0:
                return Evicted()
            return await self._free(
                goal_bytes, EvictedFor.OPERATOR, why="asked for by the operator"
            )

    def taken_out(self, freed_bytes: int) -> None:
        """Counts one image that somebody else removed, at the operator's wish."""
        self._evictions += 1
        self._evicted_groups += 1
        self._evicted_for[EvictedFor.OPERATOR] += 1
        self._evicted_bytes += freed_bytes

    async def _free(self, goal_bytes: int, cause: EvictedFor, *, why: str) -> Evicted:
        groups = await self._groups()
        blob_count, freed_bytes, named = 0, 0, ""
        plan = plan_freeing(groups, goal_bytes=goal_bytes)
        # Looking at every blob takes a while where there are millions: now and then, or in need.
        if not plan.enough or self._clock.monotonic() >= self._loose_at:
            blob_count, freed_bytes = await self._free_loose(groups, goal_bytes)
            plan = plan_freeing(groups, goal_bytes=goal_bytes - freed_bytes)
            self._evicted_for[EvictedFor.LOOSE] += blob_count
        if plan.groups:
            # Durably, before the first byte goes: a crash here leaves loose blobs, never names
            # of bytes that are gone (T38).
            named = await self._drop(plan.groups, cause, why=why)
            self._seen = None
        for digest in plan.digests:
            if freed := await self._delete(digest):
                blob_count, freed_bytes = blob_count + 1, freed_bytes + freed
        went = Evicted(tuple(plan.group_ids), blob_count, freed_bytes)
        self._evictions += 1
        self._evicted_groups += len(plan.groups)
        self._evicted_for[cause] += len(plan.groups)
        self._evicted_bytes += freed_bytes
        if blob_count or plan.groups:
            self._events.emit(
                "store.evicted",
                f"{len(plan.groups)} groups, {format_bytes(freed_bytes)}",
                cause=f"{why}: {named}" if named else why,
                next_step="raise store.budget or pin what must stay" if plan.groups else "",
            )
        return went

    async def _drop(self, groups: Sequence[Group], cause: EvictedFor, *, why: str) -> str:
        """Forgets groups, and remembers what they were called; the images among them in words."""
        ids = [group.id for group in groups]
        names = await asyncio.to_thread(self._inventory.names, ids)
        await self._inventory.drop(ids)
        stayed = await asyncio.to_thread(self._inventory.names, ids)
        now = self._clock.now()
        gone = [
            Departure(now, group.id.partition("\n")[0], name, cause, why, group.last_used,
                      sum(group.members.values()))
            for group in groups
            if group.id not in stayed
            for name in names.get(group.id, ())
        ]  # fmt: skip
        self.departures.note(gone)
        images = [each.name for each in gone if each.kind == IMAGE]
        more = len(images) - NAMED_MAX
        return ", ".join(images[:NAMED_MAX]) + (f" and {more} more" if more > 0 else "")

    async def _groups(self) -> list[Group]:
        """Every group, counted in a thread: a large catalog takes seconds, and nobody waits."""
        groups = await asyncio.to_thread(self._inventory.groups)
        self._seen = (self._clock.monotonic(), groups)
        return groups

    def _seen_groups(self) -> list[Group]:
        """Every group as it was lately: good enough to judge what comes, not to delete."""
        if self._seen is not None and self._clock.monotonic() - self._seen[0] < SEEN_SECONDS:
            return self._seen[1]
        return self._inventory.groups()

    async def _free_loose(self, groups: list[Group], goal_bytes: int) -> tuple[int, int]:
        """Deletes old blobs that no group holds (a crash or a drop left them)."""
        held = {digest for group in groups for digest in group.members}  # others are `wanted`
        before = self._clock.now() - LOOSE_SECONDS
        count = freed_bytes = 0
        self._loose_at = self._clock.monotonic() + LOOSE_SECONDS
        async for info in self._all_blobs():
            if freed_bytes >= goal_bytes:
                break
            if info.digest in held or info.last_used > before:
                continue
            if freed := await self._delete(info.digest):
                count, freed_bytes = count + 1, freed_bytes + freed
        return count, freed_bytes

    async def _delete(self, digest: Digest) -> int:
        # No await between the question and the removal, which `delete` does before its first.
        if self._inventory.still_wanted(digest):
            return 0
        return await self._store.delete(digest)

    def _failed(self, error: SkerryError) -> None:
        self._evictions_failed += 1
        self._events.emit(
            "store.eviction_failed",
            "store",
            cause=error.what,
            next_step=error.next_step,
            level=Level.ERROR,
        )

    # rot

    async def check(self, digest: Digest, *, bytes_per_second: int | None = None) -> bool:
        """Re-hashes one blob now; a wrong one goes to quarantine and its owner is told.

        Raises BlobMissing, or StoreError when it could not be read.
        """
        if await self._store.verify(digest, bytes_per_second=bytes_per_second):
            return True
        self._corrupt += 1
        self._events.emit(
            "blob.quarantined",
            str(digest),
            cause="the bytes on disk no longer have this digest",
            next_step="look at the disk's health; the blob is fetched again from its source",
            level=Level.ERROR,
        )
        if self._on_corrupt is not None:
            self._on_corrupt(digest)
        return False

    async def scrub_now(self, on_progress: Callable[[Scrubbed], None] | None = None) -> Scrubbed:
        """Re-hashes everything once, at full speed. Returns what was found."""
        now = self._store.statistics()
        done = Scrubbed(total_count=now.blob_count, total_bytes=now.blob_bytes)
        async for info in self._all_blobs():
            done = await self._scrub_one(info, done)
            if on_progress is not None:
                on_progress(done)
        return done

    async def _scrub_one(
        self, info: BlobInfo, done: Scrubbed, *, bytes_per_second: int | None = None
    ) -> Scrubbed:
        try:
            sound = await self.check(info.digest, bytes_per_second=bytes_per_second)
        except BlobMissing:  # evicted meanwhile
            return done
        except StoreError as error:
            self._events.emit(
                "scrub.unreadable",
                str(info.digest),
                cause=error.what,
                next_step=error.next_step,
                level=Level.ERROR,
            )
            return replace(done, unreadable=(*done.unreadable, info.digest))
        return replace(
            done,
            blob_count=done.blob_count + 1,
            blob_bytes=done.blob_bytes + info.size_bytes,
            corrupt=done.corrupt if sound else (*done.corrupt, info.digest),
        )

    async def scrub_round(self) -> Scrubbed:
        """Goes on from the kept cursor to the end, at the policy's pace; then resets the cursor."""
        done = Scrubbed()
        pace = self._scrub.pace(self._store.statistics().blob_bytes)
        cursor = self._store.scrub_cursor()
        while page := await self._store.next_blobs(cursor, count_max=PAGE_COUNT_MAX):
            for info in page:
                done = await self._scrub_one(info, done, bytes_per_second=pace)
            cursor = page[-1].digest
            await self._store.set_scrub_cursor(cursor)
        await self._store.set_scrub_cursor(None)
        self._scrub_rounds += 1
        return done

    # loops

    async def _keep_up(self) -> None:
        suspects: list[Digest] = await self._survived(self._store.reconcile, [])
        for digest in suspects:
            await self._scrub_one(BlobInfo(digest, 0, 0.0), Scrubbed())
        while True:
            await self._clock.sleep(UPKEEP_SECONDS)
            await self._survived(self._store.flush, None)
            self._tell_of_writing()
            room = self._store.room()
            if room.shortage_bytes(0):
                await self.make_room(0)
            elif room.used_bytes > room.budget_bytes * room.low_watermark:
                await self._groups()  # what comes next may not fit: let it be judged at once

    def _tell_of_writing(self) -> None:
        """Once when the disk stops taking bytes, once when it takes them again."""
        writable = self._store.statistics().writable
        if writable == self._wrote:
            return
        self._wrote = writable
        free = format_bytes(self._store.room().disk_free_bytes)
        if writable:
            self._events.emit("store.writable", "store", cause="the disk takes bytes again")
            return
        self._events.emit(
            "store.not_writable",
            "store",
            cause=f"the disk takes no bytes ({free} are free): what is here is served, what is"
            " missing passes through uncached",
            next_step="free space or make the data directory writable; the node goes on by itself",
            level=Level.ERROR,
        )

    async def _scrub_for_ever(self) -> None:
        while True:
            begun = self._clock.monotonic()
            await self._survived(self.scrub_round, Scrubbed())
            rest = self._scrub.period_seconds - (self._clock.monotonic() - begun)
            await self._clock.sleep(max(UPKEEP_SECONDS, rest))

    async def _all_blobs(self) -> AsyncIterator[BlobInfo]:
        cursor: Digest | None = None
        while page := await self._store.next_blobs(cursor, count_max=PAGE_COUNT_MAX):
            for info in page:
                yield info
            cursor = page[-1].digest

    async def _survived(self, work: Callable[[], Awaitable[T]], otherwise: T) -> T:
        """A step of a loop: the disk's error becomes an event and the loop tries again later."""
        try:
            return await work()
        except StoreError as error:
            self._events.emit(
                "store.upkeep_failed",
                "store",
                cause=error.what,
                next_step=error.next_step,
                level=Level.ERROR,
            )
            return otherwise

    def statistics(self) -> HousekeeperStatistics:
        return HousekeeperStatistics(
            evictions=self._evictions,
            evicted_groups=self._evicted_groups,
            evicted_bytes=self._evicted_bytes,
            evictions_failed=self._evictions_failed,
            scrub_rounds=self._scrub_rounds,
            corrupt_count=self._corrupt,
            asks_remembered=len(self._asks),
            evicted_for={cause.value: count for cause, count in self._evicted_for.items()},
        )
