"""Events, incidents and signs of life in SQLite.

Owns `telemetry.sqlite` (docs/internals/telemetry.md). Never decides what is worth keeping; what is
too old or too much goes, the oldest first.
"""

from __future__ import annotations

import asyncio
import sqlite3
from bisect import insort
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from operator import itemgetter
from pathlib import Path

from skerry.adapters.sqlite_file import Form, Row, SqliteFile
from skerry.base.errors import SkerryError
from skerry.telemetry.core.incidents import Incident, Lost, Origin
from skerry.telemetry.events import Event, Level
from skerry.telemetry.ports import Beat, BookStatistics, TelemetryUnusable

TRIM_EVERY_COUNT = 200
"""Events between two looks at what is too much."""
TRIM_SHARE = 0.1
"""Of the events, the oldest, go when the file is too large."""
INCIDENTS_MAX = 10_000
WAITING_MAX = 2000
"""Events in memory while the disk takes no writes; what happens beyond is counted."""
NOT_KEPT = "events.not_kept"

_SCHEMA = """
CREATE TABLE event (
    id INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, kind TEXT NOT NULL,
    subject TEXT NOT NULL, cause TEXT NOT NULL, next_step TEXT NOT NULL, level TEXT NOT NULL
);
CREATE INDEX event_at ON event (at);
CREATE TABLE incident (
    id INTEGER PRIMARY KEY AUTOINCREMENT, lost TEXT NOT NULL, what TEXT NOT NULL,
    origin TEXT NOT NULL, began_at REAL NOT NULL, noticed_at REAL NOT NULL, good_at REAL,
    back_at REAL, interrupted_seconds REAL NOT NULL, cause TEXT NOT NULL
);
CREATE INDEX incident_began ON incident (began_at);
CREATE TABLE life (only INTEGER PRIMARY KEY CHECK (only = 1), at REAL NOT NULL, ended INTEGER);
CREATE TABLE bundle (
    sequence INTEGER PRIMARY KEY, line BLOB NOT NULL, events_until INTEGER NOT NULL,
    filed INTEGER NOT NULL DEFAULT 0, sent INTEGER NOT NULL DEFAULT 0
)
"""
_DEPARTURES = """
CREATE TABLE departure (
    id INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL,
    cause TEXT NOT NULL, why TEXT NOT NULL, last_used REAL NOT NULL, size_bytes INTEGER NOT NULL
);
CREATE INDEX departure_kind ON departure (kind, id)
"""
TELEMETRY = Form(
    0x534B5445,  # "SKTE"
    2,
    f"{_SCHEMA};{_DEPARTURES}",
    named="the record of events",
    unusable=TelemetryUnusable,
    without="what happened before is forgotten, everything else works",
    upgrades={1: _DEPARTURES},
)
_EVENT = "at, kind, subject, cause, next_step, level"
_INCIDENT = (
    "id, lost, what, origin, began_at, noticed_at, good_at, back_at, interrupted_seconds, cause"
)


class SqliteTelemetry:
    """`EventBook`, `IncidentBook` and `LifeBook` over one file; without a path in memory."""

    def __init__(self, path: Path | None, *, keep_seconds: float, bytes_max: int) -> None:
        """Events older than `keep_seconds` go, and the oldest of more than `bytes_max`."""
        self.file = SqliteFile(path, TELEMETRY)
        self._keep_seconds = keep_seconds
        self._bytes_max = bytes_max
        self._since_trim = 0
        self._number = 0
        self._waiting: list[tuple[int, Event]] = []
        self._not_kept = self._refused = 0
        self._unkept_at = 0.0
        self._retrying = False
        rows = self.file.read("SELECT at, ended FROM life")
        self._before = Beat(rows[0][0], bool(rows[0][1])) if rows else None

    # events

    def keep(self, event: Event) -> None:
        self._number += 1
        numbered = (self._number, event)
        if self._waiting:  # behind those that wait
            self._wait(numbered)
            return
        self._since_trim += 1
        trim = self._since_trim >= TRIM_EVERY_COUNT
        if trim:
            self._since_trim = 0

        def change(db: sqlite3.Connection) -> None:
            _insert(db, [event])
            if trim:
                self._trim(db, event.at)

        def told(written: asyncio.Future[None]) -> None:
            if _failed(written):
                self._wait(numbered)

        try:
            self.file.later(change).add_done_callback(told)
        except SkerryError:  # a full disk must not stop what the event tells of
            self._wait(numbered)

    def _wait(self, numbered: tuple[int, Event]) -> None:
        """Holds one in its order until the disk takes it; of too many the newest are counted."""
        insort(self._waiting, numbered, key=itemgetter(0))
        if len(self._waiting) > WAITING_MAX:
            _, newest = self._waiting.pop()
            self._not_kept += 1
            self._refused += 1
            self._unkept_at = max(self._unkept_at, newest.at)

    def _retry(self) -> None:
        """Writes what waits, with the times at which it happened; once at a time."""
        if not self._waiting or self._retrying:
            return
        going, unkept = list(self._waiting), self._not_kept
        events = [event for _, event in going]
        if unkept:
            events.append(_unkept(unkept, self._unkept_at))

        def told(written: asyncio.Future[None]) -> None:
            self._retrying = False
            if not _failed(written):
                done = {number for number, _ in going}
                self._waiting = [each for each in self._waiting if each[0] not in done]
                self._not_kept -= unkept
                self._retry()

        with suppress(SkerryError):
            written = self.file.later(lambda db: _insert(db, events))
            self._retrying = True
            written.add_done_callback(told)

    def _trim(self, db: sqlite3.Connection, now: float) -> None:
        db.execute("DELETE FROM event WHERE at < ?", (now - self._keep_seconds,))
        if _used_bytes(db) > self._bytes_max:
            [(count,)] = db.execute("SELECT count(*) FROM event").fetchall()
            going = max(1, int(count * TRIM_SHARE))
            db.execute(
                "DELETE FROM event WHERE id IN (SELECT id FROM event ORDER BY id LIMIT ?)", (going,)
            )
        db.execute(
            "DELETE FROM incident WHERE id <= (SELECT max(id) FROM incident) - ?", (INCIDENTS_MAX,)
        )

    def history(self, *, since: float, until: float, kind: str, count_max: int) -> list[Event]:
        where, values = "at >= ? AND at < ?", [since, until]
        parameters: tuple[object, ...] = (*values,)
        if kind:
            where += " AND (kind = ? OR substr(kind, 1, ?) = ?)"
            parameters = (*values, kind, len(kind) + 1, f"{kind}.")
        rows = self.file.read(
            # As the index has it: by id alone, all rows of the span would be sorted for a few.
            f"SELECT {_EVENT} FROM event WHERE {where} ORDER BY at DESC, id DESC LIMIT ?",
            (*parameters, count_max),
        )
        return [
            Event(row[0], row[1], row[2], row[3], row[4], Level(row[5])) for row in reversed(rows)
        ]

    # incidents

    async def put(self, incident: Incident) -> Incident:
        row = (
            incident.number or None, incident.lost.value, incident.what, incident.origin.value,
            incident.began_at, incident.noticed_at, incident.good_at, incident.back_at,
            incident.interrupted_seconds, incident.cause,
        )  # fmt: skip

        def change(db: sqlite3.Connection) -> int:
            marks = ",".join("?" * len(row))
            cursor = db.execute(
                f"INSERT OR REPLACE INTO incident ({_INCIDENT}) VALUES ({marks})",
                row,
            )
            return cursor.lastrowid or 0

        return replace(incident, number=await self.file.write(change))

    def incidents(self, *, since: float = 0.0, count_max: int = 1000) -> Sequence[Incident]:
        rows = self.file.read(
            f"SELECT {_INCIDENT} FROM incident WHERE began_at >= ? OR back_at IS NULL "
            "ORDER BY began_at DESC, id DESC LIMIT ?",
            (since, count_max),
        )
        return [
            Incident(
                lost=Lost(row[1]), what=row[2], origin=Origin(row[3]), began_at=row[4],
                noticed_at=row[5], good_at=row[6], back_at=row[7], interrupted_seconds=row[8],
                cause=row[9], number=row[0],
            )
            for row in reversed(rows)
        ]  # fmt: skip

    # life

    def last_beat(self) -> Beat | None:
        return self._before

    async def beat(self, beat: Beat) -> None:
        row = (beat.at, int(beat.ended))
        await self.file.write(
            lambda db: db.execute("INSERT OR REPLACE INTO life VALUES (1, ?, ?)", row)
        )
        self._retry()  # the disk has just taken something

    def statistics(self) -> BookStatistics:
        """A snapshot. Raises TelemetryUnusable."""
        [(events, incidents, pages, free, size)] = self.file.read(
            "SELECT (SELECT count(*) FROM event), (SELECT count(*) FROM incident), "
            "(SELECT page_count FROM pragma_page_count), "
            "(SELECT freelist_count FROM pragma_freelist_count), "
            "(SELECT page_size FROM pragma_page_size)"
        )
        used = (pages - free) * size
        return BookStatistics(events, incidents, used, self._refused, len(self._waiting))

    async def close(self) -> None:
        """Writes what is queued, and what waits if it can, and closes the file."""
        self._retry()
        with suppress(SkerryError):
            await self.file.close()


def _insert(db: sqlite3.Connection, events: Sequence[Event]) -> None:
    rows = [
        (each.at, each.kind, each.subject, each.cause, each.next_step, each.level.value)
        for each in events
    ]
    db.executemany(f"INSERT INTO event ({_EVENT}) VALUES (?,?,?,?,?,?)", rows)


def _failed(written: asyncio.Future[None]) -> bool:
    return written.cancelled() or written.exception() is not None


def _unkept(count: int, at: float) -> Event:
    many = "1 event was" if count == 1 else f"{count} events were"
    return Event(
        at, NOT_KEPT, "events", f"{many} not kept after those before this one: the disk took no"
        " writes, and memory held as many as it may",
        "see what filled the disk; the log has them, if it is elsewhere", Level.WARNING,
    )  # fmt: skip


def event_of(row: Row) -> Event:
    """The event of a row that begins with its columns."""
    return Event(row[0], row[1], row[2], row[3], row[4], Level(row[5]))


def _used_bytes(db: sqlite3.Connection) -> int:
    pages, free, size = (
        db.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("page_count", "freelist_count", "page_size")
    )
    used: int = (pages - free) * size
    return used
