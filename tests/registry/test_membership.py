"""Knowing a digest is not a right to it: what a repository may serve, and to whom."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator

import bcrypt
import pytest

from skerry.app.drill.images import Image, Piece, document, image, noise
from skerry.registry.core.users import Users
from skerry.upstream.ports import Trouble
from tests.registry.world import World, body_of

SECRET = image([{"bin/secret": noise(9, 40_000)}])
PUBLIC = image([{"bin/public": noise(10, 40_000)}])
PASS = "Basic " + base64.b64encode(b"ann:opensesame").decode()


def known_users() -> Users:
    hashed = bcrypt.hashpw(b"opensesame", bcrypt.gensalt(4))
    return Users({"ann": hashed}, key=b"k" * 32)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World(private=True, users=known_users())
    made.up.push("team/secret", SECRET, "1")
    for path in ("manifests/1", *(f"blobs/{blob.digest}" for blob in SECRET.blobs)):
        answer = await made.get(f"/v2/up.test/team/secret/{path}", Authorization=PASS)
        assert answer.status == 200
        await body_of(answer)
    await made.settle()
    yield made
    await made.close()


def forged() -> Image:
    """A manifest of an attacker's own repository that names somebody else's layer."""
    config = Piece.of("application/vnd.oci.image.config.v1+json", b"{}")
    foreign = SECRET.blobs[1].descriptor(urls=["https://evil.test/layer"])
    content = {
        "schemaVersion": 2,
        "mediaType": SECRET.manifest.media_type,
        "config": config.descriptor(),
        "layers": [foreign],
    }
    return Image(Piece.of(SECRET.manifest.media_type, document(content)), (config,))


@pytest.mark.parametrize("given", ["", "Basic " + base64.b64encode(b"ann:wrong").decode()])
async def test_t23_a_private_image_takes_credentials_cached_or_not(
    world: World, given: str
) -> None:
    fields = {"Authorization": given} if given else {}
    for path in ("manifests/1", f"blobs/{SECRET.blobs[1].digest}", "tags/list"):
        answer = await world.get(f"/v2/up.test/team/secret/{path}", **fields)
        assert answer.status == 401
        assert "Basic" in answer.headers.joined("WWW-Authenticate")


async def test_t23_a_private_answer_never_goes_the_fast_way(world: World) -> None:
    answer = await world.get("/v2/up.test/team/secret/manifests/1", Authorization=PASS)
    assert answer.status == 200
    assert answer.hot is None


async def test_t17_a_blob_is_not_given_away_by_another_repository(world: World) -> None:
    blob = SECRET.blobs[1]
    answer = await world.get(f"/v2/library/nginx/blobs/{blob.digest}")
    assert answer.status == 404
    assert world.hub.asked == [
        f"GET /v2/library/nginx/blobs/{blob.digest}"
    ]  # a HEAD proves nothing


async def test_t17_a_forged_manifest_gives_no_right_to_a_private_layer(world: World) -> None:
    world.hub.push("evil/app", forged(), "1")
    assert (await world.get("/v2/evil/app/manifests/1")).status == 200
    for down in (None, Trouble.REFUSED):
        world.hub.down = down
        answer = await world.get(f"/v2/evil/app/blobs/{SECRET.blobs[1].digest}")
        assert answer.status in (404, 503)


async def test_t17_a_pushed_manifest_gives_no_right_to_a_private_layer(world: World) -> None:
    from skerry.wire.message import Headers, Request

    fields = Headers((("Authorization", PASS), ("Content-Type", SECRET.manifest.media_type)))
    made = forged()

    async def send(method: str, path: str, data: bytes = b"", query: str = "") -> int:
        async def body() -> AsyncIterator[bytes]:
            yield data

        request = Request(method, path, fields, query=query, raw_path=path, body=body())
        return (await world.rooms.front(request)).status

    config = made.blobs[0]
    start = "/v2/local/app/blobs/uploads/"
    assert await send("POST", start, config.data, f"digest={config.digest}") == 201
    assert await send("PUT", "/v2/local/app/manifests/1", made.manifest.data) == 201
    layer = SECRET.blobs[1].digest
    assert (await world.get(f"/v2/local/app/blobs/{layer}")).status == 404
    assert await send("POST", start, b"", f"mount={layer}&from=local/app") == 202
    assert (await world.get(f"/v2/local/app/blobs/{layer}")).status == 404


async def test_a_layer_that_two_public_images_share_is_served_through_both_offline() -> None:
    world = World(private=True, users=known_users())
    try:
        world.hub.push("library/base", PUBLIC, "1")
        world.hub.push("library/derived", PUBLIC, "1")
        assert set(await world.pull("library/base", PUBLIC, "1")) == {200}
        await world.get("/v2/library/derived/manifests/1")
        await world.settle()
        world.hub.down = Trouble.CONNECT_TIMEOUT
        assert set(await world.pull("library/derived", PUBLIC, "1")) == {200}
    finally:
        await world.close()


async def test_upstream_credentials_and_client_credentials_never_mix(world: World) -> None:
    assert all(headers.get("Authorization") is None for headers in world.up.received)


async def test_t39_a_mirrored_repository_takes_no_push_and_no_delete(world: World) -> None:
    for method, path in [
        ("DELETE", "/v2/up.test/team/secret/manifests/1"),
        ("PUT", "/v2/up.test/team/secret/manifests/1"),
        ("POST", "/v2/up.test/team/secret/blobs/uploads/"),
    ]:
        assert (await world.get(path, method=method, Authorization=PASS)).status == 405
    assert (await world.get("/v2/local/app/manifests/1", method="DELETE")).status == 401
