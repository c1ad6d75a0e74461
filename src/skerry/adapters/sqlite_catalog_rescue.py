"""A damaged catalog: a new one of its last sound copy and of what can still be read.

Owns what is believed of which: a table that can be read whole is taken as it is (the copy's would
bring back what was removed since); one with holes is laid over the copy's. Links are made again
from the manifests. Never deletes what is damaged; docs/internals/catalog.md.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from skerry.adapters.disk_layout import sync_folder
from skerry.adapters.sqlite_catalog_copy import COPY, MARK, beside
from skerry.adapters.sqlite_file import Row
from skerry.adapters.sqlite_salvage import SUFFIXES, Table, readable_rows, set_aside, tables_of
from skerry.base.digest import Digest, InvalidDigest

_DERIVED = "link"


@dataclass(frozen=True, slots=True)
class CatalogRescue:
    """What became of a damaged catalog.

    Attributes:
        copy_at: when the copy was taken that was used, in seconds since the epoch; None for none.
        row_count: what the new catalog has.
        holes: tables of which something could not be read.
    """

    kept_as: Path | None
    copy_at: float | None
    row_count: int
    holes: tuple[str, ...]


def rescue(path: Path, begin: Callable[[Path], None]) -> CatalogRescue | None:
    """Puts a new catalog in the damaged one's place; `begin` makes the schema in an empty file.

    None when the disk takes no writes: then nothing has changed.
    """
    fresh = beside(path, ".new")
    try:
        if not path.exists() and beside(path, MARK).exists() and fresh.exists():
            # A start before this one died when the new one was whole, and not yet in its place.
            os.replace(fresh, path)
            beside(path, MARK).unlink()
            return CatalogRescue(None, None, 0, ())
        beside(path, MARK).touch()
        for suffix in ("", *SUFFIXES):
            beside(fresh, suffix).unlink(missing_ok=True)
        copy_at = _from_copy(path, fresh)
        begin(fresh)
        count, holes = _laid_over(fresh, path)
        kept = set_aside(path)
        os.replace(fresh, path)
        sync_folder(str(path.parent))
        beside(path, MARK).unlink(missing_ok=True)
    except (OSError, sqlite3.OperationalError):
        return None
    return CatalogRescue(kept, copy_at, count, holes)


def _from_copy(path: Path, fresh: Path) -> float | None:
    copy = beside(path, COPY)
    try:
        with closing(sqlite3.connect(f"{copy.absolute().as_uri()}?mode=ro", uri=True)) as db:
            if db.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
                return None
    except sqlite3.Error:
        return None
    shutil.copyfile(copy, fresh)
    return copy.stat().st_mtime


def _laid_over(fresh: Path, damaged: Path) -> tuple[int, tuple[str, ...]]:
    holes, count = list[str](), 0
    with closing(sqlite3.connect(fresh, isolation_level=None)) as db:
        db.execute("PRAGMA synchronous = FULL")
        db.execute("BEGIN IMMEDIATE")
        for table in tables_of(db):
            if table.name == _DERIVED:
                continue
            rows, whole = readable_rows(damaged, table)
            believed = [row for row in rows if _is_sound(table, row)]
            whole = whole and len(believed) == len(rows)
            if whole:
                db.execute(f"DELETE FROM {table.name}")
            else:
                holes.append(table.name)
            _lay(db, table, believed)
            count += db.execute(f"SELECT count(*) FROM {table.name}").fetchone()[0]
        db.execute(f"DELETE FROM {_DERIVED}")
        for number, links in db.execute("SELECT id, links FROM manifest").fetchall():
            pairs = [(link[0], number) for link in json.loads(links)]
            db.executemany(f"INSERT OR IGNORE INTO {_DERIVED} VALUES (?,?)", pairs)
        db.execute("COMMIT")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return count, tuple(holes)


def _lay(db: sqlite3.Connection, table: Table, rows: list[Row]) -> None:
    """Rows into the new table; the number of a manifest is its place in one file alone."""
    numbered = table.columns[0] == "id"
    columns = table.columns[1:] if numbered else table.columns
    # What a digest says never changes: of manifests the first reading stays.
    verb = "IGNORE" if numbered else "REPLACE"
    marks = ",".join("?" * len(columns))
    db.executemany(
        f"INSERT OR {verb} INTO {table.name} ({', '.join(columns)}) VALUES ({marks})",
        [row[1:] if numbered else row for row in rows],
    )


def _is_sound(table: Table, row: Row) -> bool:
    """Whether the digests and documents of a row are some: SQLite takes any text for one."""
    named = dict(zip(table.columns, row, strict=True))
    try:
        for name in ("digest", "pending", "subject"):
            if named.get(name) and not (name == "subject" and table.name == "listing"):
                Digest.parse(named[name])
        for link in json.loads(named.get("links") or "[]"):
            Digest.parse(link[0])
        json.loads(named.get("annotations") or "{}")
        return True
    except (InvalidDigest, ValueError, TypeError, LookupError):
        return False
