"""Fetching before anybody asks: the plan, the caps, who goes first, and what is never fetched."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from itertools import pairwise
from random import Random

import pytest

from skerry.base.errors import BadInput
from skerry.cdn.core.courtesy import ABOUT_SECONDS, WINDOW_BYTES, Courtesy
from skerry.cdn.core.prewarm import Caps, PrewarmEvent, Step, Wish
from skerry.cdn.ports import DataClass, RoutePolicy
from skerry.cdn.yielding import SMALL_REST_SECONDS
from skerry.upstream.ports import Trouble
from skerry.wire.message import Headers
from tests.cdn.world import Page, World, body_of

SITE = "http://www.example.org"
SLICE = 64 * 1024
BIG = Random(1).randbytes(2 * WINDOW_BYTES + 3 * SLICE + 7)
TAGGED = ("Cache-Control: max-age=600", 'ETag: "1"')


def wishes(*paths: str) -> list[Wish]:
    return [Wish(f"{SITE}{path}") for path in paths]


async def run(
    world: World, asked: Sequence[Wish], caps: Caps | None = None, *, only_plan: bool = False
) -> list[PrewarmEvent]:
    events = world.rooms.prewarm.run(asked, caps or Caps(), only_plan=only_plan)
    async with ticking(world):
        return [event async for event in events]


@asynccontextmanager
async def ticking(world: World) -> AsyncIterator[None]:
    """Time goes on by itself, as fast as the loop turns."""

    async def tick() -> None:
        while True:
            world.clock.advance(0.001)
            await asyncio.sleep(0)

    ticker = asyncio.ensure_future(tick())
    try:
        yield
    finally:
        ticker.cancel()


def steps(events: Sequence[PrewarmEvent], *which: Step) -> list[str]:
    return [event.url.removeprefix(SITE) for event in events if event.step in which]


async def test_a_list_is_fetched_once_and_then_here() -> None:
    world = World()
    world.page("/a", b"a" * 1000)
    world.page("/b", b"b" * 500)
    events = await run(world, wishes("/a", "/b"))
    plan = next(event for event in events if event.step is Step.PLAN)
    assert plan.missing_bytes == 1500
    assert plan.counts == {"fetch": 2, "here": 0, "beyond": 0, "refused": 0}
    assert steps(events, Step.FETCHED) == ["/a", "/b"]
    assert events[-1].done_bytes == 1500
    await world.settle()
    assert (await world.get("/a"))[2].startswith("hit")
    again = await run(world, wishes("/a", "/b"))
    assert again[-1].counts == {"fetched": 0, "failed": 0}
    assert world.origin.count() == 2
    await world.close()


async def test_a_plan_alone_fetches_no_body() -> None:
    world = World()
    world.page("/a", b"a" * 1000)
    events = await run(world, wishes("/a"), Caps(micro_per_gb=90_000), only_plan=True)
    assert events[-1].step is Step.PLAN
    assert events[-1].cost_micro == 1
    assert world.origin.count("HEAD") == 1
    assert world.origin.count("GET") == 0
    await world.close()


async def test_it_stops_at_the_bytes_that_were_allowed() -> None:
    world = World()
    for name in "abc":
        world.page(f"/{name}", b"x" * 1000)
    events = await run(world, wishes("/a", "/b", "/c"), Caps(bytes_max=2500))
    assert steps(events, Step.FETCHED) == ["/a", "/b"]
    assert world.origin.sent_bytes == 2000
    await world.close()


async def test_an_origin_that_sends_more_than_it_said_is_stopped_at_the_cap() -> None:
    world = World(slice_bytes=SLICE)
    world.page("/small", BIG[: SLICE * 2], *TAGGED)
    wish = wishes("/small", "/next")
    world.page("/next", BIG[: SLICE * 2], *TAGGED)

    events = world.rooms.prewarm.run(wish, Caps(bytes_max=SLICE * 4))
    async with ticking(world):
        async for event in events:
            if event.step is Step.PLAN:
                world.page("/small", BIG, *TAGGED)
    assert world.origin.sent_bytes <= WINDOW_BYTES + 4 * SLICE
    await world.close()


async def test_a_large_object_comes_in_slices_and_a_second_run_brings_what_is_missing() -> None:
    world = World(slice_bytes=SLICE)
    world.page("/film", BIG, *TAGGED)
    stop = 3 * SLICE
    answer = await world.ask("/film", f"Range: bytes=0-{stop - 1}")
    await body_of(answer)
    await world.settle()
    events = await run(world, wishes("/film"))
    plan = next(event for event in events if event.step is Step.PLAN)
    assert plan.missing_bytes == len(BIG) - stop
    assert events[-1].done_bytes == len(BIG) - stop
    assert world.origin.sent_bytes == len(BIG)
    await world.settle()
    status, body, cache = await world.get("/film")
    assert (status, body) == (200, BIG)
    assert cache.startswith("hit")
    await world.close()


async def test_a_run_that_was_ended_goes_on_where_it_was() -> None:
    world = World(slice_bytes=SLICE)
    world.page("/film", BIG, *TAGGED)
    events = world.rooms.prewarm.run(wishes("/film"), Caps())
    async with ticking(world):
        async for event in events:
            if event.step is Step.FETCHING:
                break
    await events.aclose()
    await world.settle()
    sent = world.origin.sent_bytes
    assert 0 < sent < len(BIG)
    done = await run(world, wishes("/film"))
    assert done[-1].done_bytes == len(BIG) - sent
    assert world.origin.sent_bytes == len(BIG)
    await world.close()


async def test_a_visitor_goes_first() -> None:
    world = World(slice_bytes=SLICE)
    world.page("/film", BIG, *TAGGED)
    world.page("/slow", b"s" * 200_000)
    events = world.rooms.prewarm.run(wishes("/film"), Caps())
    told = [await anext(events), await anext(events)]
    world.origin.rest = asyncio.Event()
    visitor = await world.ask("/slow")
    async with ticking(world):
        told.append(await anext(events))
        assert [event.step for event in told] == [Step.ITEM, Step.PLAN, Step.WAITING]
        sent = world.origin.sent_bytes
        going_on = asyncio.ensure_future(anext(events))
        for _ in range(1000):  # a second of the ticking clock
            await asyncio.sleep(0)
        assert not going_on.done()
        assert world.origin.sent_bytes == sent
        world.origin.rest.set()
        assert await body_of(visitor) == b"s" * 200_000
        assert (await going_on).step is Step.FETCHING
    await events.aclose()
    await world.settle()
    await world.close()


@pytest.mark.parametrize(
    "url",
    [
        "http://elsewhere.example/a",
        "http://127.0.0.1:9090/api/v1/status",
        "http://169.254.169.254/latest/meta-data",
        "file:///etc/passwd",
        "http://www.example.org/a?token=secret",
        "http://www.example.org/../a",
        "//www.example.org/a",
        "gopher://www.example.org/a",
        "http://www.example.org\r\nX: y/a",
        "",
    ],
)
async def test_what_no_site_serves_is_refused_and_nobody_is_asked(url: str) -> None:
    world = World()
    events = await run(world, [Wish(url)])
    [item] = [event for event in events if event.step is Step.ITEM]
    assert item.verdict == "refused"
    assert item.what
    assert world.origin.asked == []
    await world.close()


async def test_a_sensitive_route_is_refused() -> None:
    world = World(RoutePolicy(data_class=DataClass.SENSITIVE))
    world.page("/a", b"secret")
    [item, *_] = await run(world, wishes("/a"))
    assert (item.verdict, item.what) == ("refused", "its route is not public")
    assert world.origin.asked == []
    await world.close()


async def test_what_the_origin_lacks_or_fails_at_is_told_and_the_rest_goes_on() -> None:
    world = World()
    world.page("/b", b"b")
    events = await run(world, wishes("/missing", "/b"))
    assert steps(events, Step.FETCHED) == ["/b"]
    [missing] = [event for event in events if event.url.endswith("/missing")]
    assert missing.what == "the origin said 404"
    await world.close()


async def test_an_origin_that_dies_in_between_fails_its_objects_and_ends_the_run() -> None:
    world = World()
    world.page("/a", b"a")
    world.page("/b", b"b")
    events = world.rooms.prewarm.run(wishes("/a", "/b"), Caps())
    seen = []
    async with ticking(world):
        async for event in events:
            seen.append(event)
            if event.step is Step.PLAN:
                world.origin.down = Trouble.REFUSED
    assert steps(seen, Step.FAILED) == ["/a", "/b"]
    assert seen[-1].counts == {"fetched": 0, "failed": 2}
    await world.close()


async def test_it_waits_while_the_budget_burns_too_fast_and_goes_on_by_itself() -> None:
    world = World()
    world.page("/a", b"a" * 1000)
    world.page("/b", b"b" * 500)
    burns = True
    world.rooms.prewarm._paused = lambda route: burns
    seen: list[PrewarmEvent] = []
    async with ticking(world):
        async for event in world.rooms.prewarm.run(wishes("/a", "/b"), Caps()):
            seen.append(event)
            if event.step is Step.PAUSED:
                assert "burns above 1" in event.what
                assert not steps(seen, Step.FETCHED)
                burns = False
    assert steps(seen, Step.PAUSED) == ["/a"]
    assert steps(seen, Step.FETCHED) == ["/a", "/b"]


async def test_one_run_at_a_time() -> None:
    world = World()
    world.page("/a", b"a")
    events = world.rooms.prewarm.run(wishes("/a"), Caps())
    await anext(events)
    with pytest.raises(BadInput):
        await run(world, wishes("/a"))
    await events.aclose()
    await run(world, wishes("/a"))
    await world.close()


async def test_a_manifest_is_read_through_the_edge_itself() -> None:
    world = World()
    world.page("/m.json", b'{"objects": [{"url": "a.bin"}]}', "Cache-Control: max-age=5")
    assert await world.rooms.prewarm.wishes(f"{SITE}/m.json") == (Wish(f"{SITE}/a.bin"),)
    with pytest.raises(BadInput):
        await world.rooms.prewarm.wishes("http://elsewhere.example/m.json")
    await world.close()


async def test_what_is_fetched_ahead_is_nobodys_request_in_the_numbers() -> None:
    world = World()
    world.page("/a", b"a" * 100)
    await run(world, wishes("/a"))
    rows = world.metrics.expose().splitlines()
    counted = [row for row in rows if row.startswith("skerry_edge_requests_total{")]
    assert counted
    assert all(row.endswith(" 0") for row in counted)
    assert world.rooms.prewarm.statistics().fetched_bytes == 100
    await world.close()


async def test_beside_visitors_pieces_are_small_and_rests_are_long() -> None:
    took: dict[float, float] = {}
    for share in (1.0, 0.1):
        world = World(slice_bytes=SLICE)
        world.rooms.prewarm._yielding.courtesy = Courtesy(share)
        world.page("/film", BIG, *TAGGED)
        world.page("/news", b"n" * 100, "Cache-Control: max-age=0")
        told: list[tuple[float, int]] = []
        run = world.rooms.prewarm.run(wishes("/film"), Caps())
        async with ticking(world), aclosing(run) as events:
            async for event in events:
                if event.step is Step.FETCHING:
                    told.append((world.clock.monotonic(), event.done_bytes))
                    await world.get("/news")
                if len(told) == 3:
                    break
        pieces = [after - before for (_, before), (_, after) in pairwise([(0.0, 0), *told])]
        assert pieces == [WINDOW_BYTES, SLICE, SLICE]
        took[share] = told[-1][0] - told[0][0]
        await world.settle()
        await world.close()
    assert took[0.1] > 3 * took[1.0]


async def test_a_rest_ends_when_the_visitors_have_left() -> None:
    world = World(slice_bytes=SLICE)
    world.rooms.prewarm._yielding.courtesy = Courtesy(0.05)
    film = world.page("/film", BIG, *TAGGED)
    world.page("/news", b"n" * 100, "Cache-Control: max-age=0")

    def slow(method: str, headers: Headers) -> Page:
        world.clock.advance(3.0 if method == "GET" else 0.0)
        return film

    world.origin.pages["/film"] = slow
    await world.get("/news")
    began = world.clock.monotonic()
    run = world.rooms.prewarm.run(wishes("/film"), Caps())
    async with ticking(world), aclosing(run) as events:
        async for event in events:
            if event.step is Step.FETCHING:
                break
    assert event.done_bytes == SLICE, "a visitor was about"
    assert world.clock.monotonic() - began < 3 * ABOUT_SECONDS, (
        "nineteen times three seconds is far more"
    )
    await world.settle()
    await world.close()


async def test_beside_visitors_lengths_are_asked_for_one_at_a_time() -> None:
    took: dict[bool, float] = {}
    for visited in (False, True):
        world = World()
        names = [f"/{number}" for number in range(10)]
        for name in names:
            world.page(name, b"a" * 10)
        world.page("/news", b"n" * 100, "Cache-Control: max-age=0")
        if visited:
            await world.get("/news")
        began = world.clock.monotonic()
        await run(world, wishes(*names), only_plan=True)
        took[visited] = world.clock.monotonic() - began
        await world.settle()
        await world.close()
    assert took[False] < 5 * SMALL_REST_SECONDS
    assert took[True] >= 10 * SMALL_REST_SECONDS
