"""Contents whose name nobody knows before they have come: the HTTP cache's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import cast

import pytest

from skerry.base.digest import digest_of
from skerry.store.testing import read_segment
from skerry.upstream.fills import Fill, FillKey
from skerry.upstream.ports import Unavailable
from skerry.upstream.testing import Act, Faithful, ScriptedPlace
from skerry.wire.message import BodyAborted, Segment
from tests.upstream.fills_bench import DATA, DIGEST, Bench, read, settle, soon

KEY = FillKey(None, "www.example.org", name="/secret?token=1")
OTHER = Act(instead=DATA[::-1])
UNSIZED = Act(sized=False)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    yield bench
    await bench.nursery.close()


def get(bench: Bench, *places: ScriptedPlace, keep: bool = True) -> Fill:
    return bench.fills.get(KEY, Faithful(*places).places, keep=keep)


async def test_it_is_stored_under_what_it_turns_out_to_be(bench: Bench) -> None:
    fill = get(bench, ScriptedPlace("origin", DATA))
    assert await soon(fill.opened()) == len(DATA)
    assert fill.digest is None
    assert await soon(read(fill)) == DATA
    await soon(fill.done())
    assert fill.digest == DIGEST
    assert await bench.store.read(DIGEST, bytes_max=len(DATA)) == DATA


async def test_whoever_asks_for_the_same_joins_and_others_do_not(bench: Bench) -> None:
    place, other = ScriptedPlace("origin", DATA), ScriptedPlace("origin", b"other")
    fills = [get(bench, place) for _ in range(3)]
    apart = bench.fills.get(FillKey(None, "www.example.org", name="/b"), [other])
    assert await soon(asyncio.gather(*map(read, fills))) == [DATA] * 3
    assert await soon(read(apart)) == b"other"
    assert place.offsets == [0]
    assert bench.fills.statistics().joined_count == 2


def test_a_key_with_neither_digest_nor_name_is_refused() -> None:
    with pytest.raises(ValueError, match="told apart"):
        FillKey(None, "www.example.org")


@pytest.mark.parametrize("sized", [True, False])
@pytest.mark.parametrize("keep", [True, False])
async def test_the_first_and_every_byte_flows_as_it_comes(
    bench: Bench, sized: bool, keep: bool
) -> None:
    place = ScriptedPlace("origin", DATA, Act(stall_at=1, sized=sized))
    fill = get(bench, place, keep=keep)
    assert await soon(fill.opened()) == (len(DATA) if sized else None)
    stream = fill.stream()
    assert await soon(anext(stream)) == DATA[:1]
    place.release()
    assert b"".join([chunk async for chunk in stream]) == DATA[1:]
    assert fill.digest is None or fill.digest == DIGEST


async def test_a_cut_body_aborts_every_follower_and_is_not_kept(bench: Bench) -> None:
    act = Act(stall_at=100_000, cut_at=170_000, sized=False)
    place = ScriptedPlace("origin", DATA, act, OTHER)
    fill = get(bench, place)
    stream = fill.stream()
    seen = bytearray(await soon(anext(stream)))
    place.release()

    async def rest() -> None:
        async for chunk in stream:
            seen.extend(chunk)

    with pytest.raises(BodyAborted):
        await soon(rest())
    assert DATA.startswith(seen)
    assert len(seen) >= 100_000
    with pytest.raises(Unavailable):
        await soon(fill.done())
    await settle(bench)
    assert not list(bench.store.blobs())
    assert fill.digest is None
    bench.assert_nothing_is_left(place)


async def test_a_cut_body_of_known_length_aborts_whoever_follows_the_file(bench: Bench) -> None:
    place = ScriptedPlace("origin", DATA, Act(stall_at=100_000, cut_at=299_999), OTHER)
    fill = get(bench, place)
    await soon(fill.opened())
    segment = cast(Segment, fill.body())
    place.release()
    with pytest.raises(BodyAborted):
        await soon(read_segment(segment))


async def test_it_is_resumed_where_the_same_representation_is(bench: Bench) -> None:
    first = ScriptedPlace("a", DATA, Act(cut_at=100_000), OTHER)
    second = ScriptedPlace("b", DATA, Act(cut_at=200_000), Act(ignores_range=True))
    assert await soon(read(get(bench, first, second))) == DATA
    assert second.offsets == [100_000, 200_000]
    assert first.wrong_count == second.wrong_count == 0


async def test_it_is_kept_as_it_was_coded(bench: Bench) -> None:
    place = ScriptedPlace("origin", DATA, Act(coding="gzip"))
    assert await soon(read(get(bench, place))) == DATA
    assert place.wrong_count == 0


async def test_an_empty_one_is_a_content(bench: Bench) -> None:
    fill = get(bench, ScriptedPlace("origin", b"", UNSIZED))
    assert await soon(read(fill)) == b""
    await soon(fill.done())
    assert fill.digest == digest_of(b"")


async def test_its_digest_is_in_the_fills_before_its_file_is_visible(bench: Bench) -> None:
    """Eviction asks: the same bytes may lie there already, and be about to go."""
    place = ScriptedPlace("origin", DATA, Act(stall_at=299_999))
    fill = get(bench, place)
    await soon(fill.opened())
    assert DIGEST not in bench.fills
    keep = bench.store.keep
    known: list[bool] = []

    def spied(*what: object) -> None:
        known.append(DIGEST in bench.fills)
        keep(*what)  # type: ignore[arg-type]

    bench.store.keep = spied  # type: ignore[method-assign]
    place.release()
    await soon(fill.done())
    await settle(bench)
    assert known == [True]
    assert DIGEST not in bench.fills


async def test_its_secret_name_is_never_shown(bench: Bench) -> None:
    place = ScriptedPlace("origin", DATA, Act(cut_at=100_000), Act(cut_at=150_000), OTHER)
    fill = get(bench, place)
    with pytest.raises(Unavailable) as caught:
        await soon(fill.done())
    bench.store.full = True
    with pytest.raises(Exception, match="full"):
        await soon(get(bench, ScriptedPlace("origin", DATA)).done())
    said = [repr(event) for event in bench.events.recent()]
    assert any("fill.resumed" in line and "www.example.org" in line for line in said)
    assert any("fill.not_stored" in line for line in said)
    for text in (*said, str(caught.value), repr(fill.key), repr(bench.fills.statistics())):
        assert "secret" not in text
