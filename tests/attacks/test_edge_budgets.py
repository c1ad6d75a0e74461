"""Floods at the edge's door: the origin hears of a few, visitors of what is stored of nothing.

Over twins, with a clock that stands still unless it is moved: every count is exact.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from skerry.adapters.http_send import close_body
from skerry.cdn.core.route import Route
from skerry.cdn.ports import DataClass, RoutePolicy
from skerry.upstream.misses import MissRules
from skerry.wire.message import Answer
from tests.cdn.world import PUBLIC, World, body_of, status_of

PER_MINUTE = 600
FLOOD = 1500
ROUTER = "198.51.100.7"
ELSEWHERE = "203.0.113.1"
MIB = 1 << 20
FILM = bytes(range(256)) * (16 * 1024)
STRONG = ('ETag: "film"', "Cache-Control: max-age=600", "Accept-Ranges: bytes")


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World(misses=MissRules(misses_per_minute=PER_MINUTE))
    made.page("/page", b"page" * 500)
    yield made
    await made.close()


async def visit(
    world: World, target: str, *fields: str, client: str = ROUTER, port: int = 1
) -> Answer:
    answer = await world.ask(target, *fields, client=client, port=port)
    await body_of(answer)
    return answer


async def flood(world: World, target: str, *, connections: int = 1) -> set[int]:
    said = set()
    for n in range(FLOOD):
        answer = await visit(world, target.format(n=n), port=n % connections)
        said.add(answer.status)
    await world.settle()
    return said


@pytest.mark.parametrize("connections", [1, 16])
@pytest.mark.parametrize("target", ["/page?bust={n}", "/invented-{n}", "/a/{n}/b?c"])
async def test_invented_urls_cost_the_origin_no_more_than_a_share(
    world: World, target: str, connections: int
) -> None:
    assert (await visit(world, "/page", client=ELSEWHERE)).status == 200
    assert await flood(world, target, connections=connections) <= {200, 404, 429}
    assert world.origin.count() <= PER_MINUTE / 2
    # Behind the same router: what is stored, and something new of one's own.
    hit = await visit(world, "/page", port=99)
    assert "hit" in (hit.headers.get("Cache-Status") or "")
    world.page("/mine", b"mine")
    assert (await visit(world, "/mine", port=99)).status == 200
    # Elsewhere.
    world.page("/theirs", b"theirs")
    assert (await visit(world, "/theirs", client=ELSEWHERE)).status == 200


async def test_what_is_refused_says_until_when_and_is_stored_by_nobody(world: World) -> None:
    while (answer := await visit(world, f"/x-{world.origin.count()}")).status == 404:
        pass
    assert answer.status == 429
    assert 1 <= int(answer.headers.get("Retry-After") or 0) <= 60
    assert answer.headers.get("Cache-Control") == "no-store"
    world.clock.advance(int(answer.headers.get("Retry-After") or 0))
    assert (await visit(world, "/x-again")).status == 404


async def test_what_is_stored_is_served_stale_where_its_origin_may_not_be_asked(
    world: World,
) -> None:
    known = 500
    for n in range(known):
        world.page(f"/known-{n}", b"known", "Cache-Control: max-age=1, stale-if-error=86400")
        assert (await visit(world, f"/known-{n}", client=f"10.0.{n % 250}.1", port=n)).status == 200
        world.clock.advance(1.0)
    world.page("/strict", b"strict", "Cache-Control: max-age=1, must-revalidate")
    assert (await visit(world, "/strict", client=ELSEWHERE)).status == 200
    world.clock.advance(600.0)  # all that was used is forgotten, and no page is fresh
    asked, said = world.origin.count(), []
    for n in range(known):
        answer = await visit(world, f"/known-{n}", port=n)
        assert answer.status == 200
        said.append(status_of(answer))
    await world.settle()
    confirmed = world.origin.count() - asked
    assert PER_MINUTE / 4 < confirmed < known, "the reserve, and no more"
    assert "stored" in said[0]
    assert "detail=disconnected" in said[-1], "and it says that it is stale"
    strict = await visit(world, "/strict", port=1)
    assert strict.status == 429, "what may not be served without its origin's word is not"
    elsewhere = await visit(world, "/strict", client="192.0.2.9", port=1)
    assert elsewhere.status == 200, "another network has its part of the reserve"


async def test_a_range_flood_of_a_cold_file_fetches_each_slice_once() -> None:
    world = World(misses=MissRules(misses_per_minute=PER_MINUTE), slice_bytes=64 * 1024)
    world.page("/film", FILM, *STRONG)
    statuses = []
    for n in range(400):
        at = n * 7919 * 1021 % (len(FILM) - 1)
        statuses.append((await visit(world, "/film", f"Range: bytes={at}-{at}")).status)
    bombs = ["bytes=" + "0-," * 40 + "0-", "bytes=0-9,5-14,7-20,8-30"]
    bombs.append("bytes=" + ",".join(f"{at}-{at}" for at in range(4000, 0, -40)))
    for n in range(60):
        statuses.append((await visit(world, "/film", f"Range: {bombs[n % 3]}")).status)
    await world.settle()
    assert set(statuses) <= {206, 416, 429}
    assert world.origin.sent_bytes <= len(FILM)
    assert world.origin.count() <= len(FILM) // (64 * 1024)
    await world.close()


async def test_ranges_far_ahead_of_a_file_on_its_way_wait_for_it_when_the_share_is_used_up(
    world: World,
) -> None:
    film = FILM * 3  # further than what one would rather wait for
    world.page("/film", film, *STRONG)
    world.origin.rest = asyncio.Event()
    first = await world.ask("/film", client=ELSEWHERE, port=1)
    statuses = set()
    for n in range(FLOOD):
        answer = await world.ask(
            "/film", f"Range: bytes={len(film) - 1 - n}-", client=ROUTER, port=1
        )
        statuses.add(answer.status)
        await close_body(answer.body)
    assert statuses == {206}
    assert 10 < world.origin.count() <= PER_MINUTE / 2
    world.origin.rest.set()
    assert await body_of(first) == film


async def test_hosts_that_no_site_has_are_refused_before_anything_is_looked_up(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def looked(*_: object) -> None:
        raise AssertionError("something was looked up")

    monkeypatch.setattr(world.rooms.entries, "find", looked)
    for n in range(50):
        answer = await world.ask("/page", f"Host: {n}.example.org", client=ROUTER, port=1)
        assert answer.status == 421
    assert world.origin.count() == 0
    assert not world.misses.statistics()


async def test_below_a_wildcard_host_invented_names_are_one_flood() -> None:
    world = World(misses=MissRules(misses_per_minute=PER_MINUTE), hosts=("*.example.org",))
    world.page("/", b"front page")
    said = set()
    for n in range(FLOOD):
        answer = await world.ask("/", f"Host: {n}.example.org", client=ROUTER, port=n % 16)
        said.add(answer.status)
    await world.settle()
    assert said == {200, 429}
    assert world.origin.count() <= PER_MINUTE / 2
    other = await world.ask("/", "Host: new.example.org", client=ELSEWHERE, port=1)
    assert other.status == 200
    await world.close()


async def test_writes_and_what_is_never_stored_are_not_counted() -> None:
    private = RoutePolicy(data_class=DataClass.SENSITIVE)
    routes = (Route("/", "site", PUBLIC), Route("/app/", "site", private))
    world = World(misses=MissRules(misses_per_minute=20), routes=routes)
    for n in range(200):
        world.page(f"/app/{n}", b"dynamic")
        assert (await visit(world, f"/app/{n}?q={n}")).status in (200, 404)
    assert world.origin.count() == 200
    await world.close()


async def test_who_waits_for_the_same_page_is_not_refused_with_whoever_asked_first(
    world: World,
) -> None:
    await flood(world, "/x-{n}")
    world.page("/new", b"new")
    attacker = asyncio.create_task(visit(world, "/new", port=0))
    others = [asyncio.create_task(visit(world, "/new", port=50 + n)) for n in range(8)]
    assert (await attacker).status == 429
    assert {(await other).status for other in others} == {200}


async def test_the_nodes_own_requests_are_free(world: World) -> None:
    await flood(world, "/x-{n}", connections=FLOOD)
    for n in range(50):
        world.page(f"/warm-{n}", b"w")
        assert (await world.ask(f"/warm-{n}")).status == 200
    assert world.misses.statistics()[0].refused_count > 0
