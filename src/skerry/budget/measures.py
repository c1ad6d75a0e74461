"""The budget among the metrics: money has the same standing as latency (requirements P3).

Owns the families. Scopes come from the settings alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from skerry.budget.ladders import LadderStatistics
from skerry.telemetry.labels import Labels, Named
from skerry.telemetry.metrics import Registry

MILLION = 1_000_000
SCOPES = {"scope": Named("`node`, and the tenants that have a budget")}


def budget_metrics(metrics: Registry, read: Callable[[], Sequence[LadderStatistics]]) -> None:
    """Declares them; there are series for what has a budget alone."""

    def each(value: Callable[[LadderStatistics], float]) -> dict[Labels, float]:
        return {(ladder.scope,): value(ladder) for ladder in read()}

    def metered(value: Callable[[LadderStatistics], float]) -> dict[Labels, float]:
        """Nothing is said before it is known: a zero would look as if all were spent at once."""
        return {(ladder.scope,): value(ladder) for ladder in read() if ladder.metered}

    metrics.gauge(
        "skerry_budget_spent",
        "Money spent in the period that runs, by scope, in the sheet's currency.",
        lambda: metered(lambda ladder: ladder.spent_micro / MILLION),
        SCOPES,
    )
    metrics.gauge(
        "skerry_budget_amount",
        "Money that may be spent in a period, by scope.",
        lambda: each(lambda ladder: ladder.amount_micro / MILLION),
        SCOPES,
    )
    metrics.gauge(
        "skerry_budget_period_seconds",
        "How long the period is that a budget is for.",
        lambda: each(lambda ladder: ladder.period_seconds),
        SCOPES,
    )
    metrics.gauge(
        "skerry_budget_rung",
        "The rung that holds: 0 none, 1 notice, 2 unwarmed, 3 longer fresh, 4 shed low, 5 cached.",
        lambda: each(lambda ladder: ladder.rung),
        SCOPES,
    )
    metrics.gauge(
        "skerry_budget_burn",
        "Share of the budget spent over share of the period passed: above 1 it ends too early.",
        lambda: metered(lambda ladder: ladder.burn / MILLION),
        SCOPES,
    )
    metrics.gauge(
        "skerry_budget_warming_paused",
        "1 while nothing is fetched ahead because the budget burns above 1.",
        lambda: each(lambda ladder: float(ladder.warming_paused)),
        SCOPES,
    )
    metrics.gauge(
        "skerry_budget_blind",
        "1 while what is spent cannot be metered.",
        lambda: each(lambda ladder: float(ladder.blind)),
        SCOPES,
    )
