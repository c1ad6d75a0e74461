"""What left the store, in the record of events.

Owns the table `departure` of `telemetry.sqlite`. Never decides what may be written down.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence

from skerry.adapters.sqlite_file import SqliteFile
from skerry.base.errors import SkerryError
from skerry.store.departures import REMEMBERED_MAX, Departure
from skerry.store.housekeeping import EvictedFor

_COLUMNS = "at, kind, name, cause, why, last_used, size_bytes"


class SqliteDepartures:
    """`store.departures.DepartureBook` in a file of the form `TELEMETRY`."""

    def __init__(self, file: SqliteFile) -> None:
        self._file = file

    def keep(self, departures: Sequence[Departure]) -> None:
        rows = [
            (each.at, each.kind, each.name, each.cause.value, each.why, each.last_used,
             each.size_bytes)
            for each in departures
        ]  # fmt: skip

        def change(db: sqlite3.Connection) -> None:
            db.executemany(f"INSERT INTO departure ({_COLUMNS}) VALUES (?,?,?,?,?,?,?)", rows)
            for kind in {row[1] for row in rows}:
                db.execute(
                    "DELETE FROM departure WHERE kind = ? AND id <= (SELECT id FROM departure"
                    " WHERE kind = ? ORDER BY id DESC LIMIT 1 OFFSET ?)",
                    (kind, kind, REMEMBERED_MAX),
                )

        try:
            # What is refused is refused to the events too, and told there.
            self._file.later(change).add_done_callback(_seen)
        except SkerryError:
            return

    def kept(self) -> list[Departure]:
        rows = self._file.read(f"SELECT {_COLUMNS} FROM departure ORDER BY id")
        return [
            Departure(row[0], row[1], row[2], EvictedFor(row[3]), row[4], row[5], row[6])
            for row in rows
        ]


def _seen(written: asyncio.Future[None]) -> None:
    if not written.cancelled():
        written.exception()  # a full disk must not stop what frees it
