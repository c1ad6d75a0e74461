"""How fetching ahead makes room for visitors: the piece it asks for, and how long it rests after.

Owns the arithmetic. A visitor notices a fetch of ours when the two meet, on the link or in the
node; so beside visitors ours are short and rare, and take a set share of the time (requirement C1:
what visitors wait at the 95th percentile rises by a tenth at most). Never reads a clock.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

WINDOW_BYTES = 4 << 20
"""Asked for at once while nobody is about."""
ABOUT_SECONDS = 5.0
"""For so long after something was fetched for a visitor, visitors are about."""


@dataclass(frozen=True, slots=True)
class Courtesy:
    """What is known of visitors.

    Attributes:
        share: of the time, that may be taken while they are about; above 0, at most 1.
        seen_at: when one was last seen, monotonic seconds; None for never.
        visits: how many were counted by then.
    """

    share: float
    seen_at: float | None = None
    visits: int = 0

    def about(self, now: float) -> bool:
        """Whether visitors are."""
        return self.seen_at is not None and now < self.seen_at + ABOUT_SECONDS


def looked(known: Courtesy, visits: int, *, busy: bool, now: float) -> Courtesy:
    """After a look: `visits` counted since start, and whether one is being served this moment."""
    if not busy and visits == known.visits:
        return known
    return replace(known, seen_at=now, visits=visits)


def window_bytes(known: Courtesy, slice_bytes: int, now: float) -> int:
    """How much to ask for at once, in whole slices: one of them beside visitors."""
    if known.about(now):
        return slice_bytes
    return max(slice_bytes, WINDOW_BYTES // slice_bytes * slice_bytes)


def rest_seconds(known: Courtesy, took_seconds: float, now: float) -> float:
    """How long to rest after a fetch that took so long; 0 when nobody is about."""
    return took_seconds * (1.0 / known.share - 1.0) if known.about(now) else 0.0
