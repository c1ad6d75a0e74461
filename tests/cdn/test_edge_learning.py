"""Purges of siblings: in force at once, durable before they are confirmed, on record."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from skerry.adapters.sqlite_edge_file import EdgeFile
from skerry.adapters.sqlite_purge_book import SqlitePurgeBook
from skerry.cdn import purge_work
from skerry.cdn.core.purge import Mode, Names, by_host, by_surrogate_key
from skerry.cdn.core.purge_log import Missed, PurgeLog, Verdict
from skerry.cdn.core.receipt import read, verify
from skerry.cdn.ports import EdgeUnusable
from skerry.upstream.ports import Trouble
from tests.cdn.test_edge_purges import HOST, warm
from tests.cdn.world import World

NOW = 1_700_000_000.0


def theirs(*keys: str) -> PurgeLog:
    """Another node's log, with a hard purge of each key."""
    log = PurgeLog("node-her")
    for key in keys:
        log.order(by_surrogate_key(key), Mode.HARD, at_seconds=NOW)
    return log


async def test_a_learned_purge_is_in_force_durable_and_has_a_receipt_of_its_own() -> None:
    world = await warm(World())
    purges = world.rooms.purges
    before = world.ready.all_count
    assert await purges.learn(theirs("item-1").since(purges.vector))
    world.origin.down = Trouble.REFUSED
    assert (await world.get("/dir/a"))[0] == 502
    assert purges.durable == {"node-her": 1}
    assert world.ready.all_count > before
    await world.settle()
    [line] = purges.receipts()
    receipt = read(line)
    assert (receipt.ordered_by, receipt.object_count, receipt.sequence) == ("node-her", 1, 1)
    assert b'"version":2' in line
    assert verify([line], public_key=b"", check=lambda *_: True) == ()
    assert not await purges.learn(theirs("item-1").since({}))
    await world.close()


async def test_own_and_learned_receipts_are_one_chain(tmp_path: Path) -> None:
    world = await warm(World(file=EdgeFile(tmp_path / "edge.sqlite")))
    purges = world.rooms.purges
    other = theirs("item-1", "item-2")
    await asyncio.gather(
        purges.purge(by_host("x.org"), Mode.SOFT),
        purges.learn(other.since(purges.vector)),
        purges.purge(by_host(HOST), Mode.HARD),
    )
    await world.settle()
    lines = purges.receipts()
    assert [read(line).ordered_by for line in lines] == ["", "node-her", "node-her", ""]
    assert verify(lines, public_key=b"", check=lambda *_: True) == ()
    again = World(file=EdgeFile(tmp_path / "edge.sqlite"))
    assert again.rooms.purges.vector == purges.vector
    for each in (again, world):
        await each.close()
        await each.file.close()


async def test_what_could_not_be_kept_is_in_force_and_not_confirmed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = await warm(World())
    purges = world.rooms.purges
    book = purges.work._book

    async def fails(*_: object) -> None:
        raise EdgeUnusable("the disk takes no writes")

    await purges.purge(by_surrogate_key("another"), Mode.HARD)  # the index bears that one alone
    own = {purges.node: 1}
    other = theirs("item-1")
    with monkeypatch.context() as patch:
        patch.setattr(book, "note", fails)
        with pytest.raises(EdgeUnusable):
            await purges.learn(other.since(purges.vector))
        world.origin.down = Trouble.REFUSED
        assert (await world.get("/dir/a"))[0] == 502
        assert purges.durable == own
    await purges.learn(other.since(purges.durable))
    assert purges.durable == {**own, "node-her": 1}
    await world.settle()
    assert len(purges.receipts()) == 2
    await world.close()


async def test_one_that_was_away_too_long_serves_nothing_of_before(tmp_path: Path) -> None:
    world = await warm(World(file=EdgeFile(tmp_path / "edge.sqlite")))
    purges = world.rooms.purges
    await purges.learn(Missed((), {"node-her": 70}))
    world.origin.down = Trouble.REFUSED
    assert (await world.get("/dir/a"))[0] == 502
    assert list(world.variants.all()) == []
    world.origin.down = None
    assert (await world.get("/dir/a"))[0] == 200
    await world.settle()
    again = World(file=EdgeFile(tmp_path / "edge.sqlite"), store=world.store)
    again.origin.down = Trouble.REFUSED
    assert again.rooms.purges.vector == {"node-her": 70}
    assert (await again.get("/dir/a"))[0] == 200
    assert len(world.events.recent("edge.purges_missed")) == 1
    for each in (again, world):
        await each.close()
        await each.file.close()


async def test_an_older_copy_of_the_log_orders_again_what_went_unheard() -> None:
    """A backup was put back: numbers that a sibling knows were given out a second time."""
    world = await warm(World())
    purges = world.rooms.purges
    sibling = PurgeLog("node-her")
    before = PurgeLog(purges.node)
    for number in range(3):
        record = before.order(by_surrogate_key(f"old-{number}"), Mode.HARD, at_seconds=NOW)
        sibling.apply(record)
    await purges.purge(by_surrogate_key("item-1"), Mode.HARD)
    for record in purges.missed({}).records:
        sibling.apply(record)
    await purges.learn(sibling.since(purges.vector))
    for record in purges.missed(sibling.vector).records:
        sibling.apply(record)
    # The purge reached the sibling under a number that it had not heard of.
    assert purges.vector == sibling.vector == {purges.node: 4}
    [record] = sibling.since({purges.node: 3}).records
    assert record.target == by_surrogate_key("item-1")
    await world.settle()
    await world.close()


async def test_a_caller_that_leaves_stops_no_purge() -> None:
    world = await warm(World())
    purges = world.rooms.purges
    leaving = asyncio.ensure_future(purges.purge(by_host(HOST), Mode.HARD))
    await asyncio.sleep(0)
    leaving.cancel()
    await world.settle()
    assert len(purges.receipts()) == 1
    assert list(world.variants.all()) == []
    await world.close()


async def test_a_long_log_forgets_what_every_entry_bears_and_purges_nothing_by_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(purge_work, "RECORDS_MAX", 10)
    world = await warm(World(file=EdgeFile(tmp_path / "edge.sqlite")))
    purges = world.rooms.purges
    for number in range(30):
        await purges.purge(by_surrogate_key(f"other-{number}"), Mode.HARD)
    await world.settle()
    assert purges.statistics().log.record_count <= 10
    assert purges.statistics().log.position == 30
    world.origin.down = Trouble.REFUSED
    assert (await world.get("/dir/a"))[0] == 200
    again = World(file=EdgeFile(tmp_path / "edge.sqlite"), store=world.store, clock=world.clock)
    again.origin.down = Trouble.REFUSED
    assert again.rooms.purges.vector == {purges.node: 30}
    assert len(SqlitePurgeBook(again.file).records()) <= 10
    assert (await again.get("/dir/a"))[0] == 200
    for each in (again, world):
        await each.close()
        await each.file.close()


async def test_writes_by_the_thousand_purge_nothing_of_others() -> None:
    world = await warm(World())
    entry = next(world.variants.all())
    before = world.rooms.purges.mark()
    taken = world.page("/form", b"taken")
    for number in range(12_000):
        world.origin.pages[f"/form?{number}"] = taken
        await world.ask(f"/form?{number}", method="POST", body=b"x")
    assert (await world.get("/dir/a"))[2].startswith("hit")
    # What was under way for so long is validated, and not thrown away.
    assert world.rooms.purges.verdict(Names(entry.key), before) is Verdict.SOFT
    await world.close()
