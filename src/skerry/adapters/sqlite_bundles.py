"""Telemetry bundles in the record's file, and where each was put.

Owns the rows. Never reads a bundle. What is too many goes, the oldest first: those that were put
everywhere before those that were not.
"""

from __future__ import annotations

import sqlite3

from skerry.adapters.sqlite_file import SqliteFile
from skerry.adapters.sqlite_telemetry import event_of
from skerry.telemetry.events import Event
from skerry.telemetry.ports import Kept, Place

EVENTS_AT_ONCE_MAX = 10_000


class SqliteBundles:
    """`telemetry.ports.BundleBook` over the record's file."""

    def __init__(self, file: SqliteFile, *, count_max: int) -> None:
        self._file = file
        self._count_max = count_max

    def last(self) -> Kept | None:
        rows = self._file.read(
            "SELECT line, events_until, filed, sent FROM bundle ORDER BY sequence DESC LIMIT 1"
        )
        return Kept(bytes(rows[0][0]), *rows[0][1:]) if rows else None

    def events_after(self, number: int, *, count_max: int) -> tuple[list[Event], int]:
        rows = self._file.read(
            "SELECT at, kind, subject, cause, next_step, level, id FROM event WHERE id > ? "
            "ORDER BY id LIMIT ?",
            (number, min(count_max, EVENTS_AT_ONCE_MAX)),
        )
        found = [event_of(row) for row in rows]
        return found, rows[-1][6] if rows else number

    def newest_event(self) -> int:
        found: int | None = self._file.read("SELECT max(id) FROM event")[0][0]
        return found or 0

    async def add(self, sequence: int, line: bytes, events_until: int) -> None:
        def change(db: sqlite3.Connection) -> None:
            db.execute(
                "INSERT INTO bundle (sequence, line, events_until) VALUES (?, ?, ?)",
                (sequence, line, events_until),
            )
            db.execute("DELETE FROM bundle WHERE sequence <= ? - ?", (sequence, self._count_max))

        await self._file.write(change, synced=True)

    def lines(self, after: int, *, count_max: int) -> list[bytes]:
        rows = self._file.read(
            "SELECT line FROM bundle WHERE sequence > ? ORDER BY sequence LIMIT ?",
            (after, count_max),
        )
        return [bytes(row[0]) for row in rows]

    def waiting(self, place: Place, *, count_max: int) -> list[tuple[int, bytes]]:
        rows = self._file.read(
            f"SELECT sequence, line FROM bundle WHERE {place.value} = 0 ORDER BY sequence LIMIT ?",
            (count_max,),
        )
        return [(row[0], bytes(row[1])) for row in rows]

    async def put(self, place: Place, sequence: int) -> None:
        sql = f"UPDATE bundle SET {place.value} = 1 WHERE sequence = ?"
        await self._file.write(lambda db: db.execute(sql, (sequence,)))

    def count(self, place: Place | None = None) -> int:
        where = "" if place is None else f" WHERE {place.value} = 0"
        found: int = self._file.read(f"SELECT count(*) FROM bundle{where}")[0][0]
        return found
