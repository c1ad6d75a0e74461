"""The budget of one node, to its operator: where it stands, the monthly report, a baseline.

Owns the putting together; every judgement is a core's. Reads the ledger: call it off the loop.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from skerry.base.errors import BadInput
from skerry.budget.bookkeeping import Bookkeeping
from skerry.budget.core.forecast import DAYS_SAMPLED, Forecast, Sample, burn, forecast, sample
from skerry.budget.core.limits import WHOLE
from skerry.budget.core.month import MonthBook, month_book
from skerry.budget.core.outcomes import UnitFigures
from skerry.budget.core.periods import DAY_SECONDS, Every, Period, day_of, month_before, period_of
from skerry.budget.core.rating import Charge, rate
from skerry.budget.core.report import (
    Figures,
    Miss,
    Report,
    compare,
    dearest_misses,
    figures,
    workflow_of,
)
from skerry.budget.core.rollback import Rollback, RollbackTime, rollback_time
from skerry.budget.core.usage import Amounts, Dimension, totals
from skerry.budget.core.warmth import SourceCost, SourceUse, source_costs
from skerry.budget.ladders import LadderStatistics
from skerry.budget.spending import Spending

DAYS_MAX = 366


@dataclass(frozen=True, slots=True)
class BudgetState:
    """Where the budget stands in the period that runs.

    Attributes:
        burn: share of the budget spent over share of the period passed, in millionths; -1 without a
            budget.
        forecast: what the period will have cost at its end.
        tenants, workflows: what each has spent, in micro-units; the tenants add up to all of it.
        sources: what each class of sources had fetched since the start, at the prices of now.
    """

    at: float
    currency: str
    period: str
    start: int
    end: int
    spent_micro: int
    amount_micro: int
    burn: int
    forecast: Forecast
    ladders: Sequence[LadderStatistics]
    sources: Sequence[SourceCost] = ()
    tenants: Mapping[str, int] = field(default_factory=dict)
    workflows: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Baseline:
    """One workflow over a window, to measure the next month by. `rollback` is the node's, `units`
    are the workflow's alone."""

    node: str
    workflow: str
    currency: str
    start: int
    end: int
    figures: Figures
    dearest: Sequence[Miss]
    rollback: RollbackTime
    units: Sequence[UnitFigures]


class BudgetDesk:
    """What can be asked of it."""

    def __init__(
        self,
        books: Bookkeeping,
        spending: Spending,
        *,
        node: str,
        now: Callable[[], float],
        every: Every,
        ladders: Callable[[], Sequence[LadderStatistics]],
        workflows: Callable[[], Sequence[str]],
        rollbacks: Callable[[int, int], Sequence[Rollback]],
        sources: Callable[[], Sequence[SourceUse]] = lambda: (),
    ) -> None:
        """`rollbacks` are those on record that began in a window."""
        self._books = books
        self._spending = spending
        self._node = node
        self._now = now
        self._every = every
        self._ladders = ladders
        self._workflows = workflows
        self._rollbacks = rollbacks
        self._sources = sources

    def state(self) -> BudgetState:
        """Where it stands. Raises LedgerUnusable."""
        now = int(self._now())
        period = period_of(now, self._every)
        ladders = self._ladders()
        amount = next((each.amount_micro for each in ladders if each.scope == WHOLE), -1)
        tenants = self._spending.spent(period, now)
        spent = sum(tenants.values())
        passed = now - period.start
        return BudgetState(
            at=float(now),
            currency=self._books.sheet.currency,
            period=period.name,
            start=period.start,
            end=period.end,
            spent_micro=spent,
            amount_micro=amount,
            burn=-1
            if amount < 0
            else burn(spent, amount, passed_seconds=passed, period_seconds=period.seconds),
            forecast=forecast(self._sample(now), spent_micro=spent, left_seconds=period.end - now),
            ladders=ladders,
            sources=source_costs(self._sources(), self._books.sheet, now),
            tenants=tenants,
            workflows=self._spending.workflows(period, now),
        )

    def report(self, month: Period) -> Report:
        """A month beside the one before it. Raises LedgerUnusable."""
        before = month_before(month)
        now, then = (self._used(each.start, each.end) for each in (month, before))
        return compare(
            self._node,
            self._books.sheet.currency,
            (month.name, *now),
            (before.name, *then),
            rollbacks=(self._rollback(month), self._rollback(before)),
            units=self._books.units(month.start, month.end, self._workflows()),
            running=self._now() < month.end,
            before_begun_late=self._books.ledger.span()[0] >= before.start + DAY_SECONDS,
        )

    def month(self, period: Period) -> MonthBook:
        """A month cut every way, with its days. Raises LedgerUnusable."""
        hours = self._books.ledger.hours(period.start, period.end)
        sheet = self._books.sheet
        return month_book(
            period, hours, rate(hours, sheet), currency=sheet.currency, now=int(self._now())
        )

    def baseline(self, workflow: str, days: int) -> Baseline:
        """One workflow over the last days, today included. Raises BadInput, LedgerUnusable."""
        if workflow not in self._workflows():
            known = ", ".join(self._workflows()) or "none is described yet"
            raise BadInput(
                f"{workflow[:64]!r} is no workflow",
                next_step=f"describe it: [[budget.workflow]]; known here: {known}",
            )
        now = int(self._now())
        start, end = day_of(now) - (days - 1) * DAY_SECONDS, day_of(now) + DAY_SECONDS
        used, charges = self._used(start, end)
        mine, money = workflow_of(used, charges, workflow)
        parts = {who: each for who, each in used.items() if who.workflow == workflow}
        return Baseline(
            node=self._node,
            workflow=workflow,
            currency=self._books.sheet.currency,
            start=start,
            end=end,
            figures=figures(mine, money),
            dearest=dearest_misses(parts, money),
            rollback=rollback_time(self._rollbacks(start, end)),
            units=self._books.units(start, end, (workflow,)),
        )

    def _sample(self, now: int) -> Sample:
        """The last days, of the period before too: what money goes for begins anew with no month.
        Before the first day that cost anything nobody was there to count."""
        start = day_of(now) - DAYS_SAMPLED * DAY_SECONDS
        found = self._spending.days(start, now + 1, now)
        days = {day: sum(money.values()) for day, money in found.items()}
        first = min((day for day, cost in days.items() if cost), default=day_of(now))
        return sample(days, first_hour=self._spending.begun(first), now=now)

    def _rollback(self, month: Period) -> RollbackTime:
        return rollback_time(self._rollbacks(month.start, month.end))

    def _used(self, start: int, end: int) -> tuple[dict[Dimension, Amounts], Sequence[Charge]]:
        hours = self._books.ledger.hours(start, end)
        return totals(hours), rate(hours, self._books.sheet)
