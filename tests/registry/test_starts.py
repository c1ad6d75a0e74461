"""Starts of containers, warm and cold, and pulls that a sibling answered (requirements S1)."""

from __future__ import annotations

import pytest

from skerry.app.drill.images import Image
from skerry.registry.meters import COLD, WARM
from skerry.registry.replies import Outcome
from skerry.upstream.ports import Trouble
from tests.registry.world import World, body_of
from tests.rig import images

NAME = "docker.io/team/tide"


def starts(world: World) -> tuple[int, int]:
    found = world.rooms.front.meters.statistics().starts
    return found[WARM], found[COLD]


async def pulled(world: World) -> Image:
    image = images.small(1)
    world.hub.push("team/tide", image, "1")
    await world.pull(NAME, image, "1")
    await world.settle()
    return image


async def test_the_first_start_is_cold_and_the_next_ones_are_warm() -> None:
    world = World()
    image = await pulled(world)
    assert starts(world) == (0, 1)
    for _ in range(3):
        await world.pull(NAME, image, "1")
    await world.pull(NAME, image)
    assert starts(world) == (4, 1)
    await world.close()


async def test_a_start_that_lacks_one_layer_is_cold() -> None:
    world = World()
    image = await pulled(world)
    await world.store.delete(image.blobs[-1].digest)
    world.hub.down = Trouble.REFUSED
    answer = await world.get(f"/v2/{NAME}/manifests/{image.digest}")
    assert answer.status == 200
    assert starts(world) == (0, 2)
    await world.close()


async def test_a_look_is_no_start_and_an_index_is_none() -> None:
    world = World()
    index = images.multi_arch(5)
    world.hub.push("team/tide", index, "all")
    for method in ("HEAD", "GET"):
        assert (await world.get(f"/v2/{NAME}/manifests/all", method=method)).status == 200
    image = await pulled(world)
    before = starts(world)
    assert (await world.get(f"/v2/{NAME}/manifests/1", method="HEAD")).status == 200
    assert starts(world) == before == (0, 1)
    assert image.blobs
    await world.close()


async def test_repeats_of_the_fast_way_are_starts_too() -> None:
    world = World()
    image = await pulled(world)
    answer = await world.get(f"/v2/{NAME}/manifests/{image.digest}")
    assert answer.hot is not None
    answer.hot.hit(40, 0)
    assert starts(world) == (41, 1)
    await world.store.delete(image.blobs[-1].digest)
    answer.hot.hit(2, 0)
    assert starts(world) == (41, 3), "what is not here any more makes them cold"
    await world.close()


@pytest.mark.parametrize("near", [True, False])
async def test_what_a_sibling_gave_is_told_from_what_came_from_far(near: bool) -> None:
    world = World(sibling=True)
    image = images.small(2)
    (world.sibling if near else world.hub).push("team/tide", image)
    answer = await world.get(f"/v2/{NAME}/manifests/{image.digest}")
    assert answer.status == 200
    for blob in image.blobs:
        assert await body_of(await world.get(f"/v2/{NAME}/blobs/{blob.digest}")) == blob.data
    await world.settle()
    meters = world.rooms.front.meters
    came, other = (Outcome.SIBLING, Outcome.MISS) if near else (Outcome.MISS, Outcome.SIBLING)
    assert meters.counted("manifest", came) == 1
    assert meters.counted("blob", came) == len(image.blobs)
    assert meters.counted("manifest", other) == meters.counted("blob", other) == 0
    await world.close()


async def test_a_list_that_was_asked_for_upstream_is_a_miss_and_the_next_one_a_hit() -> None:
    world = World()
    world.hub.push("team/tide", images.small(1), "1")
    for _ in range(3):
        assert (await world.get(f"/v2/{NAME}/tags/list")).status == 200
    meters = world.rooms.front.meters
    assert meters.counted("tags", Outcome.MISS) == 1
    assert meters.counted("tags", Outcome.HIT) == 2
    await world.close()
