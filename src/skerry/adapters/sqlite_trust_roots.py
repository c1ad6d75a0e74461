"""The trusted root, its grace, broken glasses and the audit, in the file of verdicts.

Owns those tables of `trust.sqlite` (docs/internals/trust.md). Never judges, never changes or cuts
an entry of the audit: the schema itself refuses that.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from skerry.adapters.sqlite_file import SqliteFile
from skerry.base.digest import Digest
from skerry.trust.core.audit import BEGINNING, Entry, chained
from skerry.trust.ports import VerdictsUnusable
from skerry.trust.root_ports import Window

AUDIT_MAX = 100_000
"""Entries; each is the deed of a person, so it fills up with the file's end of life."""

SCHEMA = """
CREATE TABLE roots (version INTEGER PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE grace (one INTEGER PRIMARY KEY CHECK (one = 1), body BLOB NOT NULL);
CREATE TABLE glasses (
    version TEXT NOT NULL, digest TEXT NOT NULL, begins_at REAL NOT NULL, ends_at REAL NOT NULL,
    PRIMARY KEY (version, digest)
) WITHOUT ROWID;
CREATE TABLE audit (number INTEGER PRIMARY KEY, text TEXT NOT NULL, hash TEXT NOT NULL);
CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit is only added to'); END;
CREATE TRIGGER audit_is_not_cut BEFORE DELETE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit is only added to'); END
"""


class SqliteTrustRoots:
    """`trust.ports.RootBook` over the file of the verdicts."""

    def __init__(self, file: SqliteFile) -> None:
        self._file = file
        self._glasses: dict[tuple[str, str], Window] = {
            (version, digest): Window(begins_at, ends_at)
            for version, digest, begins_at, ends_at in file.read("SELECT * FROM glasses")
        }

    def root(self) -> bytes | None:
        rows = self._file.read("SELECT body FROM roots ORDER BY version DESC LIMIT 1")
        return rows[0][0] if rows else None

    def grace(self) -> bytes | None:
        rows = self._file.read("SELECT body FROM grace")
        return rows[0][0] if rows else None

    async def keep_roots(self, roots: Sequence[tuple[int, bytes]], texts: Sequence[str]) -> None:
        def keep(db: sqlite3.Connection) -> None:
            db.executemany("INSERT INTO roots VALUES (?,?)", roots)
            for text in texts:
                _add(db, text)

        await self._file.write(keep, synced=True)

    async def keep_grace(self, body: bytes, text: str) -> None:
        def keep(db: sqlite3.Connection) -> None:
            db.execute("INSERT OR REPLACE INTO grace VALUES (1,?)", (body,))
            _add(db, text)

        await self._file.write(keep, synced=True)

    def glass(self, version: str, digest: Digest) -> Window | None:
        return self._glasses.get((version, str(digest)))

    async def break_glass(self, version: str, digest: Digest, window: Window, text: str) -> Entry:
        row = (version, str(digest), window.begins_at, window.ends_at)

        def keep(db: sqlite3.Connection) -> Entry:
            db.execute("INSERT OR REPLACE INTO glasses VALUES (?,?,?,?)", row)
            return _add(db, text)

        made = await self._file.write(keep, synced=True)
        self._glasses[version, str(digest)] = window
        return made

    def audit(self, after: int, count_max: int) -> tuple[Entry, ...]:
        sql = "SELECT number, text, hash FROM audit WHERE number > ? ORDER BY number LIMIT ?"
        return tuple(Entry(*row) for row in self._file.read(sql, (after, count_max)))


def _add(db: sqlite3.Connection, text: str) -> Entry:
    last = db.execute("SELECT number, hash FROM audit ORDER BY number DESC LIMIT 1").fetchone()
    number, before = last or (0, BEGINNING)
    if number >= AUDIT_MAX:
        raise VerdictsUnusable(
            f"the audit has {AUDIT_MAX} entries and takes no more",
            next_step="keep trust.sqlite somewhere, move it away and start again",
        )
    made = Entry(number + 1, text, chained(before, text))
    db.execute("INSERT INTO audit VALUES (?,?,?)", (made.number, made.text, made.hash))
    return made
