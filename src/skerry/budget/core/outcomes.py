"""What a workflow brought in: orders and revenue, as its shop reports them (requirements E6).

Owns the report's bounds and what an order costs and earns. Counters only: nothing here names a
customer. A correction or a refund is a report below zero. Knows no ledger and no clock.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from skerry.base.errors import BadInput
from skerry.budget.core.money import rounded
from skerry.budget.core.rating import Charge, cost
from skerry.budget.core.usage import Amounts, Dimension, Meter, total

ORDERS_MAX = 10**9
REVENUE_MICRO_MAX = 10**15
OUTCOMES_MAX = 5_000_000
"""Reports that a ledger takes, all in all; a shop that reports by the minute needs ten years."""
PAST_SECONDS_MAX, AHEAD_SECONDS_MAX = 400 * 86400, 86400
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,99}\Z", re.ASCII)
_CURRENCY = re.compile(r"[A-Z]{3}\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class Outcome:
    """One report.

    Attributes:
        key: whoever reports gives it; the same one again is the same report.
        at: when it was earned, seconds since the epoch.
        orders, revenue_micro: how many, and what for; below 0 to correct.
    """

    key: str
    at: int
    workflow: str
    orders: int
    revenue_micro: int
    currency: str

    def same_as(self, other: Outcome) -> bool:
        """Whether it says the same, whenever it was said."""
        mine, others = (
            (each.key, each.workflow, each.orders, each.revenue_micro, each.currency)
            for each in (self, other)
        )
        return mine == others


@dataclass(frozen=True, slots=True)
class Earned:
    """The sum of reports of one workflow in one currency."""

    workflow: str
    currency: str
    report_count: int
    orders: int
    revenue_micro: int


@dataclass(frozen=True, slots=True)
class UnitFigures:
    """A workflow by the request and by the order, in micro-units; None where there is nothing to
    divide by. Revenue in another currency than that of the prices is left out."""

    workflow: str
    requests: int
    cost_micro: int
    orders: int
    revenue_micro: int
    per_thousand_requests_micro: int | None
    cost_per_order_micro: int | None
    revenue_per_order_micro: int | None


def checked(outcome: Outcome, *, now: int, workflows: Sequence[str], currency: str) -> Outcome:
    """The report, within its bounds. `currency` is that of the price sheet, "" for none. Raises
    BadInput."""
    if not _KEY.match(outcome.key):
        raise BadInput(
            "the key is no key", next_step="send 1 to 100 letters, digits and . _ : - of your own"
        )
    if outcome.workflow not in workflows:
        known = ", ".join(workflows) or "none is described yet"
        what = f"{outcome.workflow[:64]!r} is no workflow"
        raise BadInput(what, next_step=f"describe it: [[budget.workflow]]; known here: {known}")
    if not _CURRENCY.match(outcome.currency) or (currency and outcome.currency != currency):
        wanted = currency or "three capital letters, such as EUR"
        raise BadInput(f"{outcome.currency[:8]!r} is another currency", next_step=f"send {wanted}")
    if abs(outcome.orders) > ORDERS_MAX or abs(outcome.revenue_micro) > REVENUE_MICRO_MAX:
        raise BadInput("that is more than a report may say", next_step="split it")
    if not outcome.orders and not outcome.revenue_micro:
        raise BadInput("nothing is reported", next_step="send orders, revenue_micro, or both")
    if not now - PAST_SECONDS_MAX <= outcome.at <= now + AHEAD_SECONDS_MAX:
        raise BadInput("at is too far away", next_step="send seconds since 1970, or leave it out")
    return outcome


def said_otherwise(key: str) -> BadInput:
    """Of a key that comes again with something else."""
    what = f"the key {key} was used for another report"
    return BadInput(what, next_step="send a new key for each report, also for a correction")


def unit_figures(
    used: Mapping[Dimension, Amounts],
    charges: Sequence[Charge],
    earned: Sequence[Earned],
    *,
    workflows: Sequence[str],
    currency: str,
) -> tuple[UnitFigures, ...]:
    """One for each workflow, in their order."""
    return tuple(
        _figures(
            name,
            total(each for who, each in used.items() if who.workflow == name)[Meter.REQUESTS],
            cost(each for each in charges if each.dimension.workflow == name),
            [e for e in earned if e.workflow == name and currency in ("", e.currency)],
        )
        for name in workflows
    )


def _figures(name: str, requests: int, money: int, earned: Sequence[Earned]) -> UnitFigures:
    orders = sum(each.orders for each in earned)
    revenue = sum(each.revenue_micro for each in earned)
    return UnitFigures(
        name,
        requests,
        money,
        orders,
        revenue,
        rounded(money * 1000, requests) if requests else None,
        rounded(money, orders) if orders > 0 else None,
        rounded(revenue, orders) if orders > 0 else None,
    )
