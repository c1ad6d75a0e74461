"""Events that happen while the disk is full are written when it is not, in order and with their
times; of too many one says how many were not kept."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from skerry.adapters import sqlite_telemetry
from skerry.adapters.sqlite_telemetry import NOT_KEPT, SqliteTelemetry
from skerry.telemetry.events import Event, Level
from skerry.telemetry.ports import Beat

AT = 1_700_000_000.0
LONG = "because " * 240
"""Two of these fill a page: none fits in by chance."""


def event(number: int) -> Event:
    return Event(AT + number, "tag.moved", f"image {number}", LONG, "do it", Level.WARNING)


def told_by(book: SqliteTelemetry) -> list[Event]:
    return book.history(since=0.0, until=1e12, kind="", count_max=1000)


class Disk:
    """SQLite's own refusal (SQLITE_FULL), as of a disk without room."""

    def __init__(self, book: SqliteTelemetry) -> None:
        self._db = book.file._writer

    def fills(self) -> None:
        [(pages,)] = self._db.execute("PRAGMA page_count").fetchall()
        self._db.execute(f"PRAGMA max_page_count = {pages}").fetchall()

    def has_room(self) -> None:
        self._db.execute("PRAGMA max_page_count = 1000000").fetchall()


@pytest.fixture
async def book(tmp_path: Path) -> AsyncIterator[SqliteTelemetry]:
    opened = SqliteTelemetry(tmp_path / "t.sqlite", keep_seconds=1e6, bytes_max=1 << 30)
    yield opened
    await opened.close()


async def beats(book: SqliteTelemetry) -> None:
    """The sign of life, twice: behind what was queued, and behind what waited."""
    for _ in range(2):
        await book.beat(Beat(AT, ended=False))
    await book.file.write(lambda db: db.execute("SELECT 1"))  # behind the last attempt, too


async def test_what_happened_on_a_full_disk_is_kept_in_order_and_with_its_time(
    book: SqliteTelemetry,
) -> None:
    disk = Disk(book)
    book.keep(event(0))
    await beats(book)
    disk.fills()
    for number in range(1, 30):
        book.keep(event(number))
        if number % 7 == 0:
            await beats(book)
    assert book.statistics().waiting_count > 20
    assert book.statistics().refused_count == 0
    disk.has_room()
    book.keep(event(30))
    await beats(book)
    assert told_by(book) == [event(number) for number in range(31)]
    numbers = book.file.read("SELECT subject FROM event ORDER BY id")
    assert [row[0] for row in numbers] == [f"image {number}" for number in range(31)]
    assert book.statistics().waiting_count == 0
    book.keep(event(31))
    await beats(book)
    assert told_by(book)[-1] == event(31), "and goes on as before"


async def test_of_too_many_the_first_are_kept_and_one_says_how_many_were_not(
    book: SqliteTelemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_telemetry, "WAITING_MAX", 10)
    disk = Disk(book)
    await beats(book)
    disk.fills()
    for number in range(40):
        book.keep(event(number))
    await beats(book)
    written = book.statistics().event_count
    lost = 40 - written - 10
    assert book.statistics().refused_count == lost > 0
    disk.has_room()
    await beats(book)
    book.keep(event(99))
    await beats(book)
    told = told_by(book)
    (said,) = [each for each in told if each.kind == NOT_KEPT]
    assert said.cause.startswith(f"{lost} events were not kept")
    assert said.at == AT + 39
    kept = [each for each in told if each.kind != NOT_KEPT]
    assert kept == [*(event(number) for number in range(40 - lost)), event(99)]
    assert told[-2:] == [said, event(99)], "it stands where they would"


async def test_what_waits_is_written_at_the_end_of_a_life_if_there_is_room(
    tmp_path: Path,
) -> None:
    path = tmp_path / "t.sqlite"
    book = SqliteTelemetry(path, keep_seconds=1e6, bytes_max=1 << 30)
    disk = Disk(book)
    disk.fills()
    for number in range(9):
        book.keep(event(number))
    await beats(book)
    assert book.statistics().waiting_count
    disk.has_room()
    await book.close()
    again = SqliteTelemetry(path, keep_seconds=1e6, bytes_max=1 << 30)
    assert told_by(again) == [event(number) for number in range(9)]
    await again.close()
