"""What must be true of budgets, prices and alarms before a node starts.

Owns the rules of [budget], and of `tenant` and `priority` wherever they stand. Reads the price
sheet.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from skerry.app.settings.budget import BudgetSettings
from skerry.app.settings.errors import Problem
from skerry.app.settings.rules import file_trouble, refused
from skerry.app.settings.schema import Settings
from skerry.base.errors import SkerryError
from skerry.budget.core.money import parse_money
from skerry.budget.core.periods import Every
from skerry.budget.core.plan import Priority
from skerry.budget.core.prices import BadPrices, PriceSheet, read_sheet

SHEET_BYTES_MAX = 1 << 20
TENANTS_MAX, WORKFLOWS_MAX = 64, 64
RUNGS = ("notice", "stop_warming", "lengthen_freshness", "shed_low", "cached_only")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")


def check_budget(settings: Settings) -> Iterator[Problem]:
    """Every rule that is broken, in the order of the file."""
    budget = settings.budget
    yield from _sheet(budget)
    yield from _amount("budget.amount", budget.amount)
    if budget.period not in {*Every}:
        yield refused("budget.period", budget.period, "is no period", "write month or day")
    yield from _rungs(budget)
    if not 1 <= budget.freshness_factor <= 100:
        value = budget.freshness_factor
        yield refused("budget.freshness_factor", value, "is out of bounds", "use 1 to 100")
    if not 1 <= budget.keep_minutes_days <= 3660:
        value = budget.keep_minutes_days
        yield refused("budget.keep_minutes_days", value, "is out of bounds", "use 1 to 3660")
    yield from _named(budget)
    yield from _owners(settings)
    amounts = [budget.amount, *(tenant.amount for tenant in budget.tenants)]
    if any(amounts) and not budget.prices_file:
        step = "name a price sheet: docs/operating/budget.md has one to copy"
        yield refused("budget.prices_file", "", "is needed to know what is spent", step)


def sheet_of(budget: BudgetSettings) -> PriceSheet:
    """The price sheet; one without prices when none is named. Raises BadPrices, OSError."""
    return sheet_in(sheet_text(budget), budget.prices_file)


def sheet_text(budget: BudgetSettings) -> str:
    """The price sheet as it is written, "" when none is named. Raises BadPrices, OSError."""
    if not budget.prices_file:
        return ""
    with Path(budget.prices_file).open("rb") as file:
        text = file.read(SHEET_BYTES_MAX + 1)
    if len(text) > SHEET_BYTES_MAX:
        # What is behind the limit may be the price that holds: never read a part of a sheet.
        raise BadPrices(f"{budget.prices_file} is over 1 MiB", next_step="leave old prices out")
    return text.decode("utf-8", "replace")


def sheet_in(text: str, named: str) -> PriceSheet:
    """The price sheet in a text; `named` is its file, "" for none. Raises BadPrices."""
    return read_sheet(text, named) if named else PriceSheet()


def _sheet(budget: BudgetSettings) -> Iterator[Problem]:
    field = "budget.prices_file"
    problems = list(file_trouble(field, budget.prices_file))
    yield from problems
    if not problems:
        try:
            sheet_of(budget)
        except SkerryError as error:
            yield refused(field, budget.prices_file, f"is refused: {error.what}", error.next_step)
        except OSError as error:
            yield refused(field, budget.prices_file, f"cannot be read: {error}", "check the file")


def _amount(field: str, text: str) -> Iterator[Problem]:
    if text:
        try:
            amount = parse_money(text)
        except SkerryError as error:
            yield refused(field, text, "is no amount of money", error.next_step)
        else:
            if not amount:
                yield refused(field, text, "lets nothing be spent", "leave it out for no budget")


def _rungs(budget: BudgetSettings) -> Iterator[Problem]:
    shares = [getattr(budget, name) for name in RUNGS]
    for name, share, before in zip(RUNGS, shares, (0.0, *shares), strict=False):
        if not before < share <= 10:
            step = f"let them rise: {', '.join(RUNGS)}"
            yield refused(f"budget.{name}", share, "is not above the rung before it", step)
    if not 0 <= budget.clear_below < budget.notice:
        step = "write how far below a rung the spent share has to be to leave it, as 0.05"
        yield refused("budget.clear_below", budget.clear_below, "is out of bounds", step)


def _named(budget: BudgetSettings) -> Iterator[Problem]:
    for kind, names, count_max in (
        ("tenant", [each.name for each in budget.tenants], TENANTS_MAX),
        ("workflow", [each.name for each in budget.workflows], WORKFLOWS_MAX),
    ):
        if len(names) > count_max:
            yield refused(f"budget.{kind}", len(names), "are too many", f"use {count_max} at most")
        for at, name in enumerate(names):
            field = f"budget.{kind}[{at}].name"
            if not _NAME.match(name) or name in ("node", "other"):
                step = "use letters, digits, dots, dashes and underscores, not node or other"
                yield refused(field, name, f"cannot be a {kind}'s name", step)
            if name in names[:at]:
                yield refused(field, name, "is named twice", "give each its own name")
    for at, tenant in enumerate(budget.tenants):
        yield from _amount(f"budget.tenant[{at}].amount", tenant.amount)
        yield from _priority(f"budget.tenant[{at}].priority", tenant.priority)
    for at, flow in enumerate(budget.workflows):
        if not flow.routes and not flow.repositories:
            step = 'name routes ("host/prefix") or repositories ("docker.io/library/*")'
            yield refused(f"budget.workflow[{at}]", flow.name, "holds nothing", step)


def _owners(settings: Settings) -> Iterator[Problem]:
    known = {tenant.name for tenant in settings.budget.tenants}
    owned = [("registry.local.tenant", settings.registry.local.tenant)]
    for at, upstream in enumerate(settings.upstreams):
        owned.append((f"upstream[{at}].tenant", upstream.tenant))
        yield from _priority(f"upstream[{at}].priority", upstream.priority or "normal")
    for at, site in enumerate(settings.sites):
        owned.append((f"site[{at}].tenant", site.tenant))
        for number, route in enumerate(site.routes):
            field = f"site[{at}].route[{number}].priority"
            yield from _priority(field, route.priority or "normal")
    for field, tenant in owned:
        if tenant and tenant not in known:
            yield refused(field, tenant, "is no tenant", "list it: [[budget.tenant]] with its name")


def _priority(field: str, text: str) -> Iterator[Problem]:
    if text not in {*Priority}:
        yield refused(field, text, "is no priority", f"write {', '.join(Priority)}")
