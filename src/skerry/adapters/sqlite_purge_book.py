"""The purge log's records and the receipts, in the edge's SQLite file.

Owns the rows. Never decides what a purge means.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence

from skerry.adapters.sqlite_file import SqliteFile
from skerry.cdn.core.purge import Kind, Mode, Target
from skerry.cdn.core.purge_log import Record
from skerry.cdn.core.receipt import Receipt, read

PAGE = 1000


class SqlitePurgeBook:
    """`cdn.ports.PurgeBook` over one SQLite file."""

    def __init__(self, file: SqliteFile) -> None:
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

    async def note(self, records: Sequence[Record]) -> None:
        rows = [
            (r.node, r.sequence, r.target.kind.value, r.target.scope, r.target.value, r.mode.value,
             r.at_seconds)
            for r in records
        ]  # fmt: skip
        sql = (
            "INSERT INTO purge (node, sequence, kind, scope, value, mode, at_seconds) "
            "VALUES (?,?,?,?,?,?,?)"
        )
        await self._file.write(lambda db: db.executemany(sql, rows), synced=True)

    async def fold(self, position: int, vector: Mapping[str, int]) -> None:
        def change(db: sqlite3.Connection) -> None:
            [(base,)] = db.execute("SELECT position FROM book").fetchall()
            # An adopted number is a position without a row: there may be fewer.
            db.execute(
                "DELETE FROM purge WHERE position IN "
                "(SELECT position FROM purge ORDER BY position LIMIT ?)",
                (position - base,),
            )
            row = (position, json.dumps(dict(vector)))
            db.execute("UPDATE book SET position = ?, vector = ?", row)

        await self._file.write(change, synced=True)

    def last_receipt(self) -> Receipt | None:
        rows = self._file.read("SELECT line FROM receipt ORDER BY sequence DESC LIMIT 1")
        return read(rows[0][0]) if rows else None

    async def keep(self, receipts: Sequence[Receipt]) -> None:
        rows = [(receipt.sequence, receipt.line) for receipt in receipts]
        if rows:
            sql = "INSERT INTO receipt VALUES (?,?)"
            await self._file.write(lambda db: db.executemany(sql, rows), synced=True)

    def receipts(self, after: int = 0) -> list[bytes]:
        sql = f"SELECT line FROM receipt WHERE sequence > ? ORDER BY sequence LIMIT {PAGE}"
        return [row[0] for row in self._file.read(sql, (after,))]
