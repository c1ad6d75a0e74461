"""Days, months and budget periods of the calendar, in UTC.

Owns where they begin and end, in seconds since the epoch. Knows no clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

HOUR_SECONDS = 3600
DAY_SECONDS = 86400


class Every(StrEnum):
    """How long a budget is for."""

    MONTH = "month"
    DAY = "day"


@dataclass(frozen=True, slots=True)
class Period:
    """One month or day. `start` belongs to it, `end` does not; `name` is its date."""

    name: str
    start: int
    end: int

    @property
    def seconds(self) -> int:
        return self.end - self.start


def day_of(at: int) -> int:
    """When the day of a moment began."""
    return at - at % DAY_SECONDS


def hour_of(at: int) -> int:
    """When the hour of a moment began."""
    return at - at % HOUR_SECONDS


def month_of(at: int) -> Period:
    """The month of a moment."""
    begun = datetime.fromtimestamp(at, UTC).replace(
        day=1, hour=0, minute=0, second=0, microsecond=0
    )
    ended = begun.replace(year=begun.year + (begun.month == 12), month=begun.month % 12 + 1)
    return Period(f"{begun:%Y-%m}", int(begun.timestamp()), int(ended.timestamp()))


def month_before(month: Period) -> Period:
    """The month that ended when this one began."""
    return month_of(month.start - 1)


def period_of(at: int, every: Every) -> Period:
    """The budget period of a moment."""
    if every is Every.MONTH:
        return month_of(at)
    start = day_of(at)
    return Period(f"{datetime.fromtimestamp(start, UTC):%Y-%m-%d}", start, start + DAY_SECONDS)


def iso(at: int) -> str:
    """A moment as FOCUS writes it (ISO 8601, UTC)."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ}"
