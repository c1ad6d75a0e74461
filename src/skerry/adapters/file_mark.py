"""The time that was seen, in a file of the data directory.

Owns `clock.mark` (docs/internals/clock.md): one decimal number and a line's end, replaced whole.
Never judges a time.
"""

from __future__ import annotations

import os
from math import isfinite
from pathlib import Path

MARK_FILE = "clock.mark"
_BYTES_MAX = 64


class FileMark:
    """`base.high_water.Mark` over one file. Used by one thread at a time."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / MARK_FILE

    def read(self) -> float | None:
        try:
            with self._path.open("rb") as file:
                at = float(file.read(_BYTES_MAX).decode("ascii"))
        except (OSError, ValueError):
            return None
        return at if isfinite(at) and at >= 0 else None

    def write(self, at: float) -> None:
        fresh = self._path.with_name(f"{MARK_FILE}.new")
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(f"{at:.3f}\n".encode())
            file.flush()
            os.fsync(file.fileno())
        os.replace(fresh, self._path)
        folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
