"""The purge log's records and the receipts, in the edge's SQLite file.

Owns the rows. Never decides what a purge means.
"""

from __future__ import annotations

import json
import sqlite3

from skerry.adapters.sqlite_edge_file import EdgeFile
from skerry.cdn.core.purge import Kind, Mode, Target
from skerry.cdn.core.purge_log import Record
from skerry.cdn.core.receipt import Receipt, read

RECORDS_MAX = 50_000
"""Kept for siblings that were out of reach; older ones are folded into the base."""
PAGE = 1000


class SqlitePurgeBook:
    """`cdn.ports.PurgeBook` over one SQLite file."""

    def __init__(self, file: EdgeFile) -> None:
        self._file = file
        self.node: str = file.read("SELECT node FROM book")[0][0]

    def base(self) -> tuple[int, dict[str, int]]:
        position, vector = self._file.read("SELECT position, vector FROM book")[0]
        return position, json.loads(vector)

    def records(self) -> list[Record]:
        rows = self._file.read(
            "SELECT node, sequence, kind, scope, value, mode, at_seconds FROM purge "
            "ORDER BY position"
        )
        return [
            Record(row[0], row[1], Target(Kind(row[2]), row[3], row[4]), Mode(row[5]), row[6])
            for row in rows
        ]

    async def note(self, record: Record) -> None:
        target = record.target

        def change(db: sqlite3.Connection) -> None:
            db.execute(
                "INSERT INTO purge (node, sequence, kind, scope, value, mode, at_seconds) "
                "VALUES (?,?,?,?,?,?,?)",
                (record.node, record.sequence, target.kind.value, target.scope, target.value,
                 record.mode.value, record.at_seconds),
            )  # fmt: skip
            _fold(db)

        await self._file.write(change, synced=True)

    def last_receipt(self) -> Receipt | None:
        rows = self._file.read("SELECT line FROM receipt ORDER BY sequence DESC LIMIT 1")
        return read(rows[0][0]) if rows else None

    async def keep(self, receipt: Receipt) -> None:
        row = (receipt.sequence, receipt.line)
        await self._file.write(
            lambda db: db.execute("INSERT INTO receipt VALUES (?,?)", row), synced=True
        )

    def receipts(self, after: int = 0) -> list[bytes]:
        sql = f"SELECT line FROM receipt WHERE sequence > ? ORDER BY sequence LIMIT {PAGE}"
        return [row[0] for row in self._file.read(sql, (after,))]


def _fold(db: sqlite3.Connection) -> None:
    """Moves the base behind what is too old. Every stored entry already bears those purges."""
    count, first = db.execute("SELECT count(*), min(position) FROM purge").fetchone()
    if count <= RECORDS_MAX:
        return
    end = first + count // 2
    position, text = db.execute("SELECT position, vector FROM book").fetchone()
    vector = json.loads(text)
    gone = db.execute(
        "SELECT node, sequence FROM purge WHERE position < ? ORDER BY position", (end,)
    ).fetchall()
    vector.update(dict(gone))
    db.execute("DELETE FROM purge WHERE position < ?", (end,))
    base = position + len(gone)
    db.execute("UPDATE entry SET as_of = max(as_of, ?)", (base,))
    db.execute("UPDATE book SET position = ?, vector = ?", (base, json.dumps(vector)))
