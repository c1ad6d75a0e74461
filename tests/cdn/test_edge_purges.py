"""Purges: in force before the call returns, for late arrivals too, with receipts that hold."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from skerry.adapters.sqlite_edge_file import EdgeFile
from skerry.base.chain import GENESIS
from skerry.cdn.core.purge import (
    Mode,
    Target,
    by_group,
    by_host,
    by_prefix,
    by_surrogate_key,
    by_url,
)
from skerry.cdn.core.receipt import read, verify
from skerry.cdn.ports import EdgeUnusable
from skerry.upstream.ports import Trouble
from tests.cdn.world import World, body_of

HOST = "www.example.org"
PLACE = {"scheme": "http", "authority": HOST}
FIELDS = (
    "Cache-Control: max-age=60, stale-if-error=600",
    'ETag: "1"',
    "Surrogate-Key: item-1 item-2",
    'Cache-Groups: "news"',
)
TARGETS = (
    by_prefix(**PLACE, path="/dir"),
    by_host(HOST),
    by_group(**PLACE, group="news"),
    by_surrogate_key("item-1"),
)


async def warm(world: World) -> World:
    world.page("/dir/a", b"old", *FIELDS)
    await world.get("/dir/a")
    await world.settle()
    return world


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.kind.value)
async def test_a_hard_purge_leaves_nothing_to_serve_even_without_the_origin(target: Target) -> None:
    world = await warm(World())
    world.origin.down = Trouble.REFUSED
    receipt = (await world.rooms.purges.purge(target, Mode.HARD)).receipt
    assert receipt.object_count == 1
    assert (await world.get("/dir/a"))[0] == 502
    await world.close()


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.kind.value)
async def test_a_soft_purge_asks_the_origin_first(target: Target) -> None:
    world = await warm(World())
    await world.rooms.purges.purge(target, Mode.SOFT)
    answer = await world.get("/dir/a")
    assert answer[:2] == (200, b"old")
    assert "fwd-status=304" in answer[2]
    assert (await world.get("/dir/a"))[2].startswith("hit")
    await world.close()


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.kind.value)
async def test_what_is_on_its_way_in_is_purged_too(target: Target, mode: Mode) -> None:
    world = World()
    world.page("/dir/a", b"x" * 200_000, *FIELDS)
    world.origin.rest = asyncio.Event()
    growing = await world.ask("/dir/a")
    receipt = (await world.rooms.purges.purge(target, mode)).receipt
    assert receipt.object_count == 1
    world.origin.rest.set()
    await body_of(growing)
    await world.settle()
    assert not (await world.get("/dir/a"))[2].startswith("hit")
    await world.close()


async def test_overlapping_names_are_not_purged() -> None:
    world = World()
    for path, field in (("/dir2", "Surrogate-Key: item-10"), ("/di", "Surrogate-Key: item")):
        world.page(path, b"x", "Cache-Control: max-age=60", field)
        await world.get(path)
    await world.settle()
    for target in (*TARGETS[:1], *TARGETS[2:]):
        assert (await world.rooms.purges.purge(target, Mode.HARD)).receipt.object_count == 0
    for path in ("/dir2", "/di"):
        assert (await world.get(path))[2].startswith("hit")
    await world.close()


async def test_a_url_is_purged_with_all_its_variants() -> None:
    world = World()
    world.page("/a", b"x", "Cache-Control: max-age=60", "Vary: Accept")
    for accept in ("text/html", "image/png"):
        await world.get("/a", f"Accept: {accept}")
    await world.settle()
    key = next(world.variants.all()).key
    assert (await world.rooms.purges.purge(by_url(key), Mode.HARD)).receipt.object_count == 2
    await world.close()


async def test_receipts_form_a_chain_that_anybody_can_check() -> None:
    world = await warm(World())
    for target in TARGETS:
        await world.rooms.purges.purge(target, Mode.SOFT)
    lines = world.rooms.purges.receipts()
    assert len(lines) == 4
    assert read(lines[0]).previous == GENESIS

    def check(key: bytes, signature: bytes, message: bytes) -> bool:
        return signature == b"signed"

    assert verify(lines, public_key=b"", check=check) == ()
    assert verify([lines[0], *lines[2:]], public_key=b"", check=check) != ()
    await world.close()


async def test_a_purge_and_its_number_outlive_the_node(tmp_path: Path) -> None:
    path = tmp_path / "edge.sqlite"
    world = await warm(World(file=EdgeFile(path)))
    await world.rooms.purges.purge(by_host(HOST), Mode.HARD)
    again = World(file=EdgeFile(path), store=world.store, clock=world.clock)
    again.origin.down = Trouble.REFUSED
    assert (await again.get("/dir/a"))[0] == 502
    second = await again.rooms.purges.purge(by_host(HOST), Mode.HARD)
    assert second.sequence == 2
    assert again.rooms.purges.statistics().log.position == 2
    for each in (again, world):
        await each.close()
        await each.file.close()


async def test_a_purge_that_cannot_be_written_down_is_in_force_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = await warm(World())

    async def fails(*_: object) -> int:
        raise EdgeUnusable("the disk takes no writes")

    with monkeypatch.context() as patch:
        patch.setattr(world.variants, "purge", fails)
        with pytest.raises(EdgeUnusable):
            await world.rooms.purges.purge(by_host(HOST), Mode.HARD)
    await world.rooms.purges.purge(by_surrogate_key("none"), Mode.HARD)
    world.origin.down = Trouble.REFUSED
    assert (await world.get("/dir/a"))[0] == 502
    await world.close()


async def test_a_purge_that_was_not_written_down_is_with_the_next_one(tmp_path: Path) -> None:
    world = World(file=EdgeFile(tmp_path / "edge.sqlite"))
    with sqlite3.connect(tmp_path / "edge.sqlite") as other:
        other.execute(
            "CREATE TRIGGER refuse BEFORE INSERT ON purge BEGIN SELECT RAISE(ABORT, 'full'); END"
        )
    other.commit()
    with pytest.raises(EdgeUnusable):
        await world.rooms.purges.purge(by_host(HOST), Mode.HARD)
    other.execute("DROP TRIGGER refuse")
    other.commit()
    other.close()
    await world.rooms.purges.purge(by_surrogate_key("x"), Mode.HARD)
    again = World(file=EdgeFile(tmp_path / "edge.sqlite"))
    assert again.rooms.purges.statistics().log.position == 2
    for each in (again, world):
        await each.close()
        await each.file.close()


async def test_more_keys_than_can_be_purged_by_are_not_stored() -> None:
    world = World()
    keys = " ".join(f"k{number}" for number in range(1100))
    world.page("/a", b"x", "Cache-Control: max-age=60", f"Surrogate-Key: {keys}")
    assert "stored" not in (await world.get("/a"))[2]
    await world.close()


async def test_what_is_evicted_is_forgotten_before_its_bytes_go() -> None:
    world = await warm(World())
    inventory = world.rooms.inventory
    groups = inventory.groups()
    assert [list(group.members.values()) for group in groups] == [[3]]
    digest = next(iter(groups[0].members))
    assert inventory.still_wanted(digest)
    [name] = inventory.names([groups[0].id, "another"])[groups[0].id]
    assert name == "http://www.example.org/dir/a"
    await inventory.drop([groups[0].id])
    assert inventory.names([groups[0].id]) == {}
    assert not inventory.still_wanted(digest)
    assert inventory.groups() == []
    await world.close()


async def test_a_use_is_what_eviction_goes_by() -> None:
    world = await warm(World())
    world.clock.advance(30)
    await world.get("/dir/a")
    await world.rooms.inventory.flush()
    assert world.rooms.inventory.groups()[0].last_used == world.clock.now()
    await world.close()
