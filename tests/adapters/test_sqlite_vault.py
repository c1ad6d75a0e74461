"""The record of the vault in SQLite: on a disk and in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from skerry.adapters.sqlite_edge_file import EdgeFile
from skerry.adapters.sqlite_file import SqliteFile
from skerry.adapters.sqlite_vault import VAULT, SqliteCopies
from skerry.base.digest import digest_of
from skerry.cdn.core.outbox import Standing, State
from skerry.cdn.core.purge import Mode, by_host, by_url
from skerry.cdn.ports import EdgeUnusable, Entry
from skerry.cdn.testing import some_entry
from skerry.cdn.vault.ports import Content

BODY = digest_of(b"body")


@pytest.fixture(params=["disk", "memory"])
async def copies(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[SqliteCopies]:
    file = SqliteFile(tmp_path / "vault.sqlite" if request.param == "disk" else None, VAULT)
    yield SqliteCopies(file)
    await file.close()


def content(*, there: bool = True, checked_at: float = 0.0) -> Content:
    return Content(BODY, "c/ab/x", 4, b"header", there=there, checked_at=checked_at)


async def put(copies: SqliteCopies, entry: Entry, state: State = State.WANTED) -> str:
    record = f"r/{entry.key.path}{entry.stored.vary}"
    await copies.put(
        record, entry, Standing(state, sent_at=1.0 if state is State.THERE else 0), 1e9
    )
    return record


async def test_a_copy_reads_as_it_was_noted_with_its_groups_and_keys(copies: SqliteCopies) -> None:
    entry = some_entry(groups=("news",), keys=("item-1",))
    record = await put(copies, entry)
    assert copies.find(entry.key) == (entry,)
    assert copies.standing_of(entry) == (Standing(), entry)
    [due] = copies.due(10.0, count_max=9)
    assert (due.record, due.entry) == (record, entry)
    assert copies.due(-1.0, count_max=9) == []


@pytest.mark.parametrize("mode", [Mode.HARD, Mode.SOFT])
async def test_a_purge_moves_the_copies_it_names_in_the_same_transaction(
    copies: SqliteCopies, mode: Mode
) -> None:
    one, two = some_entry("/one"), some_entry("/two")
    await put(copies, one, State.THERE)
    await put(copies, two, State.THERE)
    assert await copies.purge(by_url(one.key), mode) == 1
    [due] = copies.due(10.0, count_max=9)
    if mode is Mode.HARD:
        assert (due.standing.state, due.entry) == (State.LEAVING, None)
        assert copies.find(one.key) == ()
    else:
        assert due.standing.state is State.WANTED
        assert due.entry is not None
        assert due.entry.stored.invalidated
    assert copies.find(two.key) == (two,)


async def test_a_state_that_changed_meanwhile_is_not_overwritten(copies: SqliteCopies) -> None:
    entry = some_entry()
    record = await put(copies, entry)
    await copies.purge(by_host("www.example.org"), Mode.HARD)
    await copies.move(record, Standing(State.THERE, revision=1))
    [due] = copies.due(10.0, count_max=9)
    assert due.standing.state is State.LEAVING
    await copies.forget(record)
    assert copies.due(10.0, count_max=9) == []


async def test_a_copy_is_safe_when_record_and_body_are_there(copies: SqliteCopies) -> None:
    entry = some_entry()
    assert not copies.is_safe(entry)
    record = await put(copies, entry)
    await copies.put_content(content(there=False))
    assert not copies.is_safe(entry)
    await copies.put_content(content())
    assert not copies.is_safe(entry)
    await copies.move(record, Standing(State.THERE, sent_at=5.0))
    assert copies.is_safe(entry)
    assert not copies.is_safe(replace(entry, digest=digest_of(b"another body")))
    await copies.clear()
    assert not copies.is_safe(entry)


async def test_a_body_is_an_orphan_when_its_last_copy_goes(copies: SqliteCopies) -> None:
    one, two = some_entry("/one"), some_entry("/two")
    await put(copies, one)
    await put(copies, two)
    await copies.put_content(content())
    assert copies.orphans(count_max=9) == []
    await copies.withdraw([one])
    assert copies.orphans(count_max=9) == []
    await copies.withdraw([two])
    assert copies.orphans(count_max=9) == [content()]
    await copies.forget_content(BODY)
    assert copies.content(BODY) is None


async def test_bodies_come_up_for_proof_the_longest_unproven_first(copies: SqliteCopies) -> None:
    other = replace(content(checked_at=50.0), digest=digest_of(b"other"))
    await copies.put_content(content(checked_at=100.0))
    await copies.put_content(other)
    assert [each.checked_at for each in copies.unproven(200.0, count_max=9)] == [50.0, 100.0]
    assert copies.unproven(50.0, count_max=9) == []
    assert {each.digest for each in copies.contents()} == {BODY, other.digest}


async def test_what_needs_a_damaged_body_is_sent_again(copies: SqliteCopies) -> None:
    await put(copies, some_entry("/one"), State.THERE)
    await put(copies, some_entry("/other", body="another"), State.THERE)
    await copies.send_again(BODY, 3.0)
    [due] = copies.due(10.0, count_max=9)
    assert due.entry is not None
    assert due.entry.key.path == "/one"


async def test_the_record_outlives_the_process(tmp_path: Path) -> None:
    path, entry = tmp_path / "vault.sqlite", some_entry()
    file = SqliteFile(path, VAULT)
    record = await put(SqliteCopies(file), entry)
    await file.close()
    file = SqliteFile(path, VAULT)
    [due] = SqliteCopies(file).due(10.0, count_max=9)
    assert (due.record, due.entry) == (record, entry)
    await file.close()


async def test_the_edge_s_own_index_is_not_taken_for_it(tmp_path: Path) -> None:
    file = EdgeFile(tmp_path / "edge.sqlite")
    await file.close()
    with pytest.raises(EdgeUnusable):
        SqliteFile(tmp_path / "edge.sqlite", VAULT)


async def test_the_counts_are_those_of_the_rows_whatever_happens(copies: SqliteCopies) -> None:
    one, two = some_entry("/one"), some_entry("/two")
    record = await put(copies, one)
    await put(copies, two, State.THERE)
    await put(copies, two, State.THERE)
    for there in (False, True, True):
        await copies.put_content(content(there=there))
    now = copies.statistics()
    assert (now.waiting_count, now.there_count, now.leaving_count) == (1, 1, 0)
    assert (now.content_count, now.plain_bytes) == (1, 4)
    await copies.clear()
    now = copies.statistics()
    assert (now.waiting_count, now.there_count, now.leaving_count) == (0, 0, 2)
    await copies.forget(record)
    await copies.forget_content(BODY)
    now = copies.statistics()
    assert (now.leaving_count, now.content_count, now.plain_bytes) == (1, 0, 0)
