"""The time that was seen, in a file of the data directory.

Owns `clock.mark` (docs/internals/clock.md): one decimal number and a line's end, replaced whole.
Never judges a time.
"""

from __future__ import annotations

from math import isfinite
from pathlib import Path

from skerry.adapters.file_whole import replace_file

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
        replace_file(self._path, f"{at:.3f}\n".encode())
