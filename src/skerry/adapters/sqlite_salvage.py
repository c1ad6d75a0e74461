"""A SQLite file that proved to be damaged: what can be read of it, in a new one; itself kept aside.

Owns the order: a note beside it first, the new file whole and on the disk, then the damaged one
under another name (never deleted, never overwritten), then the new one in its place. Whoever dies
in between finds the note and goes on. Never knows what a row means (docs/internals/damage.md).
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from skerry.adapters.disk_layout import sync_folder
from skerry.adapters.sqlite_file import Form, Row, SqliteFile, damage_note, is_damage

KEPT_MAX = 1000
CHECKED_BYTES_MAX = 64 << 20
"""A file that is not longer is looked through at every start: some tenths of a second."""
ROWS_MAX = 5_000_000
SUFFIXES = ("-wal", "-shm")


@dataclass(frozen=True, slots=True)
class Salvage:
    """What was wrong with a file, and what became of it.

    Attributes:
        kept_as: where the damaged file is; None when the disk took no writes, or it was gone.
        row_count: what was saved.
        holes: tables of which something could not be read.
        in_memory: the new one is not on the disk, and is forgotten at the end of this life.
    """

    cause: str
    kept_as: Path | None = None
    row_count: int = 0
    holes: tuple[str, ...] = ()
    in_memory: bool = False

    @property
    def told(self) -> str:
        """Cause and loss, for an event."""
        saved = f"{self.row_count} rows were saved"
        lost = f", not all of {', '.join(self.holes)}" if self.holes else ", nothing is missing"
        return f"{self.cause}; " + ("nothing is kept now" if self.in_memory else f"{saved}{lost}")

    @property
    def next_step(self) -> str:
        if self.in_memory:
            return "free space or make the data directory writable, and restart the node"
        kept = f"; the damaged file is kept as {self.kept_as.name}" if self.kept_as else ""
        return f"check the disk{kept}"


def open_or_salvage(
    path: Path, form: Form, *, whole_only: Sequence[str] = (), dropped: Sequence[str] = ()
) -> tuple[SqliteFile, Salvage | None]:
    """The file, usable whatever has happened to it, and what that was.

    A table of `whole_only` is saved as a whole or not at all; those of `dropped` begin empty. After
    a salvage the note stays until `settle`: until its consequences have been drawn. Raises as its
    form says when it is another program's, a newer Skerry's or in use.
    """
    cause = ""
    try:
        return _checked(path, form), None
    except form.unusable as error:
        cause = error.what
        if not _is_damaged(path, error):
            return _unwritable(path, form, error)
    try:
        return _begun_anew(path, form, cause, frozenset(whole_only), frozenset(dropped))
    except (OSError, sqlite3.Error, form.unusable) as error:
        told = f"{cause}, and it cannot be replaced ({error})"
        return SqliteFile(None, form), Salvage(told, holes=("all",), in_memory=True)


def settle(path: Path) -> None:
    """The consequences have been drawn: the next start finds an ordinary file."""
    with suppress(OSError):
        damage_note(path).unlink(missing_ok=True)


def set_aside(path: Path) -> Path | None:
    """Gives a damaged file, or a folder in its place, another name with its log. Raises OSError."""
    if not path.exists():
        return None
    names = (path.with_name(f"{path.name}.damaged-{number}") for number in range(1, KEPT_MAX))
    kept = next((name for name in names if not name.exists()), None)
    if kept is None:
        raise OSError(f"{KEPT_MAX} damaged files lie beside {path} already")
    for suffix in SUFFIXES:
        with suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(kept.with_name(kept.name + suffix))
    path.rename(kept)
    return kept


def is_blank(path: Path) -> bool:
    """Whether the file is there without a byte, also in its log: SQLite would call it new."""
    log = path.with_name(f"{path.name}-wal")
    return path.is_file() and not path.stat().st_size and not (log.exists() and log.stat().st_size)


@dataclass(frozen=True, slots=True)
class Table:
    """A table as the schema has it: its columns, their types, those without NULL, its key."""

    name: str
    columns: tuple[str, ...]
    types: tuple[str, ...]
    required: tuple[bool, ...]
    key: tuple[str, ...]

    def fits(self, row: Row) -> bool:
        """Whether a row is what the schema would have taken: SQLite itself does not look."""
        return all(
            isinstance(value, _TYPES.get(kind, object)) or (value is None and not required)
            for value, kind, required in zip(row, self.types, self.required, strict=True)
        )


_TYPES: dict[str, type | tuple[type, ...]] = {
    "TEXT": str, "INTEGER": int, "REAL": (float, int), "BLOB": (bytes, str)
}  # fmt: skip


def tables_of(db: sqlite3.Connection) -> list[Table]:
    """Those of a sound file, in the order in which they were made."""
    sql = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    found: list[Table] = []
    for (name,) in db.execute(f"{sql} ORDER BY rowid").fetchall():
        info = db.execute('SELECT name, type, "notnull", pk FROM pragma_table_info(?)', (name,))
        rows = info.fetchall()
        without_rowid = db.execute(
            "SELECT wr FROM pragma_table_list WHERE name = ?", (name,)
        ).fetchone()[0]
        keys = sorted((row for row in rows if row[3]), key=lambda row: int(row[3]))
        found.append(
            Table(
                name,
                tuple(row[0] for row in rows),
                tuple(row[1] for row in rows),
                tuple(bool(row[2]) for row in rows),
                tuple(row[0] for row in keys) if without_rowid else ("rowid",),
            )
        )
    return found


def readable_rows(path: Path, table: Table) -> tuple[list[Row], bool]:
    """Every row that can be read, from the front, then from the back; whether that is all."""
    sql = f"SELECT {', '.join(table.columns)} FROM {table.name} ORDER BY "
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
            found, whole = _until_damage(db, sql + ", ".join(table.key))
            if not whole:
                back, _ = _until_damage(db, sql + ", ".join(f"{each} DESC" for each in table.key))
                found += reversed(back)
    except sqlite3.Error:
        return [], False
    fitting = [row for row in found if table.fits(row)]
    return fitting, whole and len(fitting) == len(found)


def _until_damage(db: sqlite3.Connection, sql: str) -> tuple[list[Row], bool]:
    found: list[Row] = []
    try:
        for row in db.execute(sql):
            found.append(row)
            if len(found) >= ROWS_MAX:
                return found, False
    except (sqlite3.Error, ValueError):
        return found, False
    return found, True


def _checked(path: Path, form: Form) -> SqliteFile:
    if damage_note(path).exists() or is_blank(path):
        raise form.unusable(f"{form.named} {path} is damaged or empty")
    file = SqliteFile(path, form)
    if path.stat().st_size <= CHECKED_BYTES_MAX:
        said = file.read("PRAGMA quick_check(1)")[0][0]
        if said != "ok":
            file.close_now()
            raise form.unusable(f"{form.named} {path} is damaged ({said.splitlines()[-1]})")
    return file


def _is_damaged(path: Path, error: Exception) -> bool:
    cause = error.__cause__
    if path.is_dir() or damage_note(path).exists() or is_blank(path):
        return True
    if isinstance(cause, sqlite3.Error):
        return is_damage(cause)
    return "is damaged" in str(error)


def _unwritable(path: Path, form: Form, error: Exception) -> tuple[SqliteFile, Salvage | None]:
    """On a disk that takes no writes: what is there is read. Raises as the form says."""
    code = getattr(error.__cause__, "sqlite_errorcode", sqlite3.SQLITE_BUSY) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        raise error  # another program's, a newer Skerry's, or somebody uses it just now
    if path.exists():
        return SqliteFile(path, form, frozen=True), None
    return SqliteFile(None, form), Salvage(str(error), in_memory=True)


def _begun_anew(
    path: Path, form: Form, cause: str, whole_only: frozenset[str], dropped: frozenset[str]
) -> tuple[SqliteFile, Salvage]:
    damage_note(path).touch()
    fresh = path.with_name(f"{path.name}.new")
    for suffix in ("", *SUFFIXES):
        fresh.with_name(fresh.name + suffix).unlink(missing_ok=True)
    SqliteFile(fresh, form).close_now()
    # Without the file a start before this one died in between: what it kept aside is read again.
    source = path if path.exists() else _last_kept(path)
    count, holes = 0, list[str]()
    with closing(sqlite3.connect(fresh, isolation_level=None)) as db:
        db.execute("PRAGMA synchronous = FULL")
        db.execute("BEGIN IMMEDIATE")
        for table in tables_of(db):
            rows, whole = readable_rows(source, table)
            if not whole:
                holes.append(table.name)
            if table.name in dropped or (table.name in whole_only and not whole):
                continue
            marks = ",".join("?" * len(table.columns))
            db.executemany(f"INSERT OR IGNORE INTO {table.name} VALUES ({marks})", rows)
            count += db.execute(f"SELECT count(*) FROM {table.name}").fetchone()[0]
        db.execute("COMMIT")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    kept = set_aside(path)
    os.replace(fresh, path)
    sync_folder(str(path.parent))
    return SqliteFile(path, form), Salvage(cause, kept, count, tuple(holes))


def _last_kept(path: Path) -> Path:
    kept = [
        each for each in path.parent.glob(f"{path.name}.damaged-*") if each.suffix[-1].isdigit()
    ]
    return max(kept, key=lambda each: int(each.name.rpartition("-")[2]), default=path)
