"""Fills over the memory store and scripted places: who gets what, and what is left behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from skerry.base.digest import Digest, digest_of
from skerry.store.ports import HELD_BACK_BYTES, DigestMismatch
from skerry.store.testing import MemorySpool, read_segment
from skerry.upstream.fills import FillKey
from skerry.upstream.flight import FillFailed, TooLarge
from skerry.upstream.ports import Absent, Denied, Unavailable
from skerry.upstream.testing import HONEST, Act, ScriptedPlace, absent, dead, denied
from skerry.wire.message import BodyAborted, Segment
from tests.upstream.fills_bench import DATA, DIGEST, KEY, Bench, read, settle, soon


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    yield bench
    await bench.nursery.close()


async def test_a_missing_content_is_fetched_proven_and_kept(bench: Bench) -> None:
    place = ScriptedPlace("origin", DATA)
    fill = bench.get(place)
    assert await soon(read(fill)) == DATA
    await soon(fill.done())
    assert await bench.store.read(DIGEST, bytes_max=1 << 20) == DATA
    await settle(bench)
    bench.assert_nothing_is_left(place)
    assert bench.fills.statistics().stored_count == 1


async def test_t35_fifty_askers_are_one_fetch_and_late_ones_get_it_from_the_first_byte(
    bench: Bench,
) -> None:
    place = ScriptedPlace("origin", DATA, Act(stall_at=200_000))
    early = [asyncio.ensure_future(read(bench.get(place))) for _ in range(49)]
    await soon(bench.get(place).opened())
    late = asyncio.ensure_future(read(bench.get(place)))
    place.release()
    assert await soon(asyncio.gather(*early, late)) == [DATA] * 50
    assert place.offsets == [0]
    assert place.sent_bytes == len(DATA)
    assert bench.fills.statistics().joined_count == 50


async def test_another_scope_or_authority_is_another_fetch(bench: Bench) -> None:
    place = ScriptedPlace("origin", DATA)
    keys = [KEY, FillKey(DIGEST, "quay.io"), FillKey(DIGEST, "docker.io", "alice")]
    fills = [bench.fills.get(key, [place]) for key in keys]
    for fill in fills:
        await soon(fill.done())
    assert place.offsets == [0, 0, 0]


async def test_the_first_byte_is_shown_before_the_last_has_come(bench: Bench) -> None:
    place = ScriptedPlace("origin", DATA, Act(stall_at=100_000))
    fill = bench.get(place)
    assert await soon(fill.opened()) == len(DATA)
    segment = fill.follow(0, len(DATA))
    assert await soon(segment.readable(0)) <= 100_000 - HELD_BACK_BYTES
    segment.close()
    place.release()
    await soon(fill.done())


async def test_t14_the_asker_may_leave_and_the_fill_goes_on(bench: Bench) -> None:
    place = ScriptedPlace("origin", DATA, Act(stall_at=100_000))
    asker = asyncio.ensure_future(read(bench.get(place)))
    await soon(bench.get(place).opened())
    asker.cancel()
    place.release()
    await soon(settle(bench))
    assert bench.store.size_of(DIGEST) == len(DATA)


async def test_a_reader_that_never_reads_slows_nobody(bench: Bench) -> None:
    place = ScriptedPlace("origin", DATA)
    idle = bench.get(place)
    await idle.opened()
    segment = idle.follow(0, len(DATA))
    assert await soon(read(bench.get(place))) == DATA
    assert await soon(read_segment(segment)) == DATA, "and it still gets all of it, after the end"


async def test_a_cut_transfer_resumes_by_range_at_the_same_place(bench: Bench) -> None:
    place = ScriptedPlace("origin", DATA, Act(cut_at=180_000), HONEST)
    assert await soon(read(bench.get(place))) == DATA
    assert place.offsets == [0, 180_000]
    assert place.sent_bytes == len(DATA)
    assert bench.fills.statistics().resumed_count == 1


async def test_a_dead_place_is_followed_by_the_next_from_where_it_stopped(bench: Bench) -> None:
    first = ScriptedPlace("region", DATA, Act(cut_at=180_000), dead())
    second = ScriptedPlace("origin", DATA, Act(ignores_range=True))
    assert await soon(read(bench.get(first, second))) == DATA
    assert (first.offsets, second.offsets) == ([0, 180_000], [180_000])


@pytest.mark.parametrize(
    "lie",
    [
        Act(size_lie_bytes=len(DATA) - 1),
        Act(coding="gzip"),
        Act(extra_bytes=70_000),
        Act(ends_at=0),
        Act(instead=b"<html>please log in</html>"),
    ],
)
async def test_an_answer_that_cannot_be_right_is_passed_over(bench: Bench, lie: Act) -> None:
    liar, honest = ScriptedPlace("liar", DATA, lie), ScriptedPlace("honest", DATA)
    assert await soon(read(bench.get(liar, honest, size=len(DATA)))) == DATA
    assert honest.wrong_count == 0


async def test_t10_one_flipped_bit_aborts_every_reader_and_keeps_nothing(bench: Bench) -> None:
    place = ScriptedPlace("liar", DATA, Act(flip_at=150_000))
    readers = [asyncio.ensure_future(read(bench.get(place))) for _ in range(5)]
    endings = cast(list[object], await soon(asyncio.gather(*readers, return_exceptions=True)))
    assert [type(ending) for ending in endings] == [BodyAborted] * 5
    assert bench.store.size_of(DIGEST) is None
    assert place.wrong_count == 1
    assert [event.subject for event in bench.events.recent("fill.wrong_content")] == [str(DIGEST)]
    await settle(bench)
    bench.assert_nothing_is_left(place)


async def test_after_a_lie_the_next_asker_gets_a_new_fetch(bench: Bench) -> None:
    place = ScriptedPlace("origin", DATA, Act(flip_at=299_999), HONEST)
    with pytest.raises(DigestMismatch):
        await soon(bench.get(place).done())
    assert await soon(read(bench.get(place))) == DATA


async def test_whoever_asks_again_at_once_does_not_join_the_failure(bench: Bench) -> None:
    place = ScriptedPlace("origin", DATA, Act(flip_at=299_999), HONEST)

    async def insist() -> bytes:
        with pytest.raises(DigestMismatch):
            await bench.get(place).done()
        return await read(bench.get(place))

    assert await soon(insist()) == DATA


async def test_small_chunks_are_written_in_big_pieces(bench: Bench) -> None:
    place = ScriptedPlace("origin", DATA, chunk_bytes=1000)
    written: list[int] = []
    begin = bench.store.begin

    async def spied(**wish: Any) -> MemorySpool:
        spool = await begin(**wish)
        write = spool.write

        async def count(chunk: bytes) -> None:
            written.append(len(chunk))
            await write(chunk)

        spool.write = count  # type: ignore[method-assign, assignment]
        return spool

    bench.store.begin = spied  # type: ignore[method-assign]
    await soon(bench.get(place).done())
    assert sum(written) == len(DATA)
    assert len(written) < 10


async def test_a_small_lie_never_becomes_an_answer(bench: Bench) -> None:
    place = ScriptedPlace("portal", b"<html>please log in</html>")
    with pytest.raises(DigestMismatch):
        await soon(bench.get(place).opened())


@pytest.mark.parametrize(
    ("acts", "error"),
    [
        ([absent(), absent()], Absent),
        ([absent(), denied()], Denied),
        ([absent(), dead()], Unavailable),
        ([], Unavailable),
    ],
)
async def test_what_cannot_be_had_says_why_to_every_asker(
    bench: Bench, acts: list[Act], error: type[Exception]
) -> None:
    places = [ScriptedPlace(f"place{i}", DATA, act) for i, act in enumerate(acts)]
    fills = [bench.get(*places) for _ in range(3)]
    for fill in fills:
        with pytest.raises(error):
            await soon(fill.opened())
        with pytest.raises(error):
            await soon(fill.done())


async def test_a_content_longer_than_its_asker_takes_is_refused(bench: Bench) -> None:
    place = ScriptedPlace("origin", DATA, Act(sized=False))
    with pytest.raises(TooLarge):
        bench.fills.get(KEY, [place], size_bytes=len(DATA), size_bytes_max=1000)
    with pytest.raises(Unavailable, match="more than 1000 bytes"):
        await soon(bench.fills.get(KEY, [place], size_bytes_max=1000).opened())
    assert place.sent_bytes < len(DATA)


async def test_an_empty_content_is_a_content(bench: Bench) -> None:
    key = FillKey(digest_of(b""), "docker.io")
    fill = bench.fills.get(key, [ScriptedPlace("origin", b"")])
    assert await soon(fill.opened()) == 0
    assert await soon(read(fill)) == b""
    await soon(fill.done())
    assert bench.store.size_of(key.digest) == 0


async def test_a_content_without_length_is_streamed_and_kept(bench: Bench) -> None:
    place = ScriptedPlace("chunked", DATA, Act(sized=False, cut_at=170_000), Act(sized=False))
    fill = bench.get(place)
    assert await soon(fill.opened()) is None
    assert await soon(read(fill)) == DATA
    await soon(fill.done())


async def test_sha512_names_a_content_as_well(bench: Bench) -> None:
    key = FillKey(digest_of(DATA, "sha512"), "docker.io")
    fill = bench.fills.get(key, [ScriptedPlace("origin", DATA)])
    assert await soon(read(fill)) == DATA


async def test_a_range_of_a_cold_content_is_that_readers_alone(bench: Bench) -> None:
    place = ScriptedPlace("origin", DATA)
    fill = bench.get(place)
    assert await soon(read(fill, 1000, 500)) == DATA[1000:1500]
    assert await soon(read(fill, len(DATA) - 5)) == DATA[-5:]
    await soon(fill.done())
    assert place.offsets == [0]


async def test_closing_the_nursery_in_mid_fill_leaves_nothing(bench: Bench) -> None:
    place = ScriptedPlace("origin", DATA, Act(stall_at=100_000))
    fill = bench.get(place)
    await soon(fill.opened())
    segment = cast(Segment, fill.body())
    await soon(bench.nursery.close())
    bench.assert_nothing_is_left(place)
    with pytest.raises(BodyAborted):
        await soon(read_segment(segment))
    with pytest.raises(FillFailed):
        await soon(fill.done())


async def test_closing_the_nursery_before_a_fill_begins_wakes_its_askers(bench: Bench) -> None:
    fill = bench.get(ScriptedPlace("origin", DATA))
    await bench.nursery.close()  # at once: the task never takes its first step
    with pytest.raises(FillFailed):
        await soon(fill.opened())


async def test_a_bug_in_a_place_is_reported_and_leaves_no_asker_waiting(bench: Bench) -> None:
    class Broken(ScriptedPlace):
        async def open(self, offset_bytes: int) -> object:  # type: ignore[override]
            raise ZeroDivisionError

    fill = bench.get(Broken("origin", DATA))
    with pytest.raises(FillFailed):
        await soon(fill.opened())
    await settle(bench)
    assert [type(error) for error in bench.crashes] == [ZeroDivisionError]


async def test_fills_beyond_the_limit_of_an_authority_wait_and_others_do_not() -> None:
    bench = Bench(fills_max=1)
    stuck, waiting = ScriptedPlace("a", DATA, Act(stall_at=50_000)), ScriptedPlace("a", b"second")
    other = ScriptedPlace("b", DATA)
    first = bench.get(stuck)
    await soon(first.opened())
    second = bench.fills.get(FillKey(digest_of(b"second"), "docker.io"), [waiting])
    await soon(bench.fills.get(FillKey(DIGEST, "quay.io"), [other]).done())
    assert waiting.offsets == []
    stuck.release()
    await soon(second.done())


async def test_places_are_asked_for_when_the_turn_of_the_fill_has_come(bench: Bench) -> None:
    place = ScriptedPlace("origin", DATA)
    asked: list[int] = []

    def places() -> list[ScriptedPlace]:
        asked.append(1)
        return [place]

    fills = [bench.fills.get(KEY, places) for _ in range(3)]
    for fill in fills:
        await soon(fill.done())
    assert asked == [1]


async def test_a_content_on_its_way_in_is_known_by_its_digest(bench: Bench) -> None:
    place = ScriptedPlace("origin", DATA, Act(stall_at=100_000))
    fill = bench.get(place)
    assert DIGEST in bench.fills
    place.release()
    await soon(fill.done())
    await settle(bench)
    assert DIGEST not in bench.fills
    assert isinstance(DIGEST, Digest)
