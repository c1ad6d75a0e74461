"""The books: the ledger's hours at the sheet's prices.

Owns the reading; what a thing costs is `core.rating`'s. Never writes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from skerry.budget.core.outcomes import UnitFigures, unit_figures
from skerry.budget.core.periods import Every, Period, period_of
from skerry.budget.core.prices import PriceSheet
from skerry.budget.core.rating import Charge, cost, cost_by, rate
from skerry.budget.core.summary import CostLine, Costs, lines_of
from skerry.budget.core.usage import totals
from skerry.budget.core.warmth import warmths
from skerry.budget.ports import Ledger


class Bookkeeping:
    """What things cost."""

    def __init__(self, ledger: Ledger, sheet: PriceSheet, *, now: Callable[[], float]) -> None:
        self.ledger = ledger
        self.sheet = sheet
        self._now = now

    def charges(self, start: int, stop: int) -> tuple[Charge, ...]:
        """The charges of whole hours. Raises LedgerUnusable."""
        return rate(self.ledger.hours(start, stop), self.sheet)

    def month(self) -> Period:
        """The one that runs."""
        return period_of(int(self._now()), Every.MONTH)

    def units(self, start: int, stop: int, workflows: Sequence[str]) -> tuple[UnitFigures, ...]:
        """Each workflow by the request and by the order. Raises LedgerUnusable."""
        hours = self.ledger.hours(start, stop)
        return unit_figures(
            totals(hours),
            rate(hours, self.sheet),
            self.ledger.earned(start, stop),
            workflows=workflows,
            currency=self.sheet.currency,
        )

    def costs(self, period: Period | None = None) -> Costs:
        """What a month has cost so far, by dimension. Raises LedgerUnusable."""
        period = period or self.month()
        hours = self.ledger.hours(period.start, period.end)
        charges = rate(hours, self.sheet)
        lines: tuple[CostLine, ...] = lines_of(hours, charges)
        passed = min(int(self._now()), period.end) - period.start
        by_tenant = cost_by(charges, lambda each: each.dimension.tenant)
        return Costs(
            period=period.name,
            start=period.start,
            end=period.end,
            currency=self.sheet.currency,
            spent_micro=cost(charges),
            tenants=dict(sorted(by_tenant.items())),
            prices=cost_by(charges, lambda each: each.price.name),
            lines=lines,
            warmth=warmths(totals(hours), charges, passed_seconds=passed),
        )
