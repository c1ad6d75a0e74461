"""Who publishes a crafted image, or asks for odd names, must not cut everybody off an upstream."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest

from skerry.app.drill.images import Image, Piece, image, noise
from tests.registry.world import World


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    yield made
    await made.close()


def with_sizes(original: Image, difference: int) -> Image:
    """The same layers, each said to be so many bytes longer."""
    document = json.loads(original.manifest.data)
    for layer in document["layers"]:
        layer["size"] += difference
    data = json.dumps(document).encode()
    return Image(Piece.of(original.manifest.media_type, data), blobs=original.blobs)


@pytest.mark.parametrize("difference", [1, -1, 1 << 33, -30_000])
async def test_a_manifest_that_lies_about_sizes_is_not_its_upstreams_fault(
    world: World, difference: int
) -> None:
    layers = [{"f": noise(n, 40_000)} for n in range(6)]
    crafted = with_sizes(image(layers), difference)
    world.hub.push("evil/sizes", crafted, "1")
    assert (await world.get("/v2/evil/sizes/manifests/1")).status == 200
    for blob in crafted.blobs[1:]:
        answer = await world.get(f"/v2/evil/sizes/blobs/{blob.digest}")
        assert answer.status in (502, 503)
        await world.settle()
    assert not world.events.recent("breaker.opened")
    assert not world.events.recent("source.wrong_content")
    honest = image([{"f": noise(50, 40_000)}])
    world.hub.push("library/honest", honest, "1")
    assert set(await world.pull("library/honest", honest, "1")) == {200}


async def test_a_manifest_that_is_too_long_is_not_its_upstreams_fault(world: World) -> None:
    long = Piece.of("application/vnd.oci.image.manifest.v1+json", bytes(5 << 20))
    for n in range(4):
        path = f"/v2/evil/long/manifests/{long.digest}"
        world.hub.content[path] = (long.media_type, long.data, str(long.digest))
        assert (await world.get(path)).status in (502, 503)
        world.hub.content[f"/v2/evil/long/manifests/{n}"] = world.hub.content[path]
        assert (await world.get(f"/v2/evil/long/manifests/{n}")).status in (502, 503)
    assert not world.events.recent("breaker.opened")


async def test_wrong_bytes_are_still_their_givers_fault(world: World) -> None:
    made = image([{"f": noise(n, 40_000)} for n in range(4)])
    world.hub.push("library/bad", made, "1")
    assert (await world.get("/v2/library/bad/manifests/1")).status == 200
    for blob in made.blobs[1:]:
        path = f"/v2/library/bad/blobs/{blob.digest}"
        world.hub.lie[path] = blob.data[:-1] + bytes([blob.data[-1] ^ 1])
        # It came in one piece, so it was judged before anything of it was shown.
        assert (await world.get(path)).status == 502
    assert len(world.events.recent("source.wrong_content")) == len(made.blobs[1:])
