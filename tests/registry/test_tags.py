"""What a tag means while its upstream moves it, deletes it, lies or dies."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from skerry.app.drill.images import image, index, noise
from skerry.registry.ports import Repository
from skerry.registry.replies import Outcome
from skerry.upstream.ports import Trouble
from tests.registry.world import WINDOW_SECONDS, World, body_of

NAME = "up.test/team/app"
REPOSITORY = Repository("up.test", "team/app")
OLD = image([{"bin/a": noise(3, 50_000)}])
NEW = image([{"bin/a": noise(4, 50_000)}])
OLD_ARM = image([{"bin/a": noise(5, 50_000)}], architecture="arm64")
NEW_ARM = image([{"bin/a": noise(6, 50_000)}], architecture="arm64")


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    made.up.push("team/app", OLD, "1")
    await made.pull(NAME, OLD, "1")
    await made.settle()
    made.up.asked.clear()
    yield made
    await made.close()


async def meaning(world: World) -> bytes:
    return await body_of(await world.get(f"/v2/{NAME}/manifests/1"))


async def test_within_its_window_a_tag_is_not_asked_about(world: World) -> None:
    world.clock.advance(WINDOW_SECONDS - 1)
    answer = await world.get(f"/v2/{NAME}/manifests/1")
    assert answer.hot is not None
    assert "hit" in (answer.headers.get("Cache-Status") or "")
    await world.settle()
    assert world.up.asked == []


async def test_after_it_the_old_answer_goes_out_marked_and_one_head_follows(world: World) -> None:
    world.clock.advance(WINDOW_SECONDS + 1)
    answer = await world.get(f"/v2/{NAME}/manifests/1")
    assert world.up.asked == [], "the answer waited for the upstream"
    assert answer.hot is None
    assert (answer.headers.get("Warning") or "").startswith("110")
    assert "ttl=-1" in (answer.headers.get("Cache-Status") or "")
    await world.settle()
    assert world.up.asked == ["HEAD /v2/team/app/manifests/1"]
    again = await world.get(f"/v2/{NAME}/manifests/1")
    assert again.headers.get("Warning") is None


async def test_a_failed_check_moves_the_clock_and_is_an_event(world: World) -> None:
    world.up.down = Trouble.FIRST_BYTE_TIMEOUT
    world.clock.advance(WINDOW_SECONDS + 1)
    for _ in range(50):
        assert await meaning(world) == OLD.manifest.data
        await world.settle()
    assert len(world.up.asked) == 1
    assert world.events.counts()["tag.check_failed"] == 1
    answer = await world.get(f"/v2/{NAME}/manifests/1")
    assert "first_byte_timeout" in (answer.headers.get("Cache-Status") or "")


async def test_a_moved_tag_takes_over_whole_and_the_fast_way_forgets(world: World) -> None:
    world.up.push("team/app", NEW, "1")
    world.clock.advance(WINDOW_SECONDS + 1)
    forgotten = world.forgotten
    assert await meaning(world) == OLD.manifest.data
    await world.settle()
    assert await meaning(world) == NEW.manifest.data
    assert world.forgotten > forgotten
    world.up.down = Trouble.REFUSED
    assert set(await world.pull(NAME, NEW, "1")) == {200}


async def test_if_the_link_dies_in_between_the_last_whole_image_is_served(world: World) -> None:
    world.up.push("team/app", NEW, "1")
    del world.up.content[f"/v2/team/app/blobs/{NEW.blobs[1].digest}"]  # all but one content comes
    world.clock.advance(WINDOW_SECONDS + 1)
    await meaning(world)
    await world.settle()
    tag = world.catalog.tag(REPOSITORY, "1")
    assert tag is not None
    assert (tag.digest, tag.pending) == (OLD.digest, NEW.digest)
    world.up.down = Trouble.CONNECT_TIMEOUT
    assert set(await world.pull(NAME, OLD, "1")) == {200}
    world.up.down = None
    world.up.push("team/app", NEW, "1")
    world.clock.advance(2 * WINDOW_SECONDS)
    await meaning(world)
    await world.settle()
    assert await meaning(world) == NEW.manifest.data


async def test_a_moved_index_brings_the_platforms_that_were_here_and_no_others() -> None:
    world = World()
    try:
        world.up.push("team/app", index([OLD, OLD_ARM]), "1")
        await world.get(f"/v2/{NAME}/manifests/1")
        await world.pull(NAME, OLD_ARM)
        await world.settle()
        both = index([NEW, NEW_ARM])
        world.up.push("team/app", both, "1")
        world.clock.advance(WINDOW_SECONDS + 1)
        await meaning(world)
        await world.settle()
        world.up.down = Trouble.REFUSED
        assert await meaning(world) == both.manifest.data
        assert set(await world.pull(NAME, NEW_ARM)) == {200}
        assert (await world.get(f"/v2/{NAME}/manifests/{NEW.digest}")).status == 503
    finally:
        await world.close()


@pytest.mark.parametrize("serve_deleted", [True, False])
async def test_t28_a_tag_deleted_upstream_is_served_or_not_as_the_operator_says(
    serve_deleted: bool,
) -> None:
    world = World(serve_deleted=serve_deleted)
    try:
        world.up.push("team/app", OLD, "1")
        await world.pull(NAME, OLD, "1")
        world.up.forget("team/app", "1")
        world.clock.advance(WINDOW_SECONDS + 1)
        await meaning(world)
        await world.settle()
        answer = await world.get(f"/v2/{NAME}/manifests/1")
        assert answer.status == (200 if serve_deleted else 404)
        assert world.events.counts()["tag.gone"] == 1
        world.up.push("team/app", OLD, "1")
        world.clock.advance(WINDOW_SECONDS + 1)
        await world.get(f"/v2/{NAME}/manifests/1")
        await world.settle()
        assert (await world.get(f"/v2/{NAME}/manifests/1")).status == 200
    finally:
        await world.close()


async def test_t29_a_refused_head_never_becomes_a_get(world: World) -> None:
    world.up.status = 403
    world.clock.advance(WINDOW_SECONDS + 1)
    assert await meaning(world) == OLD.manifest.data
    await world.settle()
    assert world.up.gets() == []


async def test_an_upstream_without_the_digest_header_is_asked_by_get(world: World) -> None:
    world.up.digest_header = False
    world.up.push("team/app", NEW, "1")
    world.clock.advance(WINDOW_SECONDS + 1)
    await meaning(world)
    await world.settle()
    assert await meaning(world) == NEW.manifest.data


async def test_ten_thousand_pulls_cost_as_many_gets_as_there_are_changes(world: World) -> None:
    for change in range(3):
        world.up.push("team/app", (NEW, OLD, NEW)[change], "1")
        for _ in range(50):
            world.clock.advance(WINDOW_SECONDS / 4)
            await meaning(world)
            await world.settle()
    manifests = [path for path in world.up.gets() if "/manifests/" in path]
    assert manifests == [f"/v2/team/app/manifests/{NEW.digest}"], "OLD was here, NEW came once"


async def test_t12_a_manifest_that_is_not_what_its_header_says_is_not_believed() -> None:
    world = World()
    try:
        world.up.push("team/app", OLD, "1")
        for reference in ("1", str(OLD.digest)):
            world.up.lie[f"/v2/team/app/manifests/{reference}"] = NEW.manifest.data
            answer = await world.get(f"/v2/{NAME}/manifests/{reference}")
            assert answer.status >= 500
        assert world.store.size_of(NEW.digest) is None
        world.up.lie.clear()
        world.clock.advance(120)
        assert await meaning(world) == OLD.manifest.data
    finally:
        await world.close()


@pytest.mark.parametrize("body", [b"<html>hello</html>", b'{"ok":true}', b"", b"{" * 5000])
async def test_t11_html_or_other_json_with_200_is_no_manifest(body: bytes) -> None:
    world = World()
    try:
        world.up.digest_header = False
        world.up.content["/v2/team/app/manifests/1"] = ("text/html", body, "")
        answer = await world.get(f"/v2/{NAME}/manifests/1")
        assert answer.status in (502, 503)
        assert world.catalog.tag(REPOSITORY, "1") is None
    finally:
        await world.close()


async def test_t16_a_lost_manifest_behind_a_known_tag_is_fetched_again(world: World) -> None:
    await world.store.delete(OLD.digest)
    assert await meaning(world) == OLD.manifest.data
    await world.settle()
    world.up.down = Trouble.DNS
    assert await meaning(world) == OLD.manifest.data


async def test_t36_on_a_full_disk_misses_pass_through_and_tags_stay_known(world: World) -> None:
    world.store.full = world.store.read_only = True
    world.up.push("team/app", NEW, "2")
    assert set(await world.pull(NAME, NEW, "2")) == {200}
    assert set(await world.pull(NAME, OLD, "1")) == {200}
    await world.settle()
    assert world.store.size_of(NEW.blobs[1].digest) is None
    world.store.full = world.store.read_only = False
    world.clock.advance(60)
    assert set(await world.pull(NAME, NEW, "2")) == {200}
    await world.settle()
    world.up.down = Trouble.REFUSED
    assert set(await world.pull(NAME, NEW, "2")) == {200}


async def test_bit_rot_is_found_when_the_same_client_asks_again(world: World) -> None:
    layer = OLD.blobs[1]
    path = f"/v2/{NAME}/blobs/{layer.digest}"
    world.store.flip_bit(layer.digest)
    bad = await body_of(await world.get(path, client="2001:db8::9"))
    assert bad != layer.data
    other = await body_of(await world.get(path, client="2001:db8::a"))
    assert other == bad, "another client's first request is no sign of rot"
    good = await body_of(await world.get(path, client="2001:db8::9"))
    assert good == layer.data
    assert world.store.statistics().quarantine_count == 1


async def test_answers_are_counted_by_how_they_were_answered(world: World) -> None:
    front = world.rooms.front
    before = front.meters.counted("manifest", Outcome.HIT)
    await meaning(world)
    assert front.meters.counted("manifest", Outcome.HIT) == before + 1
