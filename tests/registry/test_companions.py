"""Signatures, referrers and tag lists come with an image, however it is pulled and signed (R4)."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from skerry.app.drill.images import artifact, image, noise
from skerry.registry.companions import AGAIN_SECONDS
from skerry.store.service import Housekeeper
from skerry.upstream.ports import Dial, Exchange, TransportError, Trouble
from skerry.wire.message import Headers
from tests.registry.world import WINDOW_SECONDS, World

NAME = "up.test/team/app"
IMAGE = image([{"bin/a": noise(11, 20_000)}])
SIGNATURE = artifact(None, "application/sig", b"signature")
SIGNED = f"sha256-{IMAGE.digest.hex}.sig"


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World(companions=True)
    made.up.push("team/app", IMAGE, "1")
    yield made
    await made.close()


async def checked(world: World, seconds: float = WINDOW_SECONDS) -> None:
    """A pull whose window is over, and everything behind it."""
    world.clock.advance(seconds + 1)
    await world.get(f"/v2/{NAME}/manifests/1")
    await world.settle()


async def has_signature(world: World) -> bool:
    """With nobody upstream."""
    world.up.down = Trouble.REFUSED
    return set(await world.pull(NAME, SIGNATURE, SIGNED)) == {200}


async def test_an_image_pulled_by_digest_alone_brings_its_signature(world: World) -> None:
    world.up.push("team/app", SIGNATURE, SIGNED)
    await world.pull(NAME, IMAGE)
    await world.settle()
    assert await has_signature(world)


async def test_an_image_signed_after_its_first_pull_brings_its_signature(world: World) -> None:
    await world.pull(NAME, IMAGE, "1")
    await world.settle()
    world.up.push("team/app", SIGNATURE, SIGNED)
    await checked(world, AGAIN_SECONDS)
    assert await has_signature(world)


async def test_a_referrer_attached_after_the_first_pull_comes_too(world: World) -> None:
    world.up.referrers_api = True
    await world.pull(NAME, IMAGE, "1")
    await world.settle()
    sbom = artifact(IMAGE, "application/example", b"sbom")
    world.up.push("team/app", sbom)
    world.up.referrers[str(IMAGE.digest)] = [sbom]
    await checked(world, AGAIN_SECONDS)
    world.up.down = Trouble.REFUSED
    assert set(await world.pull(NAME, sbom)) == {200}


async def test_a_signature_that_a_blip_kept_away_comes_with_the_next_good_check(
    world: World,
) -> None:
    world.up.push("team/app", SIGNATURE, SIGNED)
    honest = world.up.send

    async def blip(
        method: str, url: str, headers: Headers, dial: Dial, body: bytes = b""
    ) -> Exchange:
        if SIGNED in url:
            raise TransportError(Trouble.CUT, "cut the transfer")
        return await honest(method, url, headers, dial, body)

    world.up.send = blip  # type: ignore[method-assign]
    await world.pull(NAME, IMAGE, "1")
    await world.settle()
    assert world.events.counts()["companion.missing"] == 1
    world.up.send = honest  # type: ignore[method-assign]
    await checked(world)
    assert await has_signature(world)


async def test_companions_that_came_cost_nothing_at_the_next_check(world: World) -> None:
    await world.pull(NAME, IMAGE, "1")
    await world.settle()
    world.up.asked.clear()
    await checked(world)
    assert world.up.asked == ["HEAD /v2/team/app/manifests/1"]


async def test_looking_for_companions_that_do_not_exist_costs_no_get_of_a_manifest(
    world: World,
) -> None:
    await world.pull(NAME, IMAGE, "1")
    await world.settle()
    manifests = [path for path in world.up.gets() if "/manifests/" in path]
    assert manifests == ["/v2/team/app/manifests/1"]


async def test_t37_a_pin_and_an_eviction_take_the_signature_with_its_image(world: World) -> None:
    """A signature is never pulled by hand: alone it would be the least recently used."""
    other = image([{"bin/b": noise(12, 20_000)}])
    world.up.push("team/other", other, "1")
    world.up.push("team/app", SIGNATURE, SIGNED)
    housekeeper = Housekeeper(
        store=world.store,
        inventory=world.rooms.inventory,
        clock=world.clock,
        events=world.events,
        nursery=world.nursery,
    )
    await world.pull(NAME, IMAGE, "1")
    await world.settle()
    await world.rooms.images.pin(f"{NAME}:1")
    world.clock.advance(10)
    await world.pull("up.test/team/other", other, "1")
    await world.settle()

    await housekeeper.evict(1 << 30)
    assert world.store.size_of(other.blobs[1].digest) is None
    assert await has_signature(world)
    world.up.down = None
    await world.rooms.images.unpin(f"{NAME}:1")
    await housekeeper.evict(1 << 30)
    assert world.store.statistics().blob_count == 0
    assert list(world.catalog.members()) == []
