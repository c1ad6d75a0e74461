"""The housekeeper over the memory twin."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace

import pytest

from skerry.aio.tasks import Nursery
from skerry.base.clock import ManualClock
from skerry.base.digest import Digest, digest_of
from skerry.base.errors import SkerryError
from skerry.store.conformance import BIG
from skerry.store.core.admission import Verdict
from skerry.store.housekeeping import EvictedFor, Scrubbed
from skerry.store.ports import Group, SpoolAborted, StoreFull
from skerry.store.service import SEEN_SECONDS, Housekeeper
from skerry.store.testing import MemoryStore, read_segment
from skerry.telemetry.events import Events

MIB = 1 << 20


class Shelves:
    """An Inventory in memory that remembers what happened in which order."""

    def __init__(self, store: MemoryStore) -> None:
        self.all: dict[str, Group] = {}
        self.wanted: set[Digest] = set()
        self.keeps: set[str] = set()
        self.refuses: SkerryError | None = None
        self.dropped: list[str] = []
        self.present_at_drop: list[bool] = []
        self.counted = 0
        self.before_groups: Callable[[], object] = lambda: None
        self._store = store

    def groups(self) -> list[Group]:
        self.counted += 1
        self.before_groups()
        return list(self.all.values())

    def names(self, group_ids: Sequence[str]) -> Mapping[str, Sequence[str]]:
        return {each: (each.partition("\n")[2] or each,) for each in group_ids if each in self.all}

    async def drop(self, group_ids: list[str]) -> None:
        await asyncio.sleep(0)
        if self.refuses is not None:
            raise self.refuses
        for group_id in (each for each in group_ids if each not in self.keeps):
            members = self.all.pop(group_id).members
            self.present_at_drop += [self._store.size_of(d) is not None for d in members]
            self.dropped.append(group_id)

    def still_wanted(self, digest: Digest) -> bool:
        return digest in self.wanted or any(digest in g.members for g in self.all.values())


class House:
    """A store of ten MiB, its housekeeper and what they report to."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.store = MemoryStore(self.clock, budget_bytes=10 * MIB)
        self.shelves = Shelves(self.store)
        self.crashes: list[BaseException] = []
        self.nursery = Nursery(on_crash=lambda _name, error: self.crashes.append(error))
        self.events = Events(self.clock.now)
        self.corrupt: list[Digest] = []
        self.keeper = Housekeeper(
            store=self.store,
            inventory=self.shelves,
            clock=self.clock,
            events=self.events,
            nursery=self.nursery,
            on_corrupt=self.corrupt.append,
        )

    async def image(self, name: str, *, last_used: float = 0.0, pinned: bool = False) -> Digest:
        """An image of one layer of one MiB."""
        data = name.encode() * MIB
        digest = digest_of(data[:MIB])
        await self.store.put(digest, data[:MIB])
        self.shelves.all[name] = Group(name, {digest: MIB}, last_used, pinned=pinned)
        return digest


@pytest.fixture
async def house() -> AsyncIterator[House]:
    house = House()
    yield house
    await house.nursery.close()
    assert len(house.nursery) == 0
    assert house.crashes == []


async def test_a_fill_that_does_not_fit_makes_room_down_to_the_low_watermark(house: House) -> None:
    for number in range(9):
        await house.image(str(number), last_used=number)
    spool = await house.store.begin(size_bytes=MIB)
    assert house.shelves.dropped == ["0", "1"]
    assert house.store.room().used_bytes <= 8.5 * MIB
    assert house.events.recent("store.evicted")
    await spool.abort(SpoolAborted("done"))


async def test_t38_names_go_before_bytes(house: House) -> None:
    """T38."""
    for number in range(9):
        await house.image(str(number), last_used=number)
    await house.keeper.evict(3 * MIB)
    assert house.shelves.present_at_drop == [True] * 3
    assert house.store.statistics().blob_count == 6


async def test_what_became_wanted_while_names_went_keeps_its_bytes(house: House) -> None:
    """T38: a push that needs the layer came between the plan and the removal."""
    digest = await house.image("old")
    house.shelves.wanted.add(digest)
    went = await house.keeper.evict(MIB)
    assert (went.group_ids, went.freed_bytes) == (("old",), 0)
    assert house.store.size_of(digest) == MIB


async def test_a_catalog_that_cannot_forget_stops_eviction_and_loses_nothing(house: House) -> None:
    for number in range(9):
        await house.image(str(number))
    house.shelves.refuses = SkerryError("the catalog is read-only")
    assert not await house.keeper.make_room(4 * MIB)
    assert house.store.statistics().blob_count == 9
    assert house.events.recent("store.eviction_failed")[0].cause == "the catalog is read-only"
    assert not house.keeper._evicting.locked()


async def test_pinned_images_fill_the_store_until_it_says_full(house: House) -> None:
    for number in range(9):
        await house.image(str(number), pinned=True)
    with pytest.raises(StoreFull):
        await house.store.begin(size_bytes=2 * MIB)
    assert house.store.statistics().blob_count == 9


async def test_t37_an_image_being_pulled_outlives_its_eviction(house: House) -> None:
    """T37."""
    digest = await house.image("old")
    segment = house.store.open(digest)
    await house.keeper.evict(MIB)
    assert house.store.size_of(digest) is None
    assert await read_segment(segment) == b"old".ljust(3)[:3] * (MIB // 3) + b"o"


async def test_loose_blobs_go_before_any_image_but_not_while_they_are_new(house: House) -> None:
    await house.image("kept")
    await house.store.put(digest_of(BIG), BIG)
    assert (await house.keeper.evict(MIB)).group_ids == ("kept",)
    await house.image("kept")
    house.clock.advance(7200)
    went = await house.keeper.evict(MIB)
    assert (went.group_ids, went.freed_bytes) == ((), len(BIG))


async def test_eight_fills_at_once_make_room_once(house: House) -> None:
    for number in range(9):
        await house.image(str(number), last_used=number)
    spools = await asyncio.gather(*(house.store.begin(size_bytes=MIB // 8) for _ in range(8)))
    assert house.store.room().used_bytes <= 10 * MIB
    assert house.keeper.statistics().evictions <= 1
    for spool in spools:
        await spool.abort(SpoolAborted("done"))


async def test_a_scan_does_not_push_out_what_is_in_use(house: House) -> None:
    for number in range(9):
        await house.image(str(number), last_used=house.clock.now())
    keeper = house.keeper
    assert keeper.admits("big", 3 * MIB) is Verdict.FIRST_ASK
    assert keeper.admits("big", 3 * MIB) is Verdict.KEEP
    assert keeper.admits("other", 3 * MIB, explicit=True) is Verdict.KEEP
    assert keeper.admits("huge", 6 * MIB) is Verdict.TOO_LARGE
    assert keeper.admits("small", MIB // 4) is Verdict.KEEP


async def test_a_scrub_finds_rot_puts_it_away_and_tells_the_owner(house: House) -> None:
    good, bad = await house.image("good"), await house.image("bad")
    house.store.flip_bit(bad, 5)
    seen: list[Scrubbed] = []
    done = await house.keeper.scrub_now(seen.append)
    assert (done.corrupt, done.blob_count) == ((bad,), 2)
    assert [progress.blob_count for progress in seen] == [1, 2]
    assert house.corrupt == [bad]
    assert house.events.recent("blob.quarantined")[0].subject == str(bad)
    assert house.store.size_of(bad) is None
    assert house.store.size_of(good) == MIB


async def test_a_scrub_round_goes_on_where_the_last_one_was_stopped(house: House) -> None:
    digests = sorted([await house.image(str(number)) for number in range(6)])
    await house.store.set_scrub_cursor(digests[3])
    done = await house.keeper.scrub_round()
    assert done.blob_count == 2
    assert house.store.scrub_cursor() is None
    assert (await house.keeper.scrub_round()).blob_count == 6


async def test_upkeep_evicts_above_the_watermark_and_ends_with_its_nursery(house: House) -> None:
    house.keeper.start()
    for number in range(10):
        await house.image(str(number), last_used=number)
        if number == 8:
            house.store.make_room = None
    await asyncio.sleep(0)
    for _ in range(3):
        for _ in range(20):
            await asyncio.sleep(0)
        house.clock.advance(31)
    async with asyncio.timeout(10):
        while house.store.room().shortage_bytes(0):
            house.clock.advance(0)
            await asyncio.sleep(0)
    assert house.shelves.dropped[0] == "0"


async def test_counting_a_large_catalog_for_an_eviction_holds_nobody_up(house: House) -> None:
    """It takes seconds for 100,000 contents; cached answers go out meanwhile."""
    await house.image("a")
    others_went_on = threading.Event()
    house.shelves.before_groups = lambda: others_went_on.wait(10)
    evicting = asyncio.ensure_future(house.keeper.evict(1))
    asyncio.get_running_loop().call_soon(others_went_on.set)
    went = await asyncio.wait_for(evicting, 5)
    assert went.group_ids == ("a",)


async def test_what_comes_in_is_judged_by_the_last_picture_while_it_is_young(
    house: House,
) -> None:
    for number in range(9):
        await house.image(f"{number}", pinned=True)
    await house.keeper.evict(1)
    assert house.keeper.admits("k", 4 * MIB) is Verdict.NO_ROOM
    assert house.shelves.counted == 1
    house.clock.advance(SEEN_SECONDS)
    assert house.keeper.admits("k", 4 * MIB) is Verdict.NO_ROOM
    assert house.shelves.counted == 2


async def test_upkeep_takes_a_picture_before_the_store_is_full(house: House) -> None:
    for number in range(9):
        await house.image(f"{number}")
    house.keeper.start()
    async with asyncio.timeout(10):
        while not house.shelves.counted:
            house.clock.advance(1)
            await asyncio.sleep(0)
    assert house.shelves.dropped == []


async def test_what_was_evicted_is_remembered_by_its_name_and_told_in_the_event(
    house: House,
) -> None:
    for number in range(9):
        await house.image(f"registry\nimage-{number}", last_used=float(number + 1))
    house.shelves.all["registry\nimage-1"] = replace(
        house.shelves.all["registry\nimage-1"], pinned=True
    )
    house.shelves.keeps = {"registry\nimage-2"}  # it became busy since it was listed
    spool = await house.store.begin(size_bytes=MIB)
    await spool.abort(SpoolAborted("done"))
    assert house.keeper.departures.find("image-2") == []
    [first] = house.keeper.departures.find("image-0")
    assert (first.name, first.kind, first.cause) == ("image-0", "registry", EvictedFor.ROOM)
    assert (first.why, first.last_used, first.size_bytes) == ("room for 1.0 MiB", 1.0, MIB)
    assert house.keeper.departures.find("image-1") == [], "it is pinned, and here"
    assert house.events.recent("store.evicted")[0].cause == "room for 1.0 MiB: image-0"
