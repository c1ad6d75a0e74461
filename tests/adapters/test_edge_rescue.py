"""A damaged, unreadable or frozen file of the edge: the node starts, and no purge comes undone."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from skerry.adapters.sqlite_edge_file import EdgeDamaged, EdgeFile
from skerry.adapters.sqlite_edge_rescue import open_edge_file
from skerry.adapters.sqlite_file import damage_note
from skerry.adapters.sqlite_purge_book import SqlitePurgeBook
from skerry.adapters.sqlite_variants import SqliteVariants
from skerry.cdn.core.purge import Mode, by_surrogate_key
from skerry.cdn.core.purge_log import PurgeLog, Verdict
from skerry.cdn.core.receipt import read, verify
from skerry.cdn.ports import EdgeUnusable
from skerry.cdn.testing import some_entry
from tests.cdn.core.test_purge import names
from tests.cdn.world import World

PURGES = 400


async def filled(path: Path) -> str:
    """A file with entries, purges and receipts; its name in the purge log."""
    world = World(file=EdgeFile(path))
    for number in range(PURGES):
        await world.rooms.purges.purge(by_surrogate_key(f"key-{number}"), Mode.HARD)
        await world.variants.put(some_entry(f"/page-{number}", keys=(f"k{number}",)))
    await world.close()
    await world.file.close()
    return world.rooms.purges.node


def damage(path: Path, table: str) -> None:
    """Overwrites a page in the middle of a table."""
    with sqlite3.connect(path) as db:
        pages = [
            row[0]
            for row in db.execute(
                "SELECT pageno FROM dbstat WHERE name = ? AND pagetype = 'leaf'", (table,)
            )
        ]
        size = db.execute("PRAGMA page_size").fetchone()[0]
    db.close()
    with path.open("r+b") as file:
        file.seek((pages[len(pages) // 2] - 1) * size)
        file.write(b"\xa5" * size)


def log_of(file: EdgeFile) -> PurgeLog:
    book = SqlitePurgeBook(file)
    position, vector = book.base()
    log = PurgeLog(book.node, position=position, vector=vector)
    for record in book.records():
        log.apply(record)
    return log


async def test_a_sound_file_is_opened_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "edge.sqlite"
    node = await filled(path)
    file, rescue = open_edge_file(path)
    assert rescue is None
    assert log_of(file).vector == {node: PURGES}
    assert SqliteVariants(file).find(some_entry("/page-7").key)
    await file.close()


async def test_what_is_no_database_is_kept_aside_and_a_new_one_begun(tmp_path: Path) -> None:
    path = tmp_path / "edge.sqlite"
    for number in (1, 2):
        path.write_bytes(b"no database at all, but long enough to be looked at" * 50)
        file, rescue = open_edge_file(path)
        assert rescue is not None
        assert rescue.kept_as == tmp_path / f"edge.sqlite.damaged-{number}"
        assert "move it away" not in rescue.cause  # it has been
        assert rescue.purges_lost
        assert "purge again" in rescue.next_step
        await SqliteVariants(file).put(some_entry())
        await file.close()


async def test_a_hole_in_the_purges_leaves_their_numbers_and_every_receipt(
    tmp_path: Path,
) -> None:
    path = tmp_path / "edge.sqlite"
    node = await filled(path)
    damage(path, "purge")
    file, rescue = open_edge_file(path)
    assert rescue is not None
    assert not rescue.purges_lost
    log = log_of(file)
    assert log.node != node
    assert log.vector == {node: PURGES}
    # A sibling that is behind counts all it holds as purged; one that is not need do nothing.
    assert log.since({node: 5}).adopt == {node: PURGES}
    assert not log.since({node: PURGES})
    assert rescue.receipts is not None
    lines = rescue.receipts.read_bytes().splitlines()
    assert len(lines) == PURGES
    assert verify(lines, public_key=b"", check=lambda *_: True) == ()
    await file.close()


async def test_whole_purges_are_kept_for_siblings_when_something_else_is_damaged(
    tmp_path: Path,
) -> None:
    path = tmp_path / "edge.sqlite"
    node = await filled(path)
    damage(path, "receipt")
    damage_note(path).touch()
    file, rescue = open_edge_file(path)
    assert rescue is not None
    log = log_of(file)
    assert len(log.since({node: 5}).records) == PURGES - 5
    assert log.verdict(names(keys=("key-9",)), as_of=0) is Verdict.HARD
    assert rescue.receipts is not None
    read_again = [read(line) for line in rescue.receipts.read_bytes().splitlines()]
    assert 0 < len(read_again) < PURGES
    assert not damage_note(path).exists()
    assert open_edge_file(path)[1] is None
    await file.close()


async def test_a_damaged_entry_is_a_miss_and_the_next_start_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "edge.sqlite"
    await filled(path)
    damage(path, "entry")
    file, rescue = open_edge_file(path)
    assert rescue is None  # nobody reads a million entries at a start
    world = World(file=file)
    for number in range(PURGES):
        world.rooms.entries.find(some_entry(f"/page-{number}").key)
    assert file.damaged
    assert world.rooms.purges.vector
    await world.close()
    await file.close()
    again, rescue = open_edge_file(path)
    assert rescue is not None
    assert not again.damaged
    await again.close()


async def test_damage_is_told_apart_from_a_disk_that_is_full(tmp_path: Path) -> None:
    path = tmp_path / "edge.sqlite"
    path.write_bytes(b"no database at all, but long enough to be looked at" * 50)
    with pytest.raises(EdgeDamaged):
        EdgeFile(path)
    with pytest.raises(EdgeUnusable) as caught:
        EdgeFile(tmp_path / "nowhere" / "edge.sqlite")
    assert not isinstance(caught.value, EdgeDamaged)


async def test_where_no_file_can_be_made_the_index_is_empty_and_takes_nothing(
    tmp_path: Path,
) -> None:
    file, rescue = open_edge_file(tmp_path / "nowhere" / "edge.sqlite")
    assert rescue is not None
    assert rescue.kept_as is None
    assert SqliteVariants(file).find(some_entry().key) == ()
    with pytest.raises(EdgeUnusable, match="takes no writes"):
        await SqliteVariants(file).put(some_entry())
    world = World(file=file)
    with pytest.raises(EdgeUnusable):
        await world.rooms.purges.purge(by_surrogate_key("k"), Mode.HARD)
    assert world.rooms.purges.vector == {world.rooms.purges.node: 1}  # in force all the same
    world.page("/a", b"hello")
    assert (await world.get("/a"))[:2] == (200, b"hello")
    await world.close()
    await file.close()


async def test_another_programs_file_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "edge.sqlite"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE theirs (x)")
    other.close()
    with pytest.raises(EdgeUnusable, match="another program"):
        open_edge_file(path)
    assert not list(tmp_path.glob("*damaged*"))
    with sqlite3.connect(path) as other:
        assert other.execute("SELECT name FROM sqlite_master").fetchall() == [("theirs",)]
    other.close()
