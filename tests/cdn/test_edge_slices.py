"""Large objects: only what is touched, once, never a mix of two representations."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random

import pytest

from skerry.adapters.sqlite_edge_file import EdgeFile
from skerry.cdn import slicing
from skerry.cdn.core.purge import Mode, by_host
from skerry.upstream.ports import Trouble
from skerry.wire.message import BodyAborted, Headers
from tests.cdn.world import Page, World, body_of, status_of

SLICE = 64 * 1024
BODY = Random(3).randbytes(40 * SLICE + 123)
TAGGED = ("Cache-Control: max-age=60, stale-if-error=600", 'ETag: "1"')


def film(*fields: str, **world: object) -> World:
    made = World(slice_bytes=SLICE, **world)  # type: ignore[arg-type]
    made.page("/film", BODY, *(fields or TAGGED))
    return made


async def ranged(world: World, start: int, stop: int) -> str:
    """Asks for bytes and checks them; our member of Cache-Status."""
    answer = await world.ask("/film", f"Range: bytes={start}-{stop - 1}")
    assert answer.status == 206
    assert answer.headers.get("Content-Range") == f"bytes {start}-{stop - 1}/{len(BODY)}"
    assert await body_of(answer) == BODY[start:stop]
    return status_of(answer)


async def test_only_touched_slices_are_fetched_and_each_once() -> None:
    world = film()
    chance = Random(5)
    starts = [chance.randrange(0, len(BODY) - SLICE) for _ in range(30)]
    tasks = [ranged(world, start, start + chance.randrange(1, SLICE)) for start in starts]
    await asyncio.gather(*tasks[:8])
    for task in tasks[8:]:
        await task
    await world.settle()
    unique = {number for start in starts for number in (start // SLICE, start // SLICE + 1)}
    assert world.origin.sent_bytes <= len(unique) * SLICE
    before = world.origin.count()
    assert (await ranged(world, starts[0], starts[0] + 1)).startswith("hit")
    assert world.origin.count() == before
    await world.close()


async def test_fifty_askers_of_one_range_cost_one_request() -> None:
    world = film()
    await asyncio.gather(*(ranged(world, 5 * SLICE, 6 * SLICE) for _ in range(50)))
    assert world.origin.count() == 1
    await world.close()


async def test_neighbours_are_fetched_as_one() -> None:
    world = film()
    await ranged(world, SLICE, 2 * SLICE)
    await ranged(world, 3 * SLICE, 9 * SLICE)
    assert world.origin.count() == 2
    await ranged(world, 0, 12 * SLICE)
    assert world.origin.sent_bytes == 12 * SLICE
    await world.close()


async def test_a_seek_to_the_end_does_not_fetch_what_is_before() -> None:
    world = film()
    answer = await world.ask("/film", "Range: bytes=-100")
    assert await body_of(answer) == BODY[-100:]
    assert world.origin.sent_bytes <= 3 * SLICE
    await world.close()


async def test_several_ranges_in_one_answer() -> None:
    world = film()
    answer = await world.ask("/film", f"Range: bytes=0-9,{9 * SLICE}-{9 * SLICE + 9}")
    body = await body_of(answer)
    assert len(body) == int(answer.headers.get("Content-Length") or 0)
    assert BODY[:10] in body
    assert BODY[9 * SLICE : 9 * SLICE + 10] in body
    assert world.origin.sent_bytes == 2 * SLICE
    await world.close()


async def test_a_range_that_does_not_exist_is_refused_from_here() -> None:
    world = film()
    await ranged(world, 0, 10)
    answer = await world.ask("/film", f"Range: bytes={len(BODY)}-")
    assert (answer.status, answer.headers.get("Content-Range")) == (416, f"bytes */{len(BODY)}")
    await world.close()


async def test_all_slices_together_answer_as_the_whole() -> None:
    world = film()
    await ranged(world, 0, len(BODY))
    await world.settle()
    status, body, said = await world.get("/film")
    assert (status, body) == (200, BODY)
    assert said.startswith("hit")
    assert world.origin.sent_bytes == len(BODY)
    await world.close()


async def test_a_changed_representation_drops_every_slice_of_the_old_one() -> None:
    world = film()
    await ranged(world, 0, 4 * SLICE)
    await world.settle()
    new = bytes(len(BODY))
    world.page("/film", new, TAGGED[0], 'ETag: "2"')
    answer = await world.ask("/film", f"Range: bytes={8 * SLICE}-{8 * SLICE + 9}")
    assert await body_of(answer) == bytes(10)
    answer = await world.ask("/film", "Range: bytes=0-9")
    assert await body_of(answer) == bytes(10)
    assert answer.headers.get("ETag") == '"2"'
    await world.settle()
    again = World(slice_bytes=SLICE, file=world.file, store=world.store, clock=world.clock)
    again.origin.pages = world.origin.pages
    answer = await again.ask("/film", f"Range: bytes={2 * SLICE}-{2 * SLICE + 9}")
    assert await body_of(answer) == bytes(10), "nor is any left in the index"
    await again.close()
    await world.close()


async def test_a_change_in_the_middle_of_an_answer_cuts_it_and_mixes_nothing() -> None:
    world = film()
    await ranged(world, 0, SLICE)
    answer = await world.ask("/film", f"Range: bytes=0-{4 * SLICE}")
    world.page("/film", bytes(len(BODY)), TAGGED[0], 'ETag: "2"')
    with pytest.raises(BodyAborted):
        await body_of(answer)
    await world.close()


async def test_a_purge_takes_the_whole_object_with_all_its_slices() -> None:
    world = film()
    await ranged(world, 0, 4 * SLICE)
    await world.settle()
    receipt = (await world.rooms.purges.purge(by_host("www.example.org"), Mode.HARD)).receipt
    assert receipt.object_count == 1
    before = world.origin.sent_bytes
    assert not (await ranged(world, 0, SLICE)).startswith("hit")
    assert world.origin.sent_bytes == before + SLICE
    assert not (await ranged(world, SLICE, 2 * SLICE)).startswith("hit")
    await world.close()


async def test_slices_outlive_their_freshness_the_origin_and_the_node(tmp_path: Path) -> None:
    path = tmp_path / "edge.sqlite"
    world = film(file=EdgeFile(path))
    await ranged(world, 0, 4 * SLICE)
    await world.settle()
    again = film(file=EdgeFile(path), store=world.store, clock=world.clock)
    again.origin.down = Trouble.REFUSED
    assert (await ranged(again, 10, 3 * SLICE)).startswith("hit")
    again.clock.advance(100)
    assert "fwd" not in await ranged(again, 10, 3 * SLICE)
    assert (await again.ask("/film", f"Range: bytes={9 * SLICE}-")).status == 502
    again.origin.down = None
    await ranged(again, 0, SLICE)
    await again.settle()
    assert (await ranged(again, 2 * SLICE, 3 * SLICE)).startswith("hit"), "the slices stayed"
    for each in (again, world):
        await each.close()
        await each.file.close()


async def test_an_evicted_slice_is_fetched_again_alone() -> None:
    world = film()
    await ranged(world, 0, 4 * SLICE)
    await world.settle()
    victim = next(iter(world.store.blobs())).digest
    await world.store.delete(victim)
    before = world.origin.sent_bytes
    await ranged(world, 0, 4 * SLICE)
    assert world.origin.sent_bytes == before + SLICE
    await world.close()


async def test_slices_are_one_group_for_eviction() -> None:
    world = film()
    await ranged(world, 0, 4 * SLICE)
    await world.settle()
    [group] = world.rooms.inventory.groups()
    assert sum(group.members.values()) == 4 * SLICE
    await world.rooms.inventory.drop([group.id])
    assert world.rooms.inventory.groups() == []
    await world.close()


async def test_without_a_strong_validator_the_range_passes_and_the_whole_comes_behind() -> None:
    world = film("Cache-Control: max-age=60", 'ETag: W/"1"')
    await ranged(world, SLICE, SLICE + 10)
    await world.settle()
    assert (await ranged(world, 5, 10)).startswith("hit")
    await world.close()


async def test_a_full_store_still_gives_the_range() -> None:
    world = film()
    world.store.full = True
    await ranged(world, SLICE, SLICE + 10)
    await world.close()


async def test_a_range_of_what_is_sensitive_leaves_nothing_here() -> None:
    world = film("Cache-Control: private, max-age=60", 'ETag: "1"')
    await ranged(world, SLICE, SLICE + 10)
    await world.settle()
    assert world.store.statistics().blob_count == 0
    await world.close()


async def test_a_wrong_content_range_is_believed_by_nobody() -> None:
    world = film()

    def lies(method: str, headers: Headers) -> Page:
        fields = (("Cache-Control", "max-age=60"), ("ETag", '"1"'))
        return Page(BODY[:10], (*fields, ("Content-Range", "bytes 500-509/1000")), 206)

    world.origin.pages["/film"] = lies
    answer = await world.ask("/film", "Range: bytes=0-9")
    await body_of(answer)
    await world.settle()
    assert world.store.statistics().blob_count == 0
    await world.close()


async def test_slices_that_left_before_a_purge_do_not_come_back_after_it() -> None:
    world = film()
    world.origin.rest = asyncio.Event()
    await world.ask("/film", f"Range: bytes=0-{4 * SLICE - 1}")
    await world.rooms.purges.purge(by_host("www.example.org"), Mode.HARD)
    assert not (await ranged(world, 0, 10)).startswith("hit")
    world.origin.rest.set()
    await world.settle()
    [entry] = world.variants.all()
    assert set(world.variants.slices(entry)) == {0}
    await world.close()


async def test_a_new_representation_found_by_a_refresh_leaves_no_old_slice_in_the_index() -> None:
    world = film()
    await ranged(world, 0, 4 * SLICE)
    await world.settle()
    world.clock.advance(70)
    world.page("/film", bytes(len(BODY)), TAGGED[0], 'ETag: "2"')
    answer = await world.ask("/film", "Range: bytes=0-9")
    assert await body_of(answer) == bytes(10)
    await world.settle()
    [entry] = world.variants.all()
    assert set(world.variants.slices(entry)) == {0}
    await world.close()


async def test_a_stale_object_is_given_at_once_and_its_head_renewed_behind() -> None:
    world = film("Cache-Control: max-age=60, stale-while-revalidate=600", 'ETag: "1"')
    await ranged(world, 0, 4 * SLICE)
    await world.settle()
    world.clock.advance(70)
    assert "stale-while-revalidate" in await ranged(world, 2 * SLICE, 3 * SLICE)
    await world.settle()
    assert (await ranged(world, 3 * SLICE, 4 * SLICE)).startswith("hit;ttl=60")
    assert world.origin.sent_bytes == 5 * SLICE
    await world.close()


async def test_a_cut_request_goes_on_with_the_slice_that_is_missing() -> None:
    world = film()
    page = world.page("/film", BODY, *TAGGED)
    page.cut_at = 2 * SLICE
    answer = await world.ask("/film", f"Range: bytes=0-{6 * SLICE - 1}")
    page.cut_at = None
    assert await body_of(answer) == BODY[: 6 * SLICE]
    assert world.origin.count() == 2
    await world.close()


async def test_an_object_whose_slices_are_coming_is_not_closed_for_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(slicing, "OBJECTS_MAX", 1)
    world = film()
    for name in ("/a", "/b"):
        world.page(name, BODY, *TAGGED)
    world.origin.rest = asyncio.Event()
    first = await world.ask("/film", f"Range: bytes=0-{4 * SLICE - 1}")
    for name in ("/a", "/b"):
        await world.ask(name, f"Range: bytes=0-{SLICE - 1}")
    asked = world.origin.count()
    second = await world.ask("/film", f"Range: bytes=0-{4 * SLICE - 1}")
    assert world.origin.count() == asked
    world.origin.rest.set()
    assert await body_of(first) == await body_of(second) == BODY[: 4 * SLICE]
    await world.settle()
    assert world.origin.count() == asked
    await world.close()
