"""Floods of what is not here: the upstream hears of a few, and whoever asks little is served.

The registry's door over twins, with a clock that stands still unless it is moved: every count is
exact.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from skerry.app.drill.images import image, noise
from skerry.base.digest import digest_of
from skerry.upstream.misses import MissRules
from tests.registry.world import World

HONEST = image([{"f": noise(1, 40_000)}, {"g": noise(2, 40_000)}])
OTHER = image([{"f": noise(3, 40_000)}])
PER_MINUTE = 600
FLOOD = 2000
ROUTER = "198.51.100.7"


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World(misses=MissRules(misses_per_minute=PER_MINUTE))
    made.hub.push("library/honest", HONEST, "1")
    yield made
    await made.close()


async def flood(world: World, path: str, *, port: int = 1, client: str = ROUTER) -> list[int]:
    """The statuses of many requests, each for another name."""
    said = []
    for n in range(FLOOD):
        each = path.format(n=n, digest=digest_of(b"%d" % n))
        said.append((await world.get(each, client=client, port=port)).status)
    return said


@pytest.mark.parametrize(
    "path",
    [
        "/v2/library/honest/manifests/tag-{n}",
        "/v2/library/name-{n}/manifests/latest",
        "/v2/library/honest/manifests/{digest}",
        "/v2/library/honest/blobs/{digest}",
        "/v2/library/name-{n}/tags/list",
        "/v2/library/honest/referrers/{digest}",
    ],
)
async def test_one_connection_costs_the_upstream_a_fraction_of_its_budget(
    world: World, path: str
) -> None:
    said = await flood(world, path)
    await world.settle()
    assert len(world.hub.asked) <= PER_MINUTE / 6
    assert set(said) <= {404, 429, 200}
    # Behind the same address, on another connection: what is new is fetched, then it is a hit.
    assert (await world.pull("library/honest", HONEST, "1"))[0] == 200
    answer = await world.get("/v2/library/honest/manifests/1", client=ROUTER, port=2)
    assert answer.status == 200
    assert answer.headers.get("Cache-Status") == "skerry; hit"


async def test_what_is_over_the_share_is_told_when_to_come_again_and_marked(world: World) -> None:
    for n in range(FLOOD):
        path = f"/v2/library/name-{n}/manifests/latest"
        answer = await world.get(path, client=ROUTER, port=1)
        if answer.status == 429:
            break
    assert answer.status == 429
    assert b"TOOMANYREQUESTS" in answer.body  # type: ignore[operator]
    seconds = int(answer.headers.get("Retry-After") or 0)
    assert 1 <= seconds <= 60
    told = world.events.recent("misses.refused")
    assert len(told) == 1
    assert ROUTER not in str(told)
    world.clock.advance(seconds)
    again = await world.get("/v2/library/another/manifests/latest", client=ROUTER, port=1)
    assert again.status == 404


async def test_no_flood_from_one_network_takes_another_ones_share(world: World) -> None:
    for n in range(FLOOD):
        path = f"/v2/library/name-{n}/manifests/latest"
        await world.get(path, client=ROUTER, port=n)
    assert len(world.hub.asked) <= PER_MINUTE / 2
    answer = await world.get("/v2/library/honest/manifests/1", client="203.0.113.1", port=1)
    assert answer.status == 200


async def test_blobs_that_a_manifest_names_are_fetched_when_all_else_is_refused(
    world: World,
) -> None:
    assert (await world.get("/v2/library/honest/manifests/1", client=ROUTER, port=9)).status == 200
    for n in range(FLOOD):
        path = f"/v2/library/name-{n}/manifests/latest"
        await world.get(path, client=ROUTER, port=n)
    refused = await world.get("/v2/library/x/manifests/latest", client=ROUTER, port=9)
    assert refused.status == 429
    for blob in HONEST.blobs:
        path = f"/v2/library/honest/blobs/{blob.digest}"
        assert (await world.get(path, client=ROUTER, port=9)).status == 200


async def test_a_proven_name_is_not_counted_with_its_network(world: World) -> None:
    world.identities["Bearer good"] = "robot"
    for n in range(FLOOD):
        await world.get(f"/v2/library/name-{n}/manifests/latest", client=ROUTER, port=n)
    path = "/v2/library/honest/manifests/1"
    assert (await world.get(path, client=ROUTER, port=9)).status == 429
    answer = await world.get(path, client=ROUTER, port=9, Authorization="Bearer good")
    assert answer.status == 200


async def test_a_page_of_the_tag_list_answers_the_rest_of_a_flood_of_tags(world: World) -> None:
    said = await flood(world, "/v2/library/honest/manifests/tag-{n}")
    await world.settle()
    assert set(said) == {404}
    assert len(world.hub.gets()) <= 12
    assert world.hub.gets().count("/v2/library/honest/tags/list") == 1
    # A tag that the list has is known to exist: fetched, whatever was invented before.
    assert (await world.get("/v2/library/honest/manifests/1", client=ROUTER)).status == 200


async def test_a_list_is_believed_about_what_it_lacks_while_there_is_a_flood_and_no_longer(
    world: World,
) -> None:
    await flood(world, "/v2/library/honest/manifests/tag-{n}")
    await world.settle()
    asked = len(world.hub.asked)
    path = "/v2/library/honest/manifests/2"
    assert (await world.get(path, client="203.0.113.9")).status == 404
    assert len(world.hub.asked) == asked
    world.hub.push("library/honest", OTHER, "2")
    world.clock.advance(10.1)
    assert (await world.get(path, client="203.0.113.9")).status == 200


async def test_without_a_flood_a_tag_pushed_after_its_list_was_fetched_is_there_at_once(
    world: World,
) -> None:
    assert (await world.get("/v2/library/honest/tags/list", client=ROUTER)).status == 200
    world.hub.push("library/honest", OTHER, "2")
    assert (await world.get("/v2/library/honest/manifests/2", client=ROUTER)).status == 200


async def test_a_list_of_many_pages_that_was_cut_is_not_believed_about_what_it_lacks(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("skerry.registry.listings.TAGS_MAX", 2)
    world.hub.push("library/honest", OTHER, "2")
    world.hub.push("library/honest", OTHER, "3")
    await world.get("/v2/library/honest/tags/list", client=ROUTER)
    assert (await world.get("/v2/library/honest/manifests/3", client=ROUTER)).status == 200


async def test_invented_names_do_not_make_the_node_forget_what_others_asked_for(
    world: World,
) -> None:
    await world.get("/v2/library/typo/manifests/latest", client="203.0.113.1", port=5)
    asked = len(world.hub.asked)
    await flood(world, "/v2/library/name-{n}/manifests/latest")
    before = len(world.hub.asked)
    assert before > asked
    await world.get("/v2/library/typo/manifests/latest", client="203.0.113.1", port=5)
    assert len(world.hub.asked) == before


async def test_who_cost_what_is_told_by_where_they_are_and_never_by_who(world: World) -> None:
    for n in range(300):
        await world.get(f"/v2/library/name-{n}/manifests/latest", client=ROUTER, port=1)
    await world.get("/v2/library/honest/manifests/1", client="10.0.0.9", port=1)
    public, private = world.misses.statistics()
    assert (public.source, private.source) == ("public", "private")
    assert public.asked_count == public.absent_count > 0
    assert public.asked_count + public.refused_count == 300
    assert (private.asked_count, private.absent_count, private.refused_count) == (1, 0, 0)
    assert ROUTER not in world.metrics.expose()


async def test_huge_pulls_of_a_stranger_end_with_its_share_of_the_bytes() -> None:
    world = World(misses=MissRules(bytes_per_day=1_000_000))
    images = [image([{"f": noise(100 + n, 60_000)}]) for n in range(40)]
    for n, each in enumerate(images):
        world.hub.push(f"library/huge-{n}", each, "1")
    world.hub.push("library/honest", HONEST, "1")
    statuses: list[int] = []
    for n, each in enumerate(images):
        name = f"library/huge-{n}"
        statuses.append((await world.get(f"/v2/{name}/manifests/1", client=ROUTER)).status)
        for blob in each.blobs:
            path = f"/v2/{name}/blobs/{blob.digest}"
            statuses.append((await world.get(path, client=ROUTER)).status)
            await world.settle()
    assert set(statuses) == {200, 429}
    [spent] = world.misses.statistics()
    assert 100_000 < spent.fetched_bytes <= 1_000_000
    # Another network is not among those who have spent it.
    path = "/v2/library/honest/manifests/1"
    assert (await world.get(path, client="203.0.113.1")).status == 200
    for blob in HONEST.blobs:
        path = f"/v2/library/honest/blobs/{blob.digest}"
        assert (await world.get(path, client="203.0.113.1")).status == 200
    world.clock.advance(3 * 86400)
    last = images[-1].blobs[-1].digest
    again = await world.get(f"/v2/library/huge-39/blobs/{last}", client=ROUTER)
    assert again.status == 200
    await world.close()
