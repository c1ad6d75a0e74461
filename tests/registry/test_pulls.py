"""Pulling through the whole registry over twins: what is cached is never asked for again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from skerry.app.drill.images import Image, Piece, artifact, image, index, noise
from skerry.upstream.ports import Trouble
from tests.registry.world import WINDOW_SECONDS, World, body_of

NAME = "up.test/team/app"
AMD = image([{"bin/a": noise(1, 70_000)}, {"etc/x": b"x"}])
ARM = image([{"bin/a": noise(2, 70_000)}], architecture="arm64")
BOTH = index([AMD, ARM])


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    yield made
    await made.close()


async def test_a_pulled_image_needs_no_upstream_again(world: World) -> None:
    world.up.push("team/app", AMD, "1")
    assert set(await world.pull(NAME, AMD, "1")) == {200}
    await world.settle()
    world.up.down, asked = Trouble.REFUSED, len(world.up.asked)
    assert set(await world.pull(NAME, AMD, "1")) == {200}
    assert set(await world.pull(NAME, AMD)) == {200}
    assert len(world.up.asked) == asked


async def test_a_cold_pull_takes_each_content_once(world: World) -> None:
    world.up.push("team/app", BOTH, "1")
    await world.pull(NAME, BOTH, "1")
    gets = world.up.gets()
    assert len(gets) == len(set(gets)) == 1 + 2 + len(AMD.blobs) + len(ARM.blobs)


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/v2/up.test/team/app/manifests/1", ""),
        ("/v2/team/app/manifests/1", "ns=up.test"),
    ],
)
async def test_one_repository_has_two_names(world: World, path: str, query: str) -> None:
    world.up.push("team/app", AMD, "1")
    answer = await world.get(path, query=query)
    assert await body_of(answer) == AMD.manifest.data
    assert answer.headers.get("OCI-Namespace") == "up.test"
    assert answer.headers.get("Docker-Content-Digest") == str(AMD.digest)


async def test_a_bare_name_is_hubs_library(world: World) -> None:
    world.hub.push("library/nginx", AMD, "latest")
    assert (await world.get("/v2/nginx/manifests/latest")).status == 200
    assert (await world.get("/v2/library/nginx/manifests/latest")).status == 200
    assert world.hub.gets() == ["/v2/library/nginx/manifests/latest"]


async def test_t07_an_unconfigured_upstream_is_refused_without_a_dial(world: World) -> None:
    for path, query in [
        ("/v2/team/app/tags/list", "ns=evil.test"),
        ("/v2/evil.test/a/tags/list", ""),
    ]:
        answer = await world.get(path, query=query)
        assert answer.status == 404
        assert "not configured" in (await body_of(answer)).decode()
    assert world.hub.asked == world.up.asked == []


async def test_t19_the_same_name_and_tag_on_two_upstreams_never_mix(world: World) -> None:
    world.hub.push("team/app", AMD, "1")
    world.up.push("team/app", ARM, "1")
    assert await body_of(await world.get("/v2/docker.io/team/app/manifests/1")) == AMD.manifest.data
    assert await body_of(await world.get("/v2/up.test/team/app/manifests/1")) == ARM.manifest.data


async def test_t19_accept_has_no_part_in_what_is_cached(world: World) -> None:
    world.up.push("team/app", BOTH, "1")
    await world.get(f"/v2/{NAME}/manifests/1", Accept=BOTH.manifest.media_type)
    world.up.down = Trouble.DNS
    other = await world.get(f"/v2/{NAME}/manifests/1", Accept="text/html;q=0.1 , */*")
    assert await body_of(other) == BOTH.manifest.data


@pytest.mark.parametrize("cold", [True, False])
async def test_ranges_work_on_cold_and_warm_blobs(world: World, cold: bool) -> None:
    world.up.push("team/app", AMD, "1")
    layer = AMD.blobs[1]
    await world.get(f"/v2/{NAME}/manifests/1")
    if not cold:
        await body_of(await world.get(f"/v2/{NAME}/blobs/{layer.digest}"))
        await world.settle()
    path = f"/v2/{NAME}/blobs/{layer.digest}"
    part = await world.get(path, Range="bytes=100-199")
    assert (part.status, await body_of(part)) == (206, layer.data[100:200])
    assert part.headers.get("Content-Range") == f"bytes 100-199/{len(layer.data)}"
    tail = await world.get(path, Range="bytes=-5")
    assert await body_of(tail) == layer.data[-5:]
    beyond = await world.get(path, Range=f"bytes={len(layer.data)}-")
    assert beyond.status == 416
    assert beyond.headers.get("Content-Range") == f"bytes */{len(layer.data)}"
    await world.settle()
    assert world.up.gets().count(f"/v2/team/app/blobs/{layer.digest}") == 1


async def test_if_range_with_another_validator_gets_the_whole(world: World) -> None:
    world.up.push("team/app", AMD, "1")
    await world.pull(NAME, AMD, "1")
    await world.settle()
    layer = AMD.blobs[1]
    path = f"/v2/{NAME}/blobs/{layer.digest}"
    same = await world.get(path, Range="bytes=0-9", If_Range=f'"{layer.digest}"')
    other = await world.get(path, Range="bytes=0-9", If_Range='"something else"')
    assert (same.status, other.status) == (206, 200)
    assert await body_of(same) == layer.data[:10]
    assert await body_of(other) == layer.data


async def test_a_client_that_has_it_gets_304(world: World) -> None:
    world.up.push("team/app", AMD, "1")
    path = f"/v2/{NAME}/manifests/1"
    tag = (await world.get(path)).headers.get("ETag") or ""
    assert (await world.get(path, If_None_Match=tag)).status == 304
    assert (await world.get(path, If_None_Match='"other"')).status == 200


async def test_head_tells_the_length_and_sends_nothing(world: World) -> None:
    world.up.push("team/app", AMD, "1")
    for path, data in [
        (f"/v2/{NAME}/manifests/1", AMD.manifest.data),
        (f"/v2/{NAME}/blobs/{AMD.blobs[1].digest}", AMD.blobs[1].data),
    ]:
        answer = await world.get(path, method="HEAD")
        assert (answer.status, answer.body) == (200, b"")
        assert answer.headers.get("Content-Length") == str(len(data))
        in_part = "bytes" if "/blobs/" in path else None
        assert answer.headers.get("Accept-Ranges") == in_part, "said of what is sent in part only"


async def test_content_named_by_sha512_is_served_by_that_name(world: World) -> None:
    strong = image([{"a": b"1"}], algorithm="sha512")
    named = Image(
        Piece.of(strong.manifest.media_type, strong.manifest.data, algorithm="sha512"),
        strong.blobs,
    )
    world.up.push("team/app", named)
    assert set(await world.pull(NAME, named)) == {200}
    await world.settle()
    world.up.down = Trouble.CUT
    assert set(await world.pull(NAME, named)) == {200}


async def test_a_zero_byte_blob_is_a_blob(world: World) -> None:
    empty = Piece.of("application/octet-stream", b"")
    world.up.content[f"/v2/team/app/blobs/{empty.digest}"] = ("x/y", b"", str(empty.digest))
    answer = await world.get(f"/v2/{NAME}/blobs/{empty.digest}")
    assert (answer.status, await body_of(answer)) == (200, b"")


async def test_cannot_be_had_now_is_never_404_and_says_why(world: World) -> None:
    world.up.down = Trouble.CONNECT_TIMEOUT
    for path in (
        f"/v2/{NAME}/manifests/1",
        f"/v2/{NAME}/manifests/{AMD.digest}",
        f"/v2/{NAME}/blobs/{AMD.digest}",
        f"/v2/{NAME}/tags/list",
        f"/v2/{NAME}/referrers/{AMD.digest}",
    ):
        answer = await world.get(path)
        assert answer.status == 503, path
        assert int(answer.headers.get("Retry-After") or 0) > 0
        error = json.loads(await body_of(answer))["errors"][0]
        assert error["code"] == "UNAVAILABLE"
        assert "up.test" in error["message"]


async def test_a_429_is_never_relayed(world: World) -> None:
    world.up.push("team/app", AMD, "1")
    await world.pull(NAME, AMD, "1")
    await world.settle()
    world.up.status, world.up.retry_after = 429, "120"
    world.clock.advance(2 * WINDOW_SECONDS)
    held = await world.get(f"/v2/{NAME}/manifests/1")
    await world.settle()
    missing = await world.get(f"/v2/{NAME}/manifests/2")
    assert (held.status, missing.status) == (200, 503)
    assert int(missing.headers.get("Retry-After") or 0) >= 100
    asked = len(world.up.asked)
    await world.get(f"/v2/{NAME}/manifests/3")
    assert len(world.up.asked) == asked, "Retry-After was not obeyed"


async def test_what_every_source_says_is_absent_is_404_and_remembered_briefly(world: World) -> None:
    assert (await world.get(f"/v2/{NAME}/manifests/none")).status == 404
    assert (await world.get(f"/v2/{NAME}/manifests/none")).status == 404
    assert world.up.gets() == ["/v2/team/app/manifests/none"]
    world.clock.advance(11)
    world.up.push("team/app", AMD, "none")
    assert (await world.get(f"/v2/{NAME}/manifests/none")).status == 200


async def test_t33_an_image_half_here_serves_the_half_and_says_503_for_the_rest(
    world: World,
) -> None:
    world.up.push("team/app", BOTH, "1")
    await world.get(f"/v2/{NAME}/manifests/1")
    await world.pull(NAME, AMD)
    await world.settle()
    world.up.down = Trouble.REFUSED
    assert set(await world.pull(NAME, AMD)) == {200}
    assert (await world.get(f"/v2/{NAME}/manifests/1")).status == 200
    assert (await world.get(f"/v2/{NAME}/manifests/{ARM.digest}")).status == 503
    row = next(row for row in world.rooms.shelf.rows() if row.reference.endswith(":1"))
    assert row.platforms == ("linux/amd64",)


async def test_a_sibling_gets_what_is_here_and_never_sends_us_out(world: World) -> None:
    world.up.push("team/app", AMD, "1")
    path = f"/v2/{NAME}/blobs/{AMD.blobs[1].digest}"
    asks = {"Cache_Control": "only-if-cached"}
    assert (await world.get(path, **asks)).status == 504
    assert (await world.get(f"/v2/{NAME}/manifests/{AMD.digest}", **asks)).status == 504
    assert world.up.asked == []
    await world.pull(NAME, AMD, "1")
    await world.settle()
    assert await body_of(await world.get(path, **asks)) == AMD.blobs[1].data


async def test_a_loop_ends_in_one_hop(world: World) -> None:
    answer = await world.get(f"/v2/{NAME}/manifests/1", CDN_Loop="other, skerry;id=rock")
    assert answer.status == 508
    assert world.up.asked == []


async def test_tag_lists_page_and_outlive_the_upstream(world: World) -> None:
    for tag in ("b", "a", "c"):
        world.up.push("team/app", AMD, tag)
    first = await world.get(f"/v2/{NAME}/tags/list", query="n=2")
    assert json.loads(await body_of(first))["tags"] == ["a", "b"]
    assert 'rel="next"' in (first.headers.get("Link") or "")
    world.up.down = Trouble.DNS
    world.clock.advance(10_000)
    rest = await world.get(f"/v2/{NAME}/tags/list", query="n=2&last=b")
    assert json.loads(await body_of(rest)) == {"name": NAME, "tags": ["c"]}
    assert "stale" in (rest.headers.get("Warning") or "").lower()


@pytest.mark.parametrize("api", [True, False])
async def test_referrers_are_listed_filtered_and_kept(world: World, api: bool) -> None:
    world.up.push("team/app", AMD, "1")
    world.up.referrers_api = api
    note = artifact(AMD, "application/example", b"note")
    if api:
        world.up.referrers[str(AMD.digest)] = [note]
    else:
        listed = Image(Piece.of(BOTH.manifest.media_type, json.dumps({
            "schemaVersion": 2,
            "mediaType": BOTH.manifest.media_type,
            "manifests": [note.manifest.descriptor(artifactType="application/example")],
        }).encode()))  # fmt: skip
        world.up.push("team/app", listed, f"sha256-{AMD.digest.hex}")
    path = f"/v2/{NAME}/referrers/{AMD.digest}"
    assert (await world.get(path)).status == 200
    world.up.down = Trouble.REFUSED
    some = await world.get(path, query="artifactType=application/example")
    none = await world.get(path, query="artifactType=application/other")
    assert some.headers.get("OCI-Filters-Applied") == "artifactType"
    found = json.loads(await body_of(some))["manifests"]
    assert [item["digest"] for item in found] == [str(note.digest)]
    assert json.loads(await body_of(none))["manifests"] == []


async def test_what_travels_with_an_image_is_cached_behind_the_first_pull() -> None:
    world = World(companions=True)
    try:
        world.up.push("team/app", AMD, "1")
        world.up.referrers_api = True
        sbom = artifact(AMD, "application/example", b"sbom")
        world.up.push("team/app", sbom)
        world.up.referrers[str(AMD.digest)] = [sbom]
        signature = artifact(None, "application/sig", b"signature")
        world.up.push("team/app", signature, f"sha256-{AMD.digest.hex}.sig")
        await world.get(f"/v2/{NAME}/manifests/1")
        await world.settle()
        world.up.down = Trouble.REFUSED
        assert set(await world.pull(NAME, sbom)) == {200}
        assert set(await world.pull(NAME, signature, f"sha256-{AMD.digest.hex}.sig")) == {200}
        assert (await world.get(f"/v2/{NAME}/tags/list")).status == 200
        assert (await world.get(f"/v2/{NAME}/referrers/{AMD.digest}")).status == 200
    finally:
        await world.close()


async def test_nothing_is_held_longer_than_the_deadline() -> None:
    world = World(answer_seconds=0.05)
    try:
        world.up.hang = True
        for path in (
            "manifests/1",
            f"manifests/{AMD.digest}",
            f"blobs/{AMD.digest}",
            "tags/list",
            f"referrers/{AMD.digest}",
        ):
            answer = await asyncio.wait_for(world.get(f"/v2/{NAME}/{path}"), 10)
            assert answer.status == 503, path
            assert answer.headers.get("Retry-After"), path
        head = await asyncio.wait_for(
            world.get(f"/v2/{NAME}/blobs/{AMD.digest}", method="HEAD"), 10
        )
        assert head.status == 503
    finally:
        await world.close()
