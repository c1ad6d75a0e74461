"""What may be spent, and from which share each rung holds, from the settings.

Owns the translation only.
"""

from __future__ import annotations

from skerry.app.settings.budget import BudgetSettings
from skerry.app.settings.checks.budget import RUNGS
from skerry.budget.core.ladder import MILLION, Steps
from skerry.budget.core.limits import WHOLE, Limit
from skerry.budget.core.money import parse_money


def limits_of(budget: BudgetSettings) -> list[Limit]:
    """The node's own and those of tenants; none for whoever has no amount."""
    scopes = [(WHOLE, budget.amount), *((each.name, each.amount) for each in budget.tenants)]
    return [Limit(scope, parse_money(amount)) for scope, amount in scopes if amount]


def steps_of(budget: BudgetSettings) -> Steps:
    """The steps of every ladder."""
    shares: list[float] = [getattr(budget, name) for name in RUNGS]
    return Steps(tuple(_millionths(share) for share in shares), _millionths(budget.clear_below))


def _millionths(share: float) -> int:
    return round(share * MILLION)
