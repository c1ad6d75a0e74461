"""How fast money goes, and where that ends.

Owns burn and forecast. The method: the last seven days that are over, of the period before too, are
taken for a sample; what is left of the period costs their mean for each day, and the interval is
the one in which a new sum of so many days from the same source falls in nineteen of twenty cases
(Student's t, which widens it while there are few days). Whole numbers throughout.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isqrt

from skerry.budget.core.money import rounded
from skerry.budget.core.periods import DAY_SECONDS, HOUR_SECONDS, day_of

DAYS_SAMPLED = 7
MILLION = 1_000_000
_T_HUNDREDTHS = (1271, 430, 318, 278, 257, 245)
"""Student's t for 95 %, two-sided, by degrees of freedom from 1 on, in hundredths."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a period will have cost at its end, in micro-units: `low` to `high` around `middle`.

    `days` is the size of the sample; with less than two there is no interval, and low and high are
    what is spent and twice the middle.
    """

    low_micro: int
    middle_micro: int
    high_micro: int
    days: int


def burn(spent_micro: int, amount_micro: int, *, passed_seconds: int, period_seconds: int) -> int:
    """Share of the budget spent over share of the period passed, in millionths: more than a million
    and the money ends before the period does."""
    if not passed_seconds or not amount_micro:
        return 0
    return spent_micro * period_seconds * MILLION // (amount_micro * passed_seconds)


@dataclass(frozen=True, slots=True)
class Sample:
    """What the future is judged by: `days` that were counted from their first hour to their last,
    and what it all cost since the first hour that was counted, for when no day is over yet."""

    days: tuple[int, ...]
    seen_micro: int = 0
    seen_seconds: int = HOUR_SECONDS


def sample(days: Mapping[int, int], *, first_hour: int, now: int) -> Sample:
    """The sample of some days up to the one that runs, each by when it began.

    Args:
        first_hour: the first that was counted in the first of them that cost anything. A day that
            a node began at noon is half a day: taken for a whole one it would halve the rest.
    """
    today = day_of(now)
    over = [cost for day, cost in sorted(days.items()) if first_hour <= day < today]
    seen = sum(cost for day, cost in days.items() if day >= day_of(first_hour))
    # Of the first minutes nothing can be said: what they cost is taken for an hour's.
    return Sample(tuple(over[-DAYS_SAMPLED:]), seen, max(HOUR_SECONDS, now - first_hour))


def forecast(seen: Sample, *, spent_micro: int, left_seconds: int) -> Forecast:
    """Where a period ends that has cost `spent_micro` and lasts for `left_seconds` more."""
    days, spent = seen.days, spent_micro
    if not days:
        # Nothing is over yet: it goes on as it began.
        rate = rounded(seen.seen_micro * left_seconds, seen.seen_seconds)
        return Forecast(spent, spent + rate, spent + 2 * rate, 0)
    count, total = len(days), sum(days)
    to_come = rounded(total * left_seconds, count * DAY_SECONDS)
    middle = spent + to_come
    if count < 2:
        return Forecast(spent, middle, spent + 2 * to_come, count)
    # n * sum(x^2) - (sum x)^2 = n * (n-1) * variance
    spread = count * sum(each * each for each in days) - total * total
    left_days = max(1, -(-left_seconds // DAY_SECONDS))
    variance = spread * left_days * (count + left_days) // (count * count * (count - 1))
    margin = isqrt(variance) * _T_HUNDREDTHS[min(count - 2, len(_T_HUNDREDTHS) - 1)] // 100
    return Forecast(max(spent, middle - margin), middle, middle + margin, count)
