"""What left the store, in the record of events: kept over a restart, bounded, and upgraded to."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

from skerry.adapters.sqlite_departures import SqliteDepartures
from skerry.adapters.sqlite_telemetry import SqliteTelemetry
from skerry.store.departures import IMAGE, OBJECT, REMEMBERED_MAX, Departure
from skerry.store.housekeeping import EvictedFor
from skerry.telemetry.events import Event

GONE = Departure(10.0, IMAGE, "docker.io/library/nginx:1", EvictedFor.OPERATOR, "asked", 4.0, 99)


def opened(path: Path) -> SqliteTelemetry:
    return SqliteTelemetry(path, keep_seconds=1e9, bytes_max=1 << 30)


async def test_departures_outlive_the_node_and_a_flood_pushes_out_only_its_own_kind(
    tmp_path: Path,
) -> None:
    book = opened(tmp_path / "telemetry.sqlite")
    kept = SqliteDepartures(book.file)
    kept.keep([GONE])
    for _ in range(3):
        kept.keep([replace(GONE, kind=OBJECT, name=f"https://a/{n}") for n in range(1500)])
    await book.close()
    again = opened(tmp_path / "telemetry.sqlite")
    rows = SqliteDepartures(again.file).kept()
    await again.close()
    assert rows[0] == GONE
    assert sum(each.kind == OBJECT for each in rows) == REMEMBERED_MAX
    assert rows[-1].name == "https://a/1499"


async def test_a_file_of_the_version_before_keeps_its_events(tmp_path: Path) -> None:
    path = tmp_path / "telemetry.sqlite"
    book = opened(path)
    book.keep(Event(1.0, "tag.moved", "x"))
    await book.close()
    with sqlite3.connect(path) as db:
        db.executescript("DROP TABLE departure; PRAGMA user_version = 1")
    db.close()
    again = opened(path)
    SqliteDepartures(again.file).keep([GONE])
    assert again.history(since=0.0, until=1e9, kind="", count_max=9)[0].subject == "x"
    await again.close()
    last = opened(path)
    assert SqliteDepartures(last.file).kept() == [GONE]
    await last.close()
