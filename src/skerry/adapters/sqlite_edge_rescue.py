"""An edge's file that cannot be used as it is: kept aside, and what must not be lost saved from it.

Owns the order of a start: open it; if it is damaged move it aside and begin a new one with the
purges that siblings may not have heard of; if the disk takes no writes read what is there. Stored
answers are derived and not saved. Never raises for a bad disk: a node that cannot cache serves on.
docs/internals/edge.md.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from skerry.adapters.sqlite_edge_file import EdgeDamaged, EdgeFile
from skerry.adapters.sqlite_file import Row, damage_note
from skerry.adapters.sqlite_salvage import is_blank
from skerry.cdn.ports import EdgeUnusable

KEPT_MAX = 9
_SUFFIXES = ("", "-wal", "-shm")
_PURGES = "SELECT node, sequence, kind, scope, value, mode, at_seconds FROM purge"


@dataclass(frozen=True, slots=True)
class Rescue:
    """What was wrong with the file, and what became of it, for an event.

    Attributes:
        kept_as: where the damaged file is now; None when the disk alone is to blame.
        receipts: the file with the receipts that could be read, one a line; None without any.
        purges_lost: purges that a sibling has not heard of may be gone.
    """

    cause: str
    kept_as: Path | None = None
    receipts: Path | None = None
    purges_lost: bool = False

    @property
    def next_step(self) -> str:
        """What the operator does about it."""
        if self.kept_as is None:
            return "free space or make the data directory writable, and restart the node"
        saved = f", its receipts as {self.receipts}" if self.receipts else ""
        again = "; purge again what a sibling had not confirmed" if self.purges_lost else ""
        return f"check the disk; the damaged file is kept as {self.kept_as}{saved}{again}"


@dataclass(frozen=True, slots=True)
class _Saved:
    """What could be read. `whole`: every record since the base is here."""

    base: tuple[int, dict[str, int]] | None
    purges: list[Row]
    receipts: list[bytes]
    whole: bool


def open_edge_file(path: Path) -> tuple[EdgeFile, Rescue | None]:
    """The file of an edge, usable whatever has happened to it, and what that was.

    Raises EdgeUnusable when it is another program's or a newer Skerry's.
    """
    try:
        return _checked(path), None
    except EdgeDamaged as error:
        cause = error.what  # its next step, to move the file away, is taken here
    except EdgeUnusable as error:
        code = getattr(error.__cause__, "sqlite_errorcode", sqlite3.SQLITE_BUSY) & 0xFF
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise  # not ours, or somebody else uses it just now
        return _frozen(path, str(error))
    try:
        return _begun_anew(path, cause)
    except (OSError, EdgeUnusable) as error:
        return EdgeFile(None, frozen=True), Rescue(f"{cause}, and cannot be moved away ({error})")


def _checked(path: Path) -> EdgeFile:
    """The file, with all that must not be lost read once. Raises EdgeUnusable."""
    if damage_note(path).exists():
        raise EdgeDamaged(f"the edge's index {path} has proved to be damaged")
    if path.is_dir():
        raise EdgeDamaged(f"a folder lies where the edge's index {path} is kept")
    if is_blank(path):  # SQLite would call it new, and siblings would hear of no purge
        raise EdgeDamaged(f"the edge's index {path} is empty")
    file = EdgeFile(path)
    file.read("SELECT count(*), sum(sequence), max(at_seconds) FROM purge NOT INDEXED")
    file.read("SELECT line FROM receipt ORDER BY sequence DESC LIMIT 1")
    file.read("SELECT 1 FROM entry LIMIT 1")
    return file


def _frozen(path: Path, cause: str) -> tuple[EdgeFile, Rescue]:
    try:
        return EdgeFile(path, frozen=True), Rescue(cause)
    except EdgeUnusable:
        return EdgeFile(None, frozen=True), Rescue(cause)


def _begun_anew(path: Path, cause: str) -> tuple[EdgeFile, Rescue]:
    kept = _moved(path)
    saved = _saved(kept)
    file = EdgeFile(path)
    _write(path, saved)
    receipts: Path | None = None
    if saved.receipts:
        receipts = kept.with_name(f"{kept.name}.receipts")
        receipts.write_bytes(b"".join(line + b"\n" for line in saved.receipts))
    return file, Rescue(cause, kept, receipts, purges_lost=saved.base is None)


def _moved(path: Path) -> Path:
    """The damaged file under another name, its log with it. Raises OSError."""
    names = [path.with_name(f"{path.name}.damaged-{number}") for number in range(1, KEPT_MAX + 1)]
    kept = next((name for name in names if not name.exists()), names[-1])
    for suffix in _SUFFIXES:
        with suppress(FileNotFoundError):
            path.with_name(path.name + suffix).replace(kept.with_name(kept.name + suffix))
    damage_note(path).unlink(missing_ok=True)
    return kept


def _saved(kept: Path) -> _Saved:
    try:
        db = sqlite3.connect(kept, isolation_level=None)
    except sqlite3.Error:
        return _Saved(None, [], [], whole=False)
    try:
        books, sound = _rows(db, "SELECT position, vector FROM book", "rowid")
        purges, whole = _rows(db, _PURGES, "position")
        receipts, _ = _rows(db, "SELECT line FROM receipt", "sequence")
    finally:
        db.close()
    base: tuple[int, dict[str, int]] | None = None
    if books and sound:
        with suppress(ValueError, TypeError):
            base = int(books[0][0]), dict(json.loads(books[0][1]))
    return _Saved(base, purges, [bytes(row[0]) for row in receipts], whole)


def _rows(db: sqlite3.Connection, sql: str, order: str) -> tuple[list[Row], bool]:
    """Every row that can be read, from the front and then from the back; whether that is all."""
    front, whole = _until_damage(db.execute, f"{sql} ORDER BY {order}")
    if whole:
        return front, True
    back, _ = _until_damage(db.execute, f"{sql} ORDER BY {order} DESC")
    return [*front, *reversed(back)], False


def _until_damage(execute: object, sql: str) -> tuple[list[Row], bool]:
    found: list[Row] = []
    try:
        rows: Iterator[Row] = execute(sql)  # type: ignore[operator]
        found.extend(rows)
    except sqlite3.Error:
        return found, False
    return found, True


def _write(path: Path, saved: _Saved) -> None:
    """The purges of the old log into the new one, which has a name of its own.

    With a hole in them their numbers alone are kept: a sibling that is behind counts all it holds
    as purged, which is what it would have to do if it had missed them.
    """
    position, vector = saved.base or (0, {})
    rows = saved.purges if saved.whole and saved.base is not None else []
    if not rows:
        for node, sequence, *_ in saved.purges:
            vector[node] = max(vector.get(node, 0), sequence)
    with sqlite3.connect(path, isolation_level=None) as db:
        db.execute("BEGIN IMMEDIATE")
        db.execute("UPDATE book SET position = ?, vector = ?", (position, json.dumps(vector)))
        db.executemany(
            "INSERT INTO purge (node, sequence, kind, scope, value, mode, at_seconds) "
            "VALUES (?,?,?,?,?,?,?)",
            rows,
        )
        db.execute("COMMIT")
    db.close()
