"""How long it takes to go back to the release before: the other number of a month (A1).

Owns which of several counts: the last that happened, and the last drill only where none did.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from skerry.base.units import format_seconds

NOT_MEASURED = "not measured: no rollback is on record; drill one (skerry drill), or roll one back"


@dataclass(frozen=True, slots=True)
class Rollback:
    """One release that was taken back. `began_at` in seconds since the epoch; `drill`: it was made
    happen."""

    began_at: float
    seconds: float
    drill: bool


@dataclass(frozen=True, slots=True)
class RollbackTime:
    """What a window says of rollbacks.

    Attributes:
        seconds: the last one's; -1 when none is on record.
        worst_seconds: the slowest of its kind; -1 for none.
        real_count, drill_count: how many of each there were.
        of_drill: whether `seconds` is of a drill, since nothing real happened.
        words: all of it for people, and what to do where nothing is known.
    """

    seconds: float
    worst_seconds: float
    real_count: int
    drill_count: int
    of_drill: bool
    words: str


def rollback_time(rollbacks: Sequence[Rollback]) -> RollbackTime:
    """What they say together; any order."""
    real = [each for each in rollbacks if not each.drill]
    drills = [each for each in rollbacks if each.drill]
    counted = sorted(real or drills, key=lambda each: each.began_at)
    if not counted:
        return RollbackTime(-1.0, -1.0, 0, 0, False, NOT_MEASURED)
    last, worst = counted[-1].seconds, max(each.seconds for each in counted)
    kind = "real" if real else "drill"
    words = format_seconds(last) + (" (a drill)" if kind == "drill" else "")
    if len(counted) > 1:
        words = f"{format_seconds(last)} (the last of {len(counted)}, {kind}; worst "
        words += f"{format_seconds(worst)})"
    return RollbackTime(last, worst, len(real), len(drills), not real, words)
