"""What is spent in the period that runs, at the cost of a glance.

Owns what is remembered of days that are over: they do not change. Never writes.
"""

from __future__ import annotations

from collections.abc import Mapping

from skerry.budget.bookkeeping import Bookkeeping
from skerry.budget.core.periods import DAY_SECONDS, HOUR_SECONDS, Period, day_of
from skerry.budget.core.rating import cost_by

DAYS_MAX = 400


class Spending:
    """The money of each tenant by day, in micro-units. For one thread at a time."""

    def __init__(self, books: Bookkeeping) -> None:
        self._books = books
        self._over: dict[int, Mapping[str, int]] = {}
        self._begun = -1, 0

    @property
    def currency(self) -> str:
        """What the amounts are in, "" without prices."""
        return self._books.sheet.currency

    def days(self, start: int, end: int, now: int) -> dict[int, Mapping[str, int]]:
        """The days from `start` up to now, none after `end`. Raises LedgerUnusable."""
        found: dict[int, Mapping[str, int]] = {}
        for day in range(day_of(start), min(end, now + 1), DAY_SECONDS):
            found[day] = self._over.get(day) or self._read(day, now)
        return found

    def spent(self, period: Period, now: int) -> dict[str, int]:
        """By tenant. Raises LedgerUnusable."""
        spent: dict[str, int] = {}
        for by_tenant in self.days(period.start, period.end, now).values():
            for tenant, micro in by_tenant.items():
                spent[tenant] = spent.get(tenant, 0) + micro
        return spent

    def begun(self, day: int) -> int:
        """The first hour of a day in which anything was counted, its own beginning without one.
        Raises LedgerUnusable."""
        if self._begun[0] != day:
            hours = self._books.ledger.hours(day, day + DAY_SECONDS)
            if not hours:
                return day
            self._begun = day, min(each.start for each in hours)
        return self._begun[1]

    def _read(self, day: int, now: int) -> Mapping[str, int]:
        charges = self._books.charges(day, day + DAY_SECONDS)
        found = cost_by(charges, lambda each: each.dimension.tenant)
        # A clock that was doubted may file something an hour late; after that a day is over.
        if now >= day + DAY_SECONDS + HOUR_SECONDS:
            if len(self._over) >= DAYS_MAX:
                self._over.clear()
            self._over[day] = found
        return found
