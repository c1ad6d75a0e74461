"""The ladders of one node, from its settings.

Owns the translation, and what hears of a rung. Holds no policy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from skerry.app.budget.limits import limits_of, steps_of
from skerry.app.doors.hot_tables import HotTables
from skerry.app.settings.schema import Settings
from skerry.base.clock import Clock
from skerry.budget.bookkeeping import Bookkeeping
from skerry.budget.core.periods import Every
from skerry.budget.ladders import Ladders
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
        limits=limits_of(budget),
        steps=steps_of(budget),
        every=Every(budget.period),
        clock=node.clock,
        trusted_now=trusted_now,
        blind=blind,
        events=node.events,
        alarms=node.alarms,
        changed=node.hot.forget_all,
    )
