"""The settings of [budget] and [alarms]: what things cost, what may be spent, whom to tell.

Owns their shapes only. Money is written as text, as in `amount = "120.00"`: a float is not exact.
"""

from __future__ import annotations

import msgspec

from skerry.app.settings.units import Count, FilePath, Share


class TenantBudgetSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """[[budget.tenant]]: what one tenant may spend, and how its routes are treated."""

    name: str
    amount: str = ""
    priority: str = "normal"


class WorkflowSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """[[budget.workflow]]: a named set of routes and repositories, whose cost is told apart."""

    name: str
    routes: tuple[str, ...] = ()
    repositories: tuple[str, ...] = ()


class BudgetSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """[budget]: without an amount costs are told and nothing is held back."""

    prices_file: FilePath = ""
    amount: str = ""
    period: str = "month"
    notice: Share = 0.5
    stop_warming: Share = 0.8
    lengthen_freshness: Share = 0.85
    shed_low: Share = 0.9
    cached_only: Share = 1.0
    clear_below: Share = 0.05
    freshness_factor: Count = 4
    keep_minutes_days: Count = 40
    tenants: tuple[TenantBudgetSettings, ...] = msgspec.field(default=(), name="tenant")
    workflows: tuple[WorkflowSettings, ...] = msgspec.field(default=(), name="workflow")
