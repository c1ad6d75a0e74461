"""A few kilobytes at an upstream must not cost the node its processor or its other images."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence

import pytest

from skerry.app.drill.images import INDEX_TYPE, Image, Piece, image, noise
from skerry.base.digest import Digest, digest_of
from skerry.registry import companions
from skerry.registry.core.whole import LINKS_MAX, MANIFESTS_MAX, completeness
from skerry.registry.ports import Link, Manifest, Repository
from skerry.registry.refusals import Refusals
from skerry.registry.wholeness import TooLarge, Wanted
from skerry.telemetry.validation import Cause
from tests.registry.world import World

pytestmark = pytest.mark.timeout(60)

HUB = Repository("docker.io", "evil/bomb")


def index(children: Sequence[Image], *, times: int = 1) -> Image:
    entries = [child.manifest.descriptor() for child in children] * times
    data = json.dumps({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": entries}).encode()
    return Image(Piece.of(INDEX_TYPE, data), children=tuple(children))


def wide(depth: int, width: int) -> Image:
    """Width to the power of depth paths, all through the same few indexes."""
    found = image([{"bin/x": noise(1, 1000)}])
    for _ in range(depth):
        found = index([found], times=width)
    return found


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World(companions=True)
    yield made
    await made.close()


async def test_an_index_that_names_the_same_child_a_thousand_times_is_walked_once(
    world: World,
) -> None:
    bomb = wide(6, 900)
    world.hub.push("evil/bomb", bomb, "1")
    assert (await world.get("/v2/evil/bomb/manifests/1")).status == 200
    done = await world.rooms.images._wholeness.complete(HUB, bomb.digest, wanted=Wanted(every=True))
    assert done.planned
    asked = [path for path in world.hub.gets() if "/manifests/sha256:" in path]
    assert len(asked) == len(set(asked)) == 6


async def test_a_signature_that_is_such_an_index_does_not_stop_the_node(world: World) -> None:
    victim = image([{"bin/app": noise(2, 1000)}])
    world.hub.push("evil/bomb", victim, "1")
    tag = f"sha256-{victim.digest.hex}.sig"
    world.hub.push("evil/bomb", wide(6, 900), tag)
    assert (await world.get("/v2/evil/bomb/manifests/1")).status == 200
    await world.settle()
    assert (await world.get(f"/v2/evil/bomb/manifests/{tag}")).status == 200


async def test_an_image_of_too_many_manifests_is_not_fetched(world: World) -> None:
    links = tuple(
        Link(digest_of(b"%d" % n), "manifest", INDEX_TYPE, 100) for n in range(MANIFESTS_MAX + 1)
    )
    root = Manifest(digest_of(b"root"), INDEX_TYPE, 100, links)

    class Endless:
        """Every manifest is there."""

        asked = 0
        refusals = Refusals(world.failures, world.events)

        async def manifest(self, repository: Repository, digest: Digest) -> object:
            self.asked += 1
            return type("Held", (), {"manifest": Manifest(digest, INDEX_TYPE, 100, ())})

    contents = Endless()
    wholeness = world.rooms.images._wholeness
    wholeness._contents = contents  # type: ignore[assignment]
    with pytest.raises(TooLarge, match="too many parts"):
        await wholeness._leaves(HUB, root, Wanted(every=True), None)
    assert contents.asked < MANIFESTS_MAX
    assert world.failures.statistics()[Cause.MANIFEST_REFUSED] == 1
    with pytest.raises(TooLarge, match="are too large"):
        await wholeness._leaves(HUB, root, Wanted(every=True), 1000)


def test_judging_a_held_image_of_a_million_links_stops_early() -> None:
    children = [digest_of(b"child %d" % n) for n in range(1000)]
    layers = tuple(Link(digest_of(b"layer %d" % n), "layer", "", 10) for n in range(1000))
    known = {child: Manifest(child, INDEX_TYPE, 10, layers) for child in children}
    root = digest_of(b"root")
    links = tuple(Link(child, "manifest", INDEX_TYPE, 10) for child in children)
    known[root] = Manifest(root, INDEX_TYPE, 10, links)
    looked = 0

    def size_of(digest: Digest) -> int:
        nonlocal looked
        looked += 1
        return 10

    assert not completeness(root, known.get, size_of).whole
    assert looked < LINKS_MAX + 3000


async def test_the_companions_of_one_image_share_one_limit(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(companions, "BYTES_MAX", 5000)
    victim = image([{"bin/app": noise(3, 1000)}])
    world.hub.push("evil/bomb", victim, "1")
    found = [image([{"sbom": noise(100 + n, 1500)}]) for n in range(6)]
    for each in found:
        world.hub.push("evil/bomb", each)
    world.hub.referrers_api, world.hub.referrers[str(victim.digest)] = True, found
    assert (await world.get("/v2/evil/bomb/manifests/1")).status == 200
    await world.settle()
    here = [each for each in found if world.rooms.images._wholeness.is_whole(HUB, each.digest)]
    assert 0 < sum(each.size_bytes() - each.manifest_bytes() for each in here) <= 5000
    (missing,) = world.events.recent("companion.missing")
    assert "over the limit" in missing.cause


async def test_a_moved_tag_pushes_out_nothing_that_others_use(world: World) -> None:
    """What a stranger makes of a tag was not asked for by anybody here."""
    old, new = (image([{"bin/app": noise(n, 1000)}]) for n in (4, 5))
    world.hub.push("evil/bomb", old, "1")
    assert set(await world.pull("evil/bomb", old, "1")) == {200}
    await world.settle()
    world.rooms.images._wholeness._contents._admits = lambda key, size: False
    world.hub.push("evil/bomb", new, "1")
    world.clock.advance(1000)
    for _ in range(2):
        answer = await world.get("/v2/evil/bomb/manifests/1")
        assert answer.headers.get("Docker-Content-Digest") == str(old.digest)
        await world.settle()
    (waits,) = world.events.recent("tag.take_over_waits")
    assert "that others use" in waits.cause
    world.rooms.images._wholeness._contents._admits = lambda key, size: True
    world.clock.advance(1000)
    await world.get("/v2/evil/bomb/manifests/1")
    await world.settle()
    answer = await world.get("/v2/evil/bomb/manifests/1")
    assert answer.headers.get("Docker-Content-Digest") == str(new.digest)


async def test_a_tag_that_moved_to_a_huge_image_is_judged_once_a_second(world: World) -> None:
    old, new = (image([{"bin/app": noise(n, 1000)}]) for n in (6, 7))
    world.hub.push("evil/bomb", old, "1")
    assert set(await world.pull("evil/bomb", old, "1")) == {200}
    await world.settle()
    world.rooms.images._wholeness._contents._admits = lambda key, size: False
    world.hub.push("evil/bomb", new, "1")
    world.clock.advance(1000)
    await world.get("/v2/evil/bomb/manifests/1")
    await world.settle()
    tags, judged = world.rooms.images._tags, []
    is_whole = tags._wholeness.is_whole

    def counted(repository: Repository, root: Digest, *, like: Digest | None = None) -> bool:
        judged.append(root)
        return is_whole(repository, root, like=like)

    tags._wholeness.is_whole = counted  # type: ignore[method-assign]
    for _ in range(100):
        assert (await world.get("/v2/evil/bomb/manifests/1")).status == 200
    assert len(judged) <= 2
