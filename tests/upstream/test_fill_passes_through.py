"""When there is no room: contents pass through memory, proven like any other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from skerry.base.digest import digest_of
from skerry.store.ports import HELD_BACK_BYTES, StoreFull
from skerry.upstream.fills import FillKey
from skerry.upstream.testing import HONEST, Act, ScriptedPlace
from skerry.wire.message import BodyAborted
from tests.upstream.fills_bench import DATA, DIGEST, Bench, read, settle, soon


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    yield bench
    await bench.nursery.close()


async def test_a_full_disk_lets_contents_pass_through_one_fetch_per_reader(bench: Bench) -> None:
    bench.store.full = True
    place = ScriptedPlace("origin", DATA)
    fills = [bench.get(place) for _ in range(3)]
    assert await soon(asyncio.gather(*(read(fill) for fill in fills))) == [DATA] * 3
    assert place.offsets == [0, 0, 0]
    assert bench.store.size_of(DIGEST) is None
    assert bench.fills.statistics().passed_through_count == 3
    await settle(bench)
    bench.assert_nothing_is_left(place)


async def test_what_passes_through_cannot_be_waited_for(bench: Bench) -> None:
    bench.store.full = True
    with pytest.raises(StoreFull):
        await soon(bench.get(ScriptedPlace("origin", DATA)).done())


async def test_what_passes_through_is_proven_too(bench: Bench) -> None:
    bench.store.full = True
    place = ScriptedPlace("liar", DATA, Act(flip_at=10))
    seen = bytearray()

    async def collect() -> None:
        async for chunk in bench.get(place).stream():
            seen.extend(chunk)

    with pytest.raises(BodyAborted):
        await soon(collect())
    assert 0 < len(seen) <= len(DATA) - HELD_BACK_BYTES
    assert place.wrong_count == 1


async def test_what_passes_through_is_resumed_too(bench: Bench) -> None:
    place = ScriptedPlace("origin", DATA, Act(cut_at=180_000), HONEST)
    assert await soon(read(bench.get(place, keep=False))) == DATA
    assert place.offsets == [0, 180_000]


async def test_the_end_of_a_content_can_be_asked_for_alone(bench: Bench) -> None:
    place = ScriptedPlace("origin", DATA, Act(sized=False))
    assert await soon(read(bench.get(place, keep=False), 200_001)) == DATA[200_001:]


async def test_a_reader_of_a_range_that_passes_through_lets_the_rest_go(bench: Bench) -> None:
    data = DATA * 10
    place = ScriptedPlace("origin", data)
    fill = bench.fills.get(FillKey(digest_of(data), "docker.io"), [place], keep=False)
    assert await soon(read(fill, 1000, 5000)) == data[1000:6000]
    await soon(settle(bench))
    assert place.sent_bytes < len(data)
    bench.assert_nothing_is_left(place)


async def test_a_slow_reader_of_what_passes_through_holds_a_bounded_buffer(bench: Bench) -> None:
    data = DATA * 20
    place = ScriptedPlace("origin", data)
    fill = bench.fills.get(FillKey(digest_of(data), "docker.io"), [place], keep=False)
    await soon(fill.opened())
    stream = fill.stream()
    got = await anext(stream)
    for _ in range(2000):
        await asyncio.sleep(0)
    assert place.sent_bytes < 4 << 20
    got += b"".join([chunk async for chunk in stream])
    assert got == data


async def test_a_disk_that_fills_up_in_mid_fill_aborts_and_the_next_asker_passes_through(
    bench: Bench,
) -> None:
    place = ScriptedPlace("origin", DATA, Act(stall_at=100_000), HONEST)
    fill = bench.get(place)
    await soon(fill.opened())
    reader = asyncio.ensure_future(read(fill))
    bench.store.full = True
    place.release()
    with pytest.raises(BodyAborted):
        await soon(reader)
    bench.store.full = False
    assert await soon(read(bench.get(place))) == DATA
    assert bench.store.size_of(DIGEST) is None, "it did not fit a moment ago"
    bench.clock.advance(31)
    await soon(bench.get(place).done())
    assert bench.store.size_of(DIGEST) == len(DATA)


async def test_a_disk_that_refuses_the_last_step_has_served_its_readers(bench: Bench) -> None:
    place = ScriptedPlace("origin", DATA, Act(stall_at=299_999))
    fill = bench.get(place)
    await soon(fill.opened())
    reader = asyncio.ensure_future(read(fill))

    def refuse(*_: object) -> None:
        raise StoreFull("no room for the name")

    bench.store.keep = refuse  # type: ignore[method-assign]
    place.release()
    assert await soon(reader) == DATA
    with pytest.raises(StoreFull):
        await soon(fill.done())
    assert bench.store.size_of(DIGEST) is None
