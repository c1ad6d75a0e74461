"""The ladders of one node, from its settings.

Owns the translation, and what hears of a rung. Holds no policy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from skerry.app.doors.hot_tables import HotTables
from skerry.app.settings.budget import BudgetSettings
from skerry.app.settings.checks.budget import RUNGS
from skerry.app.settings.schema import Settings
from skerry.base.clock import Clock
from skerry.budget.bookkeeping import Bookkeeping
from skerry.budget.core.ladder import MILLION, Steps
from skerry.budget.core.money import parse_money
from skerry.budget.core.periods import Every
from skerry.budget.ladders import WHOLE, Ladders, Limit
from skerry.budget.ports import Ledger
from skerry.budget.spending import Spending
from skerry.telemetry.alarms import Alarms
from skerry.telemetry.events import Events


class Site(Protocol):
    """What the node hands over."""

    settings: Settings
    clock: Clock
    events: Events
    alarms: Alarms
    hot: HotTables


def ladders_of(
    node: Site,
    *,
    ledger: Ledger,
    books: Bookkeeping,
    trusted_now: Callable[[], float],
    blind: Callable[[], bool],
) -> Ladders:
    """The ladders of the node and of each tenant that has an amount; none where nobody has."""
    budget = node.settings.budget
    return Ladders(
        ledger=ledger,
        spending=Spending(books),
        limits=_limits(budget),
        steps=_steps(budget),
        every=Every(budget.period),
        clock=node.clock,
        trusted_now=trusted_now,
        blind=blind,
        events=node.events,
        alarms=node.alarms,
        changed=node.hot.forget_all,
    )


def _limits(budget: BudgetSettings) -> list[Limit]:
    scopes = [(WHOLE, budget.amount), *((each.name, each.amount) for each in budget.tenants)]
    return [Limit(scope, parse_money(amount)) for scope, amount in scopes if amount]


def _steps(budget: BudgetSettings) -> Steps:
    shares: list[float] = [getattr(budget, name) for name in RUNGS]
    return Steps(tuple(_millionths(share) for share in shares), _millionths(budget.clear_below))


def _millionths(share: float) -> int:
    return round(share * MILLION)
