"""Sizes and last uses of blobs, in SQLite: derived, so that a start needs no scan.

Owns `index.sqlite` (version 1). Presence is never read from here (known failures T16, T17). No
error of SQLite leaves this module: an index that cannot be read or written says nothing and is
built again from the files.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from skerry.adapters.disk_layout import Folder
from skerry.base.digest import Digest, InvalidDigest

VERSION = 1
_SCHEMA = f"""
BEGIN;
CREATE TABLE IF NOT EXISTS blobs (
    digest TEXT PRIMARY KEY, size_bytes INTEGER NOT NULL, last_used REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS folders (
    folder TEXT PRIMARY KEY, blob_count INTEGER NOT NULL, blob_bytes INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS marks (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
PRAGMA user_version = {VERSION};
COMMIT;
"""

T = TypeVar("T")
Totals = dict[Folder, tuple[int, int]]
"""Folder -> number of blobs, sum of their lengths in bytes."""


class DiskIndex:
    """One index file. Calls may come from any thread, and block."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self.error_count = 0

    def totals(self) -> Totals:
        """What was there at the last flush; {} when nothing is known."""

        def read(db: sqlite3.Connection) -> Totals:
            rows = db.execute("SELECT folder, blob_count, blob_bytes FROM folders")
            return {Folder(*name.split(":")): (count, size) for name, count, size in rows}

        return self._run(read, default={})

    def rows(self, folder: Folder) -> dict[Digest, tuple[int, float]]:
        """Digest -> (length in bytes, last use in seconds since the epoch) of one folder."""

        def read(db: sqlite3.Connection) -> dict[Digest, tuple[int, float]]:
            rows = db.execute(
                "SELECT digest, size_bytes, last_used FROM blobs WHERE digest >= ? AND digest < ?",
                (str(folder), f"{folder}g"),  # "g" sorts behind every hex digit
            )
            return {Digest.parse(name): (size, used) for name, size, used in rows}

        return self._run(read, default={})

    def write(
        self,
        sizes: Mapping[Digest, tuple[int, float] | None],
        uses: Mapping[Digest, float],
        totals: Totals,
    ) -> bool:
        """Keeps new blobs (None: gone), later uses and the folders' totals, in one transaction."""

        def write(db: sqlite3.Connection) -> bool:
            db.execute("BEGIN IMMEDIATE")
            db.executemany(
                "INSERT OR REPLACE INTO blobs VALUES (?, ?, ?)",
                [(str(digest), *row) for digest, row in sizes.items() if row is not None],
            )
            db.executemany(
                "DELETE FROM blobs WHERE digest = ?",
                [(str(digest),) for digest, row in sizes.items() if row is None],
            )
            db.executemany(
                "UPDATE blobs SET last_used = ? WHERE digest = ?",
                [(at, str(digest)) for digest, at in uses.items()],
            )
            db.executemany(
                "INSERT OR REPLACE INTO folders VALUES (?, ?, ?)",
                [(str(folder), *total) for folder, total in totals.items()],
            )
            db.execute("COMMIT")
            return True

        return self._run(write, default=False)

    def mark(self, name: str) -> str:
        """A kept value, "" when there is none."""

        def read(db: sqlite3.Connection) -> str:
            row = db.execute("SELECT value FROM marks WHERE name = ?", (name,)).fetchone()
            return str(row[0]) if row else ""

        return self._run(read, default="")

    def set_mark(self, name: str, value: str) -> None:
        """Keeps a value, if the disk lets it."""

        def write(db: sqlite3.Connection) -> None:
            db.execute("INSERT OR REPLACE INTO marks VALUES (?, ?)", (name, value))

        self._run(write, default=None)

    def close(self) -> None:
        with self._lock:
            self._disconnect()

    def _run(self, work: Callable[[sqlite3.Connection], T], *, default: T) -> T:
        with self._lock:
            try:
                if self._connection is None:
                    self._connection = self._opened()
                return work(self._connection)
            except (sqlite3.Error, OSError, InvalidDigest, TypeError, ValueError) as error:
                self.error_count += 1
                self._disconnect()
                # A busy or read-only index may be fine later; a damaged one never is.
                damaged = not isinstance(error, (sqlite3.OperationalError, OSError))
                if damaged:
                    self._forget()
                return default

    def _opened(self) -> sqlite3.Connection:
        try:
            return self._connect()
        except sqlite3.OperationalError:
            # WAL needs to write even to read; a read-only disk changes nothing, so this is safe.
            uri = f"{self._path.absolute().as_uri()}?immutable=1"
            return sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)

    def _connect(self) -> sqlite3.Connection:
        db = sqlite3.connect(self._path, timeout=1.0, isolation_level=None, check_same_thread=False)
        try:
            version = db.execute("PRAGMA user_version").fetchone()[0]
            if version not in (0, VERSION):
                db.close()
                self._forget()
                return self._connect()
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = NORMAL")
            if version == 0:
                db.executescript(_SCHEMA)
        except BaseException:
            db.close()
            raise
        return db

    def _disconnect(self) -> None:
        if self._connection is not None:
            try:
                self._connection.close()
            except sqlite3.Error:
                pass
            self._connection = None

    def _forget(self) -> None:
        for suffix in ("", "-wal", "-shm"):
            try:
                Path(f"{self._path}{suffix}").unlink(missing_ok=True)
            except OSError:
                pass
