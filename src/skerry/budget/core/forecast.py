"""How fast money goes, and where that ends.

Owns burn and forecast. The method: the days that are over, the last seven at most, are taken for a
sample; what is left of the period costs their mean for each day, and the interval is the one in
which a new sum of so many days from the same source falls in nineteen of twenty cases (Student's t,
which widens it while there are few days). Whole numbers throughout.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt

from skerry.budget.core.money import rounded
from skerry.budget.core.periods import DAY_SECONDS

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


def forecast(
    days: Sequence[int], *, today_micro: int, today_seconds: int, left_seconds: int
) -> Forecast:
    """Where a period ends.

    Args:
        days: what each whole day of the period has cost, oldest first.
        today_micro: what the day that runs has cost in its first `today_seconds`.
        left_seconds: from now to the period's end.
    """
    spent = sum(days) + today_micro
    # Before the first day that cost anything nobody was there to count; zeros would halve the rest.
    first = next((at for at, each in enumerate(days) if each), len(days))
    sample = days[first:][-DAYS_SAMPLED:]
    if not sample:
        # Nothing is over yet: the day goes on as it began.
        rate = rounded(today_micro * left_seconds, max(1, today_seconds))
        return Forecast(spent, spent + rate, spent + 2 * rate, 0)
    count, total = len(sample), sum(sample)
    to_come = rounded(total * left_seconds, count * DAY_SECONDS)
    middle = spent + to_come
    if count < 2:
        return Forecast(spent, middle, spent + 2 * to_come, count)
    # n * sum(x^2) - (sum x)^2 = n * (n-1) * variance
    spread = count * sum(each * each for each in sample) - total * total
    left_days = max(1, -(-left_seconds // DAY_SECONDS))
    variance = spread * left_days * (count + left_days) // (count * count * (count - 1))
    margin = isqrt(variance) * _T_HUNDREDTHS[min(count - 2, len(_T_HUNDREDTHS) - 1)] // 100
    return Forecast(max(spent, middle - margin), middle, middle + margin, count)
