"""What is spent in the period that runs, at the cost of a glance.

Owns what is remembered of days that are over: they do not change. Never writes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from skerry.budget.bookkeeping import Bookkeeping
from skerry.budget.core.periods import DAY_SECONDS, HOUR_SECONDS, Period, day_of
from skerry.budget.core.rating import cost_by

DAYS_MAX = 400

Owner = tuple[str, str]
"""A tenant and a workflow."""


class Spending:
    """The money of each tenant and workflow by day, in micro-units. For one thread at a time."""

    def __init__(self, books: Bookkeeping) -> None:
        self._books = books
        self._over: dict[int, Mapping[Owner, int]] = {}
        self._begun = -1, 0

    @property
    def currency(self) -> str:
        """What the amounts are in, "" without prices."""
        return self._books.sheet.currency

    def days(self, start: int, end: int, now: int) -> dict[int, Mapping[str, int]]:
        """By tenant, the days from `start` up to now, none after `end`. Raises LedgerUnusable."""
        days = self._days(start, end, now).items()
        return {day: _sums(money.items(), lambda who: who[0]) for day, money in days}

    def spent(self, period: Period, now: int) -> dict[str, int]:
        """By tenant. Raises LedgerUnusable."""
        return _sums(self._money(period, now), lambda who: who[0])

    def workflows(self, period: Period, now: int) -> dict[str, int]:
        """By workflow, without what belongs to none. Raises LedgerUnusable."""
        found = _sums(self._money(period, now), lambda who: who[1])
        found.pop("", None)
        return found

    def _money(self, period: Period, now: int) -> Iterator[tuple[Owner, int]]:
        for money in self._days(period.start, period.end, now).values():
            yield from money.items()

    def _days(self, start: int, end: int, now: int) -> dict[int, Mapping[Owner, int]]:
        days = range(day_of(start), min(end, now + 1), DAY_SECONDS)
        return {day: self._over.get(day) or self._read(day, now) for day in days}

    def begun(self, day: int) -> int:
        """The first hour of a day in which anything was counted, its own beginning without one.
        Raises LedgerUnusable."""
        if self._begun[0] != day:
            hours = self._books.ledger.hours(day, day + DAY_SECONDS)
            if not hours:
                return day
            self._begun = day, min(each.start for each in hours)
        return self._begun[1]

    def _read(self, day: int, now: int) -> Mapping[Owner, int]:
        charges = self._books.charges(day, day + DAY_SECONDS)
        found = cost_by(charges, lambda each: (each.dimension.tenant, each.dimension.workflow))
        # A clock that was doubted may file something an hour late; after that a day is over.
        if now >= day + DAY_SECONDS + HOUR_SECONDS:
            if len(self._over) >= DAYS_MAX:
                self._over.clear()
            self._over[day] = found
        return found


def _sums(money: Iterable[tuple[Owner, int]], key: Callable[[Owner], str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for who, micro in money:
        found[key(who)] = found.get(key(who), 0) + micro
    return found
