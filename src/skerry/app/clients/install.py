"""Puts a client's configuration in place: idempotent, with a backup of what it changes.

Owns the files' way to disk. All of them are judged before the first is written, so that a file
that must not be touched leaves everything as it was.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from skerry.app.clients.configuration import ClientFile
from skerry.app.clients.merge import Untouchable, merged, without

Judge = Callable[[ClientFile, str | None], str | None]


@dataclass(frozen=True, slots=True)
class Change:
    """What became of one file.

    Attributes:
        action: `created`, `changed`, `removed` or `unchanged`.
        backup: the copy of what was there, "" when nothing was.
    """

    path: str
    action: str
    backup: str = ""


def install(files: Iterable[ClientFile], root: Path, *, now: float) -> list[Change]:
    """Writes the files below `root`; `now` (seconds since the epoch) names the backups.

    Raises Untouchable before anything is written, or when the disk will not.
    """
    return _apply(files, root, merged, now)


def uninstall(files: Iterable[ClientFile], root: Path, *, now: float) -> list[Change]:
    """Takes out what `install` wrote and leaves the rest. Raises as `install`."""
    return _apply(files, root, _removed, now)


def _removed(file: ClientFile, present: str | None) -> str | None:
    return None if present is None else without(file, present)


def _apply(files: Iterable[ClientFile], root: Path, judge: Judge, now: float) -> list[Change]:
    plans = []
    for file in files:
        path = root / file.path
        present = _read(path)
        plans.append((path, present, judge(file, present)))
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    return [_carry_out(path, present, wanted, stamp) for path, present, wanted in plans]


def _read(path: Path) -> str | None:
    try:
        return path.read_bytes().decode()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not text"
        raise Untouchable(f"{path} cannot be read: {reason}", next_step="run as root") from error


def _carry_out(path: Path, present: str | None, wanted: str | None, stamp: str) -> Change:
    if wanted == present:
        return Change(str(path), "unchanged")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        real = path.resolve()  # a link stays one
        backup = _back_up(real, stamp) if present is not None else ""
        if wanted is None:
            real.unlink()
            return Change(str(path), "removed", backup)
        fresh = real.with_name(f".{real.name}.{os.getpid()}.new")
        fresh.write_bytes(wanted.encode())
        if present is not None:
            shutil.copymode(real, fresh)
        else:
            fresh.chmod(0o644)
        fresh.replace(real)
    except OSError as error:
        raise Untouchable(
            f"{path} cannot be written: {error.strerror}", next_step="run as root, or use --root"
        ) from error
    return Change(str(path), "created" if present is None else "changed", backup)


def _back_up(path: Path, stamp: str) -> str:
    """A copy that no client reads as configuration."""
    for count in range(1000):
        backup = path.with_name(f"{path.name}.{stamp}{f'-{count}' if count else ''}.skerry-backup")
        if not backup.exists():
            shutil.copy2(path, backup)
            return str(backup)
    raise Untouchable(f"{path} has a thousand backups", next_step="clear them away")
