"""The admin door's routes about money.

Owns their JSON. What things cost is `budget.bookkeeping`'s.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from skerry.app.admin.replies import Routes, headers_of, json_answer
from skerry.app.budget.outcomes import outcome_routes
from skerry.app.budget.room import NodeBudget
from skerry.base.errors import BadInput
from skerry.budget.core.focus import focus_csv
from skerry.budget.core.periods import DAY_SECONDS, Period, day_of, month_before, month_of
from skerry.budget.recorded import VERSION, LedgerHours, rows_of
from skerry.wire.message import Answer, Request

DAYS_MAX = 31
BASELINE_DAYS, BASELINE_DAYS_MAX = 7, 366
_MONTH = re.compile(r"(19[7-9]\d|2\d{3})-(0[1-9]|1[0-2])\Z", re.ASCII)


def budget_routes(budget: NodeBudget) -> Routes:
    """`/api/v1/costs` and what follows from the ledger."""

    aside = budget.aside

    async def costs(request: Request) -> Answer:
        return json_answer(await aside.read(budget.books.costs, _month(request, budget)))

    async def ledger(request: Request) -> Answer:
        start, stop = _span(request, budget)
        return await aside.read(_hours, budget, start, stop)

    async def focus(request: Request) -> Answer:
        month = _month(request, budget) or budget.books.month()
        return await aside.read(_focus, budget, month)

    async def verify(request: Request) -> Answer:
        return json_answer(await aside.read(budget.ledger.verify))

    async def state(request: Request) -> Answer:
        return json_answer(await budget.stand())

    async def report(request: Request) -> Answer:
        month = _month(request, budget) or budget.books.month()
        return json_answer(await aside.read(budget.desk.report, month))

    async def baseline(request: Request) -> Answer:
        workflow = request.query_value("workflow") or ""
        days = _days(request, most=BASELINE_DAYS_MAX) or BASELINE_DAYS
        return json_answer(await aside.read(budget.desk.baseline, workflow, days))

    return {
        "/api/v1/budget": {"GET": state},
        "/api/v1/report": {"GET": report},
        "/api/v1/baseline": {"GET": baseline},
        "/api/v1/costs": {"GET": costs},
        "/api/v1/ledger": {"GET": ledger},
        "/api/v1/ledger/focus": {"GET": focus},
        "/api/v1/ledger/verify": {"GET": verify},
        **outcome_routes(budget, lambda request: _month(request, budget)),
        **budget.alarm_desk.routes,
    }


def _hours(budget: NodeBudget, start: int, stop: int) -> Answer:
    """Off the loop, like every reading of a month: it may have a thousand rows an hour."""
    found = LedgerHours(
        version=VERSION,
        node=budget.name,
        at=budget.now,
        currency=budget.books.sheet.currency,
        held=budget.told(),
        ledger=budget.ledger.statistics(),
        hours=rows_of(budget.ledger.hours(start, stop)),
    )
    return json_answer(found)


def _focus(budget: NodeBudget, month: Period) -> Answer:
    charges = budget.books.charges(month.start, month.end)
    text = focus_csv(charges, node=budget.name, currency=budget.books.sheet.currency)
    return Answer(200, headers_of("text/csv; charset=utf-8"), text.encode())


def _span(request: Request, budget: NodeBudget) -> tuple[int, int]:
    """The hours of a month, or of its last days with `days`."""
    month = _month(request, budget) or budget.books.month()
    days = _days(request, most=DAYS_MAX)
    if not days:
        return month.start, month.end
    return max(month.start, day_of(budget.now) - (days - 1) * DAY_SECONDS), month.end


def _days(request: Request, *, most: int) -> int:
    """How many days are asked for; 0 for no wish."""
    text = request.query_value("days")
    if not text:
        return 0
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:5]) <= most):
        raise BadInput(f"{text[:20]!r} is no number of days", next_step=f"use 1 to {most}")
    return int(text[:5])


def _month(request: Request, budget: NodeBudget) -> Period | None:
    """The month that is asked for; None for the one that runs."""
    text = request.query_value("month")
    return None if text is None else month_named(text, budget)


def month_named(text: str, budget: NodeBudget) -> Period:
    """The month that somebody wrote. Raises BadInput."""
    if text == "last":
        return month_before(budget.books.month())
    match = _MONTH.match(text)
    if match is None:
        raise BadInput(f"{text[:40]!r} is no month", next_step="write it as 2026-01, or last")
    month = month_of(int(datetime(int(match[1]), int(match[2]), 1, tzinfo=UTC).timestamp()))
    if month.start > budget.now:
        raise BadInput(f"{text} has not begun", next_step="ask for a month up to this one (UTC)")
    return month
