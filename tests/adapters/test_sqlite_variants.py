"""The edge's index and book over SQLite, in memory and in a file."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from skerry.adapters.sqlite_edge_file import EdgeFile
from skerry.adapters.sqlite_purge_book import SqlitePurgeBook
from skerry.adapters.sqlite_variants import SqliteVariants
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
