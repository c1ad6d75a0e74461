"""A malicious upstream must not read, through the node, what only private ones hold."""

from __future__ import annotations

from collections.abc import AsyncIterator
from random import Random

import pytest

from skerry.aio.tasks import Nursery
from skerry.app.drill.images import image, noise
from skerry.base.clock import ManualClock
from skerry.telemetry.events import Events
from skerry.telemetry.metrics import Registry
from skerry.telemetry.validation import ValidationFailures
from skerry.upstream.measures import UpstreamMetrics
from skerry.upstream.ports import Trouble
from skerry.upstream.sources import Source
from skerry.upstream.tokens import Tokens
from skerry.wire.message import BodyAborted
from tests.registry.test_membership import PASS, SECRET, known_users
from tests.registry.world import FakeUpstream, World, body_of

LAYER = SECRET.blobs[1]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World(private=True, users=known_users())
    made.up.push("team/secret", SECRET, "1")
    for path in ("manifests/1", *(f"blobs/{blob.digest}" for blob in SECRET.blobs)):
        answer = await made.get(f"/v2/up.test/team/secret/{path}", Authorization=PASS)
        await body_of(answer)
    await made.settle()
    yield made
    await made.close()


def claim(world: World) -> None:
    """The malicious upstream says "I have that" to every HEAD, and gives noise."""
    for path in (f"blobs/{LAYER.digest}", f"manifests/{SECRET.digest}"):
        made = ("application/octet-stream", noise(5, 40_000), path.partition("/")[2])
        world.hub.content[f"/v2/evil/app/{path}"] = made


async def test_a_head_that_says_yes_opens_no_private_layer(world: World) -> None:
    claim(world)
    path = f"/v2/evil/app/blobs/{LAYER.digest}"
    for method in ("HEAD", "GET", "GET"):
        answer = await world.get(path, method=method)
        if answer.status == 200 and method == "GET":
            with pytest.raises(BodyAborted):
                await body_of(answer)
        await world.settle()
    assert world.rooms.images.root(world.rooms.images.named("evil/app:1")) is None
    world.hub.down = Trouble.REFUSED
    assert (await world.get(path)).status != 200


async def test_a_head_that_says_yes_opens_no_private_manifest(world: World) -> None:
    claim(world)
    answer = await world.get(f"/v2/evil/app/manifests/{SECRET.digest}")
    assert answer.status != 200
    world.hub.down = Trouble.REFUSED
    assert (await world.get(f"/v2/evil/app/manifests/{SECRET.digest}")).status != 200


async def test_who_gives_the_very_bytes_may_have_them_served(world: World) -> None:
    """Whoever can give them has them: nothing is given away."""
    world.hub.push("other/app", SECRET, "1")
    assert set(await world.pull("other/app", SECRET, "1")) == {200}
    await world.settle()
    world.hub.down = Trouble.REFUSED
    assert set(await world.pull("other/app", SECRET, "1")) == {200}


async def test_public_bytes_are_still_confirmed_by_a_head(world: World) -> None:
    shared = image([{"bin/shared": noise(6, 40_000)}])
    for name in ("library/one", "library/two"):
        world.hub.push(name, shared, "1")
    assert set(await world.pull("library/one", shared, "1")) == {200}
    await world.settle()
    world.hub.asked.clear()
    layer = shared.blobs[1].digest
    assert (await world.get(f"/v2/library/two/blobs/{layer}")).status == 200
    assert world.hub.asked == [f"HEAD /v2/library/two/blobs/{layer}"]


async def test_a_password_owners_name_is_not_told_to_strangers() -> None:
    clock = ManualClock()
    tokens = Tokens(
        Source("origin", "https://up.test", username="robot-7", password="x"),
        upstream="up.test",
        transport=FakeUpstream(),
        clock=clock,
        events=Events(clock.now),
        metrics=UpstreamMetrics(Registry(), ValidationFailures(Registry())),
        rng=Random(1),
        nursery=Nursery(on_crash=lambda name, error: None),
    )
    assert "robot-7" not in str(tokens._bad_credentials())
