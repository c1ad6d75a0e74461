"""Which time usage is filed under when the machine's clock jumps.

Owns the judgement. A step of the clock is doubted: time goes on from before it until the clock has
stayed where it is for a while. So a jump to next month and back files nothing there and begins no
new budget.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

STEP_SECONDS = 120.0
"""A difference that is worth doubting."""
SETTLE_SECONDS = 900.0
"""After so long a clock that was doubted is believed."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """Where the clock has jumped to, and since when."""

    offset_seconds: float
    since: float


@dataclass(frozen=True, slots=True)
class Timekeeping:
    """`offset_seconds` is the believed clock's distance from the monotonic one."""

    offset_seconds: float
    doubt: Doubt | None = None

    def now(self, monotonic: float) -> float:
        """The time that is believed."""
        return monotonic + self.offset_seconds


def begin(wall: float, monotonic: float) -> Timekeeping:
    """At a start there is nothing to doubt the clock by."""
    return Timekeeping(wall - monotonic)


def tick(time: Timekeeping, wall: float, monotonic: float) -> Timekeeping:
    """What is believed after another look at both clocks."""
    offset = wall - monotonic
    if abs(offset - time.offset_seconds) <= STEP_SECONDS:
        return Timekeeping(offset)
    doubt = time.doubt
    if doubt is None or abs(offset - doubt.offset_seconds) > STEP_SECONDS:
        return replace(time, doubt=Doubt(offset, monotonic))
    if monotonic - doubt.since >= SETTLE_SECONDS:
        return Timekeeping(offset)
    return time
