"""Processor time of this process and its children, from /proc.

Owns the reading (proc(5)). A process that ended between two readings takes its last second along.
"""

from __future__ import annotations

import os
from pathlib import Path

from skerry.budget.ports import MeterBlind

PROC = Path("/proc")
PROCESSES_MAX = 256


class ProcessorTime:
    """What has been used since the last reading."""

    def __init__(self, process_id: int | None = None) -> None:
        self._process_id = process_id or os.getpid()
        self._tick_microseconds = 1_000_000 // os.sysconf("SC_CLK_TCK")
        self._before: dict[int, int] = {}

    def microseconds(self) -> int:
        """Since it was asked last; since their start at first. Raises MeterBlind."""
        try:
            now = self._ticks()
        except (OSError, ValueError, IndexError) as error:
            raise MeterBlind(
                f"/proc does not tell the processor time ({error})",
                next_step="let the node read /proc",
            ) from error
        grown = sum(max(0, ticks - self._before.get(each, 0)) for each, ticks in now.items())
        self._before = now
        return grown * self._tick_microseconds

    def _ticks(self) -> dict[int, int]:
        found: dict[int, int] = {}
        left = [self._process_id]
        while left and len(found) < PROCESSES_MAX:
            each = left.pop()
            try:
                found[each] = _ticks_of(each)
                left += _children(each)
            except FileNotFoundError:
                if each == self._process_id:
                    raise
        return found


def _ticks_of(process_id: int) -> int:
    text = (PROC / str(process_id) / "stat").read_text()
    # Its name may hold blanks and brackets: the fields begin behind the last one.
    fields = text.rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])  # utime, stime


def _children(process_id: int) -> list[int]:
    path = PROC / str(process_id) / "task" / str(process_id) / "children"
    try:
        return [int(each) for each in path.read_text().split()]
    except FileNotFoundError:
        return []  # it ended, or the kernel does not list them
