"""The registry while money is short: tags are believed longer, nothing is fetched ahead."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from skerry.app.drill.images import image, noise
from skerry.registry.operations import WarmStep
from skerry.registry.replies import Outcome
from tests.registry.world import WINDOW_SECONDS, World

NAME = "up.test/team/app"
IMAGE = image([{"bin/a": noise(3, 50_000)}])


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World(companions=True)
    made.up.push("team/app", IMAGE, "1")
    await made.pull(NAME, IMAGE, "1")
    await made.settle()
    made.up.asked.clear()
    yield made
    await made.close()


async def test_a_tag_is_believed_for_as_many_windows_as_the_steward_says(world: World) -> None:
    world.steward.factor = 4.0
    world.clock.advance(4 * WINDOW_SECONDS - 1)
    await world.get(f"/v2/{NAME}/manifests/1")
    await world.settle()
    assert world.up.asked == []
    world.clock.advance(2)
    await world.get(f"/v2/{NAME}/manifests/1")
    await world.settle()
    assert "HEAD /v2/team/app/manifests/1" in world.up.asked


async def test_companions_wait_until_there_is_money(world: World) -> None:
    world.steward.warms = False
    world.clock.advance(3600)
    await world.get(f"/v2/{NAME}/manifests/1")
    await world.settle()
    assert world.up.asked == ["HEAD /v2/team/app/manifests/1"]
    world.steward.warms = True
    world.clock.advance(3600)
    await world.get(f"/v2/{NAME}/manifests/1")
    await world.settle()
    assert len(world.up.asked) > 3


async def test_an_image_is_not_warmed_without_money(world: World) -> None:
    world.steward.warms = False
    events = [
        event
        async for event in world.rooms.images.warm(
            [f"{NAME}:1"], platforms=(), all_platforms=False, bytes_max=None
        )
    ]
    assert [event.step for event in events] == [WarmStep.FAILED]
    assert "budget" in events[0].what
    assert world.up.asked == []


async def test_the_steward_is_told_of_every_answer(world: World) -> None:
    world.steward.told.clear()
    await world.get(f"/v2/{NAME}/manifests/1")
    await world.get("/v2/")
    await world.get(f"/v2/{NAME}/manifests/none")
    assert world.steward.told == [
        (NAME, Outcome.HIT, 1),
        ("", Outcome.HIT, 1),
        (NAME, Outcome.ABSENT, 1),
    ]
