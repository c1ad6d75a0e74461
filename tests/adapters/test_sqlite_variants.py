"""The edge's index and book over SQLite, in memory and in a file."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from skerry.adapters import sqlite_purge_book
from skerry.adapters.sqlite_edge_file import EdgeFile
from skerry.adapters.sqlite_purge_book import SqlitePurgeBook
from skerry.adapters.sqlite_variants import SqliteVariants
from skerry.cdn.core.purge_log import PurgeLog
from skerry.cdn.ports import EdgeUnusable
from skerry.cdn.testing import BOOK_CHECKS, CHECKS, BookCheck, Check, some_entry, some_record


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


async def test_a_book_that_is_too_long_folds_into_its_base_and_purges_nothing_by_that(
    file: EdgeFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_purge_book, "RECORDS_MAX", 4)
    book, variants = SqlitePurgeBook(file), SqliteVariants(file)
    await variants.put(some_entry())
    for number in range(1, 10):
        await book.note(some_record(book, number))
    position, vector = book.base()
    log = PurgeLog(book.node, position=position, vector=vector)
    for record in book.records():
        log.apply(record)
    assert log.position == 9
    assert position > 0
    assert next(variants.all()).as_of >= position


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
