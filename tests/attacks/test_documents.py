"""Large and crafted documents: read off the event loop, sent from their file, listed in bounds."""

from __future__ import annotations

import json
import threading
from collections.abc import AsyncIterator

import pytest

from skerry.aio import offload
from skerry.app.drill.images import EMPTY_TYPE, MANIFEST_TYPE, Image, Piece
from skerry.base.digest import digest_of
from skerry.registry import contents
from skerry.registry.core.manifests import ANNOTATIONS_BYTES_MAX
from skerry.registry.ports import REFERRERS_MAX, Manifest, Repository
from tests.registry.world import World, body_of

EMPTY = Piece.of(EMPTY_TYPE, b"{}")


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    yield made
    await made.close()


def manifest(**more: object) -> Image:
    document = {"schemaVersion": 2, "mediaType": MANIFEST_TYPE, "config": EMPTY.descriptor()}
    data = json.dumps({**document, "layers": [], **more}).encode()
    return Image(Piece.of(MANIFEST_TYPE, data), blobs=(EMPTY,))


async def test_a_long_manifest_is_sent_from_its_file(world: World) -> None:
    long = manifest(annotations={"filler": "x" * (1 << 20)})
    world.hub.push("library/long", long, "1")
    for reference in ("1", "1", str(long.digest)):
        answer = await world.get(f"/v2/library/long/manifests/{reference}")
        assert not isinstance(answer.body, bytes)
        assert answer.hot is None
        assert answer.headers.get("Content-Length") == str(len(long.manifest.data))
        assert await body_of(answer) == long.manifest.data
    head = await world.get("/v2/library/long/manifests/1", method="HEAD")
    assert head.body == b""


async def test_a_short_manifest_is_sent_from_memory(world: World) -> None:
    world.hub.push("library/short", manifest(), "1")
    answer = await world.get("/v2/library/short/manifests/1")
    assert isinstance(answer.body, bytes)


@pytest.mark.parametrize("reference", ["1", "digest"])
async def test_a_crafted_document_is_read_in_a_thread(
    world: World, monkeypatch: pytest.MonkeyPatch, reference: str
) -> None:
    threads = []
    parse = contents.parse_manifest

    def noted(*args: object, **more: object) -> Manifest:
        threads.append(threading.current_thread())
        return parse(*args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(contents, "parse_manifest", noted)
    for filler in (10, 4 * offload.INLINE_BYTES_MAX):
        made = manifest(filler="x" * filler)
        world.hub.push("library/crafted", made, "1")
        name = str(made.digest) if reference == "digest" else "1"
        path = f"/v2/library/crafted/manifests/{name}"
        world.clock.advance(1000)
        await world.catalog.delete_tag(Repository("docker.io", "library/crafted"), "1")
        assert (await world.get(path)).status == 200
    main = threading.main_thread()
    assert [thread is main for thread in threads] == [True, False]


async def test_referrers_are_bounded_in_number_and_in_size(world: World) -> None:
    where, subject = Repository("docker.io", "library/app"), digest_of(b"app")
    note = (("note", "x" * (ANNOTATIONS_BYTES_MAX - 100)),)
    for n in range(REFERRERS_MAX + 5):
        each = Manifest(
            digest_of(b"%d" % n), MANIFEST_TYPE, 10, subject=subject, annotations=note[: n % 2]
        )
        await world.catalog.put_manifest(where, each, now=1.0)
    assert len(world.catalog.referrers(where, subject)) == REFERRERS_MAX
