"""A ledger in memory, for tests: the twin of the one on disk.

Promises what `Ledger` does but the chain, and fails on request: `broken` makes every write raise.
"""

from __future__ import annotations

from collections.abc import Mapping

from skerry.budget.core.outcomes import Earned, Outcome, said_otherwise
from skerry.budget.core.periods import HOUR_SECONDS, hour_of
from skerry.budget.core.usage import NOTHING, Amounts, Dimension, Hour
from skerry.budget.ports import LedgerStatistics, LedgerUnusable, Proof


class MemoryLedger:
    """`budget.ports.Ledger`."""

    def __init__(self) -> None:
        self.rows: dict[tuple[int, Dimension], Amounts] = {}
        self.texts: dict[str, str] = {}
        self.broken = False
        self.reports: dict[str, Outcome] = {}
        self._closed: list[int] = []
        self._open = 0

    async def note(self, bucket: int, used: Mapping[Dimension, Amounts]) -> None:
        self._writable()
        if self._open and bucket != self._open:
            self._closed.append(self._open)
        self._open = bucket
        for dimension, amounts in used.items():
            place = (bucket, dimension)
            self.rows[place] = self.rows.get(place, NOTHING) + amounts

    def hours(self, start: int, stop: int) -> list[Hour]:
        found: dict[tuple[int, Dimension], Amounts] = {}
        for (bucket, dimension), amounts in self.rows.items():
            if start <= bucket < stop:
                place = (hour_of(bucket), dimension)
                found[place] = found.get(place, NOTHING) + amounts
        return [Hour(at, dimension, each) for (at, dimension), each in sorted(found.items())]

    def minutes(self, start: int, stop: int) -> list[Hour]:
        rows = sorted(self.rows.items())
        return [Hour(at, who, each) for (at, who), each in rows if start <= at < stop]

    def span(self) -> tuple[int, int]:
        begun = [hour_of(bucket) for bucket, _ in self.rows]
        return (min(begun), max(begun) + HOUR_SECONDS) if begun else (0, 0)

    async def fold(self, before: int) -> int:
        old = [place for place in self.rows if place[0] < before and place[0] != self._open]
        for bucket, dimension in old:
            amounts = self.rows.pop((bucket, dimension))
            place = (hour_of(bucket), dimension)
            self.rows[place] = self.rows.get(place, NOTHING) + amounts
        return len(old)

    def verify(self) -> Proof:
        return Proof(len(self._closed), len(self.rows), "", 0)

    def noted(self, name: str) -> str:
        return self.texts.get(name, "")

    async def keep(self, name: str, text: str) -> None:
        self._writable()
        self.texts[name] = text

    async def report(self, outcome: Outcome) -> bool:
        self._writable()
        known = self.reports.setdefault(outcome.key, outcome)
        if not known.same_as(outcome):
            raise said_otherwise(outcome.key)
        return known is outcome

    def outcomes(self, start: int, stop: int, count_max: int) -> list[Outcome]:
        found = [each for each in self.reports.values() if start <= each.at < stop]
        return found[::-1][:count_max]

    def earned(self, start: int, stop: int) -> list[Earned]:
        sums: dict[tuple[str, str], Earned] = {}
        for each in self.outcomes(start, stop, len(self.reports)):
            place = (each.workflow, each.currency)
            old = sums.get(place, Earned(*place, 0, 0, 0))
            count, orders = old.report_count + 1, old.orders + each.orders
            sums[place] = Earned(*place, count, orders, old.revenue_micro + each.revenue_micro)
        return [sums[place] for place in sorted(sums)]

    def statistics(self) -> LedgerStatistics:
        return LedgerStatistics(len(self._closed), len(self.rows), "", self._open, 0)

    def _writable(self) -> None:
        if self.broken:
            raise LedgerUnusable("the ledger takes no writes", next_step="free space")
