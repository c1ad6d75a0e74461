"""A second copy of the catalog, for the day its file is damaged.

Owns `catalog.sqlite.copy`: that it is sound when it is taken. Names have no other home, so without
a copy one bad block on the disk could leave a node in an outage with bytes and no names.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

COPY, MARK = ".copy", ".mark"


def take(path: Path) -> bool:
    """Copies a sound catalog, under its name when it is whole and on the disk. Blocks.

    False when the file is damaged: the last good copy stays. Raises sqlite3.OperationalError and
    OSError when the disk will not have it.
    """
    fresh = beside(path, f"{COPY}.part")
    fresh.unlink(missing_ok=True)
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
            if db.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
                return False
            db.execute("VACUUM INTO ?", (str(fresh),))
        with fresh.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(fresh, beside(path, COPY))
        return True
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError:
        return False
    finally:
        fresh.unlink(missing_ok=True)


def mark(path: Path) -> None:
    """Notes that reading found damage, for the next start; a disk that is full keeps no note."""
    with suppress(OSError):
        beside(path, MARK).touch()


def is_marked(path: Path) -> bool:
    """Whether reading found damage before this start."""
    return beside(path, MARK).exists()


def beside(path: Path, suffix: str) -> Path:
    """The file of this suffix that belongs to a catalog."""
    return path.with_name(path.name + suffix)
