"""The edge's index and book over SQLite, in memory and in a file."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from skerry.adapters.sqlite_edge_file import EdgeFile
from skerry.adapters.sqlite_purge_book import SqlitePurgeBook
from skerry.adapters.sqlite_variants import SWEEP_ROWS, SqliteVariants
from skerry.cdn.core.purge import Mode, by_surrogate_key, by_url
from skerry.cdn.ports import EdgeUnusable
from skerry.cdn.testing import BOOK_CHECKS, CHECKS, BookCheck, Check, some_entry


@pytest.fixture(params=["memory", "file"])
async def file(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[EdgeFile]:
    opened = EdgeFile(None if request.param == "memory" else tmp_path / "edge.sqlite")
    yield opened
    await opened.close()


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_the_index_conforms(file: EdgeFile, check: Check) -> None:
    await check(SqliteVariants(file))


@pytest.mark.parametrize("check", BOOK_CHECKS, ids=lambda check: check.__name__)
async def test_the_book_conforms(file: EdgeFile, check: BookCheck) -> None:
    await check(SqlitePurgeBook(file))


async def test_what_was_put_is_there_without_a_close(tmp_path: Path) -> None:
    first = EdgeFile(tmp_path / "edge.sqlite")
    entry = some_entry(groups=("news",))
    await SqliteVariants(first).put(entry)
    second = EdgeFile(tmp_path / "edge.sqlite")
    assert SqliteVariants(second).find(entry.key) == (entry,)
    assert SqlitePurgeBook(second).node == SqlitePurgeBook(first).node
    for each in (second, first):
        await each.close()


async def test_what_is_read_often_costs_no_query_and_a_change_is_seen_at_once(
    file: EdgeFile,
) -> None:
    variants = SqliteVariants(file)
    entry = some_entry()
    await variants.put(entry)
    for _ in range(5):
        variants.find(entry.key)
    assert variants.statistics().query_count == 1
    await variants.remove([entry])
    assert variants.find(entry.key) == ()


async def test_a_purge_leaves_ready_what_it_does_not_name(file: EdgeFile) -> None:
    variants = SqliteVariants(file)
    one, other = some_entry("/a", keys=("k",)), some_entry("/b")
    for entry in (one, other):
        await variants.put(entry)
        variants.find(entry.key)
    before = variants.statistics().query_count
    for target in (by_url(one.key), by_surrogate_key("k"), by_url(some_entry("/c").key)):
        await variants.purge(target, Mode.SOFT)
    assert variants.find(other.key) == (other,)
    assert variants.statistics().query_count == before
    assert variants.find(one.key)[0].stored.invalidated


async def test_another_programs_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "edge.sqlite"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE theirs (x)")
    other.close()
    with pytest.raises(EdgeUnusable, match="another program"):
        EdgeFile(path)
    path.write_bytes(b"no database at all, but long enough to be looked at" * 50)
    with pytest.raises(EdgeUnusable, match="cannot be opened"):
        EdgeFile(path)


async def test_changes_that_come_together_share_a_transaction_and_one_that_fails_fails_alone(
    tmp_path: Path,
) -> None:
    opened = EdgeFile(tmp_path / "edge.sqlite")
    began = threading.Event()
    transactions: list[str] = []
    opened._writer.set_trace_callback(
        lambda sql: transactions.append(sql) if sql.startswith("COMMIT") else None
    )

    def change(number: int) -> Callable[[sqlite3.Connection], int]:
        def run(db: sqlite3.Connection) -> int:
            db.execute("INSERT INTO purge VALUES (?, 'n', 1, 'k', 's', 'v', 'm', 0)", (number,))
            if number == 7:
                raise ZeroDivisionError
            return number

        return run

    def wait(db: sqlite3.Connection) -> None:
        began.wait(10)

    first = asyncio.ensure_future(opened.write(wait))
    rest = [asyncio.ensure_future(opened.write(change(number))) for number in range(1, 6)]
    await asyncio.sleep(0)
    began.set()
    assert await asyncio.gather(*rest) == [1, 2, 3, 4, 5]
    await first
    assert len(transactions) <= 2  # one, where the thread began late
    bad = [asyncio.ensure_future(opened.write(change(number))) for number in (6, 7, 8)]
    await asyncio.sleep(0)
    bad[2].cancel()
    done = await asyncio.gather(*bad, return_exceptions=True)
    assert done[0] == 6
    assert isinstance(done[1], ZeroDivisionError)
    await opened.close()
    again = EdgeFile(tmp_path / "edge.sqlite")
    rows = again.read("SELECT position FROM purge ORDER BY position")
    assert [row[0] for row in rows] == [1, 2, 3, 4, 5, 6, 8], "8 was queued: who left is no matter"
    await again.close()


async def test_purged_rows_go_behind_the_purge_and_are_nobodys_until_then(tmp_path: Path) -> None:
    path = tmp_path / "edge.sqlite"
    file = EdgeFile(path)
    variants = SqliteVariants(file)
    entries = [some_entry(f"/{n}", keys=("all",)) for n in range(SWEEP_ROWS + 10)]
    for entry in entries:
        await variants.put(entry)
    assert await variants.purge(by_surrogate_key("all"), Mode.HARD) == len(entries)
    assert not variants.find(entries[0].key)
    assert not list(variants.all())
    assert await variants.purge(by_surrogate_key("all"), Mode.HARD) == 0, "none counts twice"
    await variants.put(entries[0])
    assert variants.find(entries[0].key) == (entries[0],), "what is put anew is not purged"
    await file.close()
    # Whatever a stop left is taken out by the next life.
    again = EdgeFile(path)
    left = SqliteVariants(again)
    while again.read("SELECT count(*) FROM entry") != [(1,)]:
        await left.touch([])
    assert next(iter(left.all())).key == entries[0].key
    assert again.read("SELECT count(*) FROM name") == [(1,)]
    await again.close()


async def test_a_file_of_the_first_version_is_brought_up(tmp_path: Path) -> None:
    path = tmp_path / "edge.sqlite"
    file = EdgeFile(path)
    await SqliteVariants(file).put(some_entry())
    await file.close()
    with sqlite3.connect(path) as db:
        db.executescript(
            "DROP TABLE purged; DROP INDEX entry_by_use; DROP TRIGGER entry_gone;"
            "CREATE TRIGGER entry_gone AFTER DELETE ON entry BEGIN "
            "DELETE FROM name WHERE entry = OLD.id; END; PRAGMA user_version = 1;"
        )
    again = EdgeFile(path)
    variants = SqliteVariants(again)
    assert await variants.purge(by_url(some_entry().key), Mode.HARD) == 1
    assert again.read("PRAGMA user_version") == [(2,)]
    await again.close()
