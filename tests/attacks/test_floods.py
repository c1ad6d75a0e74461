"""Floods of names, digests and passwords from one client: the others are served as before."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
from collections.abc import AsyncIterator

import bcrypt
import pytest

from skerry.app.drill.images import image, noise
from skerry.base.digest import digest_of
from skerry.registry import listings, patience
from skerry.registry.core.users import Users
from skerry.trust.tokens.turns import SAME_MAX
from skerry.upstream import fills
from tests.registry.world import World, body_of

HONEST = image([{"f": noise(1, 40_000)}, {"g": noise(2, 40_000)}, {"h": noise(3, 40_000)}])
FLOOD = 2000


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    made.hub.push("library/honest", HONEST, "1")
    yield made
    await made.close()


async def rush(world: World, path: str, *, method: str = "GET") -> list[asyncio.Task[object]]:
    """Many requests of one client, each for another name; `{n}` and `{digest}` are filled in."""
    paths = [path.format(n=n, digest=digest_of(b"%d" % n)) for n in range(FLOOD)]
    asked = [world.get(each, method=method, client="192.0.2.66") for each in paths]
    tasks: list[asyncio.Task[object]] = [asyncio.create_task(each) for each in asked]
    for _ in range(20):
        await asyncio.sleep(0)
    return tasks


@pytest.mark.parametrize(
    ("path", "method"),
    [
        ("/v2/library/alpine/manifests/tag-{n}", "GET"),
        ("/v2/library/alpine/manifests/{digest}", "GET"),
        ("/v2/library/alpine/blobs/{digest}", "GET"),
        ("/v2/library/alpine/blobs/{digest}", "HEAD"),
        ("/v2/library/alpine/referrers/{digest}", "GET"),
        ("/v2/library/name-{n}/tags/list", "GET"),
    ],
)
async def test_one_client_waits_for_so_many_missing_things_at_once(
    world: World, path: str, method: str
) -> None:
    assert set(await world.pull("library/honest", HONEST, "1")) == {200}
    await world.settle()
    world.hub.hang = True
    tasks = await rush(world, path, method=method)
    done = [task for task in tasks if task.done()]
    assert len(done) == FLOOD - patience.WAITS_MAX
    assert len(world.fills.statistics().flying) <= patience.WAITS_MAX
    assert {task.result().status for task in done} == {503}  # type: ignore[attr-defined]
    # What is here is served to everybody, and to that client, too.
    for client in ("192.0.2.66", "192.0.2.1"):
        answer = await world.get("/v2/library/honest/manifests/1", client=client)
        assert answer.status == 200
    for task in tasks:
        task.cancel()


async def test_fills_that_wait_are_bounded_whoever_asks(world: World) -> None:
    world.hub.hang = True
    name = "/v2/library/alpine/blobs"
    asked = [
        asyncio.create_task(world.get(f"{name}/{digest_of(b'%d' % n)}"))
        for n in range(fills.QUEUED_MAX + 50)
    ]
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(world.fills.statistics().flying) == fills.QUEUED_MAX
    answers = [task.result() for task in asked if task.done()]
    assert [answer.status for answer in answers] == [503] * 50
    assert all(answer.headers.get("Retry-After") for answer in answers)
    for task in asked:
        task.cancel()


async def test_asking_twice_for_every_blob_does_not_hash_them_all_at_once(world: World) -> None:
    assert set(await world.pull("library/honest", HONEST, "1")) == {200}
    await world.settle()
    gate = asyncio.Event()
    hashing = 0

    async def slow(digest: object) -> bool:
        nonlocal hashing
        hashing += 1
        await gate.wait()
        return True

    world.rooms.front._rooms.blobs._check = slow
    paths = [f"/v2/library/honest/blobs/{blob.digest}" for blob in HONEST.blobs]
    for path in paths:
        await body_of(await world.get(path, client="192.0.2.66"))
    again = [asyncio.create_task(world.get(path, client="192.0.2.66")) for path in paths]
    for _ in range(20):
        await asyncio.sleep(0)
    assert hashing == 2
    assert [task.result().status for task in again if task.done()] == [200] * (len(paths) - 2)
    gate.set()
    assert {(await task).status for task in again} == {200}


async def test_referrers_of_digests_nobody_has_are_not_written_down(world: World) -> None:
    name = "/v2/library/honest/referrers"
    for n in range(50):
        assert (await world.get(f"{name}/{digest_of(b'%d' % n)}")).status == 200
    catalog = world.catalog
    count = catalog._file.read("SELECT count(*) FROM listing")[0][0]
    assert count == 0


async def test_what_is_noted_about_others_is_bounded(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listings, "NOTED_MAX", 10)
    noted = world.rooms.front._rooms.listings._noted
    for n in range(30):
        await world.get(f"/v2/library/honest/referrers/{digest_of(b'%d' % n)}")
        assert len(noted) <= 10
    assert str(digest_of(b"29")) in {subject for _, _, subject in noted}
    monkeypatch.setattr(listings, "NOTED_CHARS_MAX", 1)
    await world.get(f"/v2/library/honest/referrers/{digest_of(b'30')}")
    assert str(digest_of(b"30")) not in {subject for _, _, subject in noted}


async def test_a_tag_list_is_bounded_however_long_the_upstreams_pages_are(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listings, "TAGS_MAX", 100)
    world.hub.tags["library/honest"] = [f"t{n}" for n in range(5000)]
    answer = await world.get("/v2/library/honest/tags/list")
    assert len(json.loads(await body_of(answer))["tags"]) == 100


async def test_referrers_of_an_image_that_is_here_outlive_the_upstream(world: World) -> None:
    assert set(await world.pull("library/honest", HONEST, "1")) == {200}
    path = f"/v2/library/honest/referrers/{HONEST.digest}"
    assert (await world.get(path)).status == 200
    world.hub.status = 500
    assert (await world.get(path)).status == 200


async def test_guessing_passwords_keeps_nobody_else_out() -> None:
    hashed = bcrypt.hashpw(b"opensesame", bcrypt.gensalt(4))
    users = Users({"ann": hashed}, key=b"k" * 32)
    world = World(users=users)
    gate = threading.Event()
    check, checked = users.check, []

    def slow(name: str, password: str) -> bool:
        checked.append(name)
        gate.wait(20)
        return check(name, password)

    users.check = slow  # type: ignore[method-assign]
    try:
        tasks = [
            asyncio.create_task(
                world.get("/v2/", client="192.0.2.66", Authorization=basic("ann", f"guess{n}"))
            )
            for n in range(500)
        ]
        for _ in range(20):
            await asyncio.sleep(0)
        refused = [task.result() for task in tasks if task.done()]
        assert len(refused) == 500 - SAME_MAX
        assert {answer.status for answer in refused} == {503}
        assert len(checked) <= 1  # one core at most
        right = basic("ann", "opensesame")
        other = asyncio.create_task(world.get("/v2/", client="192.0.2.1", Authorization=right))
        gate.set()
        assert (await other).status == 200
        assert {(await task).status for task in tasks} == {503, 401}
    finally:
        gate.set()
        await world.close()


def basic(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


def test_unknown_names_take_as_long_as_known_ones() -> None:
    users = Users({"ann": bcrypt.hashpw(b"x", bcrypt.gensalt(5))}, key=b"k" * 32)
    assert users._nobody.startswith(b"$2b$05$")
    assert len(users._nobody) == 60
    assert not users.check("nobody", "x")
