"""Twins of the ports of `base`.

Promises: a mark that cannot be written while it is told so, and is what it was; nothing else
fails.
"""

from __future__ import annotations


class MemoryMark:
    """`high_water.Mark` that outlives nothing but the object itself."""

    def __init__(self, at: float | None = None) -> None:
        self.at = at
        self.broken = False

    def read(self) -> float | None:
        return self.at

    def write(self, at: float) -> None:
        if self.broken:
            raise OSError(28, "no room")
        self.at = at
