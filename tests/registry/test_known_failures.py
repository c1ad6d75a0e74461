"""Known failures of other caches, through the whole registry: the ones no smaller test shows."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator

import pytest

from skerry.app.drill.images import Image, Piece, document, image, noise
from skerry.base.digest import Digest, digest_of
from skerry.store.ports import StoreError
from skerry.upstream.ports import Trouble
from skerry.wire.message import BodyAborted, Request, no_body
from tests.registry.world import WINDOW_SECONDS, World, body_of

NAME = "up.test/team/app"
IMAGE = image([{"bin/a": noise(21, 300_000)}])
LAYER = IMAGE.blobs[1]
BLOB = f"/v2/{NAME}/blobs/{LAYER.digest}"
OTHER_BYTES = noise(22, len(LAYER.data))
DAY_SECONDS = 86_400.0


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World(sibling=True)
    made.up.push("team/app", IMAGE, "1")
    yield made
    await made.close()


async def whole_or_nothing(world: World, path: str) -> bytes | None:
    """What a client that checks nothing would keep: None for no whole answer."""
    answer = await world.get(path)
    try:
        data = await body_of(answer)
    except BodyAborted:
        return None
    return data if answer.status == 200 else None


async def test_t06_the_urls_of_foreign_layers_are_never_dialled(world: World) -> None:
    config = Piece.of("application/vnd.oci.image.config.v1+json", b"{}")
    foreign = Piece.of("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", b"windows")
    content = {
        "schemaVersion": 2,
        "mediaType": IMAGE.manifest.media_type,
        "config": config.descriptor(),
        "layers": [foreign.descriptor(urls=["https://evil.test/layer"])],
    }
    made = Image(Piece.of(IMAGE.manifest.media_type, document(content)), (config,))
    world.up.push("team/win", made, "1")
    assert set(await world.pull("up.test/team/win", made, "1")) == {200}
    await world.settle()
    answer = await world.get(f"/v2/up.test/team/win/blobs/{foreign.digest}")
    assert answer.status == 404, "the upstream was asked for it, and nobody else"
    row = next(row for row in world.rooms.shelf.rows() if "win:1" in row.reference)
    assert row.whole, "a layer that must not be distributed is not missed"


async def test_t10_other_bytes_for_a_blob_are_never_whole_nor_kept(world: World) -> None:
    world.up.lie[f"/v2/team/app/blobs/{LAYER.digest}"] = OTHER_BYTES
    await world.get(f"/v2/{NAME}/manifests/1")
    got = await asyncio.gather(*(whole_or_nothing(world, BLOB) for _ in range(8)))
    assert set(got) == {None}
    await world.settle()
    assert world.store.size_of(LAYER.digest) is None
    assert world.store.size_of(digest_of(OTHER_BYTES)) is None
    world.up.lie.clear()
    world.clock.advance(60)
    assert await whole_or_nothing(world, BLOB) == LAYER.data


async def test_t14_a_client_that_leaves_and_one_that_is_slow_change_nothing(world: World) -> None:
    world.up.rest = asyncio.Event()
    gone, slow = await world.get(BLOB), await world.get(BLOB)
    quick = asyncio.ensure_future(whole_or_nothing(world, BLOB))
    gone.body.close()  # type: ignore[union-attr]
    world.up.rest.set()
    assert await asyncio.wait_for(quick, 10) == LAYER.data
    await world.settle()
    assert world.store.size_of(LAYER.digest) == len(LAYER.data)
    assert await body_of(slow) == LAYER.data, "it began before the others ended"
    assert world.up.gets().count(f"/v2/team/app/blobs/{LAYER.digest}") == 1


async def test_t24_a_sibling_that_forges_bytes_harms_nobody(world: World) -> None:
    world.sibling.push("team/app", IMAGE, "1")
    for piece, kind in ((LAYER, "blobs"), (IMAGE.manifest, "manifests")):
        world.sibling.lie[f"/v2/team/app/{kind}/{piece.digest}"] = noise(23, len(piece.data))
    for _ in range(3):  # a lie costs an attempt; who told it is asked last from then on
        manifest = await whole_or_nothing(world, f"/v2/{NAME}/manifests/{IMAGE.digest}")
        layer = await whole_or_nothing(world, BLOB)
        await world.settle()
    assert (manifest, layer) == (IMAGE.manifest.data, LAYER.data)
    assert all(headers.get("Authorization") is None for headers in world.sibling.received)


async def test_t24_a_sibling_names_no_tags(world: World) -> None:
    world.sibling.push("team/app", image([{"evil": b"1"}]), "1")
    answer = await world.get(f"/v2/{NAME}/manifests/1")
    assert await body_of(answer) == IMAGE.manifest.data
    assert world.sibling.asked == []


async def test_t35_many_cold_pullers_are_one_fetch_and_all_learn_its_failure(world: World) -> None:
    paths = (f"/v2/{NAME}/manifests/1", BLOB)
    world.up.down = Trouble.CUT
    for path in paths:
        answers = await asyncio.gather(*(world.get(path) for _ in range(20)))
        assert {answer.status for answer in answers} == {503}
    assert len(world.up.asked) <= 2, "one attempt for each, not one per asker"
    world.up.down = None
    world.clock.advance(60)
    world.up.asked.clear()
    for path, data in zip(paths, (IMAGE.manifest.data, LAYER.data), strict=True):
        got = await asyncio.gather(*(whole_or_nothing(world, path) for _ in range(50)))
        assert set(got) == {data}
    assert len(world.up.gets()) == 2


async def test_t40_a_disk_that_does_not_answer_is_no_reason_to_go_elsewhere(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.pull(NAME, IMAGE, "1")
    await world.settle()
    asked = len(world.up.asked)

    def broken(digest: Digest, *rest: object, **more: object) -> int:
        raise StoreError(f"reading {digest}: input/output error", next_step="look at the disk")

    for name in ("size_of", "open", "read"):
        monkeypatch.setattr(world.store, name, broken)
    for path in (f"/v2/{NAME}/manifests/1", f"/v2/{NAME}/manifests/{IMAGE.digest}", BLOB):
        answer = await world.get(path)
        assert answer.status == 503
        assert answer.headers.get("Retry-After")
        assert "look at the disk" in (await body_of(answer)).decode()
    assert len(world.up.asked) == asked
    monkeypatch.undo()
    assert await whole_or_nothing(world, BLOB) == LAYER.data


async def test_t12_a_tag_whose_digest_header_is_sha512_is_that_image_or_none(world: World) -> None:
    strong = Piece.of(IMAGE.manifest.media_type, IMAGE.manifest.data, algorithm="sha512")
    world.up.push("team/strong", Image(strong, IMAGE.blobs), "1")
    answer = await world.get("/v2/up.test/team/strong/manifests/1")
    assert answer.headers.get("Docker-Content-Digest") == str(strong.digest)
    assert await body_of(answer) == strong.data
    world.clock.advance(WINDOW_SECONDS + 1)
    await world.get("/v2/up.test/team/strong/manifests/1")
    await world.settle()
    world.up.down = Trouble.REFUSED
    again = await world.get("/v2/up.test/team/strong/manifests/1")
    assert (again.status, again.headers.get("Warning")) == (200, None)
    by_digest = await world.get(f"/v2/up.test/team/strong/manifests/{strong.digest}")
    assert await body_of(by_digest) == strong.data
    world.up.down = None
    world.up.push("team/liar", Image(strong, IMAGE.blobs), "1")
    world.up.lie["/v2/team/liar/manifests/1"] = strong.data + b"\n"
    assert (await world.get("/v2/up.test/team/liar/manifests/1")).status >= 500


@pytest.mark.parametrize("days", [-1, -365, 365])
@pytest.mark.parametrize("cut", [False, True], ids=["connected", "cut-off"])
async def test_t29_a_clock_that_jumps_serves_on_and_asks_once_a_window(
    world: World, days: int, cut: bool
) -> None:
    await world.pull(NAME, IMAGE, "1")
    await world.settle()
    if cut:
        world.up.down = Trouble.DNS
    world.up.asked.clear()
    world.clock.step(days * DAY_SECONDS)
    for _ in range(20):
        assert await whole_or_nothing(world, f"/v2/{NAME}/manifests/1") == IMAGE.manifest.data
        await world.settle()
    assert world.up.asked == ["HEAD /v2/team/app/manifests/1"]
    answer = await world.get(f"/v2/{NAME}/manifests/1")
    assert (answer.headers.get("Warning") is not None) == cut
    world.up.down = None
    world.clock.step(-days * DAY_SECONDS)  # and back again
    for _ in range(2):
        world.clock.advance(WINDOW_SECONDS + 1)
        assert await whole_or_nothing(world, f"/v2/{NAME}/manifests/1") == IMAGE.manifest.data
        await world.settle()
    answer = await world.get(f"/v2/{NAME}/manifests/1")
    assert answer.headers.get("Warning") is None


async def test_a_remembered_absence_remembers_none_of_its_askers(world: World) -> None:
    """One error raised again and again keeps the frames of all: a flood would fill the memory."""
    bodies = []
    for _ in range(5):
        body = no_body()
        bodies.append(weakref.ref(body))
        path = f"/v2/{NAME}/manifests/none"
        answer = await world.rooms.front(Request("GET", path, raw_path=path, body=body))
        assert answer.status == 404
        del body
    gc.collect()
    assert [body() for body in bodies[1:]] == [None] * 4
    assert world.up.gets() == ["/v2/team/app/manifests/none"]


async def test_t32_an_outage_is_told_once_for_each_tag_and_its_end_is_noticed(
    world: World,
) -> None:
    await world.pull(NAME, IMAGE, "1")
    await world.settle()
    for outage in (1, 2):
        world.up.down = Trouble.CONNECT_TIMEOUT
        for _ in range(10):
            world.clock.advance(WINDOW_SECONDS + 1)
            await world.get(f"/v2/{NAME}/manifests/1")
            await world.settle()
        assert world.events.counts()["tag.check_failed"] == outage
        world.up.down = None
        world.clock.advance(WINDOW_SECONDS + 1)
        await world.get(f"/v2/{NAME}/manifests/1")
        await world.settle()
        answer = await world.get(f"/v2/{NAME}/manifests/1")
        assert answer.headers.get("Warning") is None
