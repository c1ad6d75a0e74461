"""The admin door's routes about what workflows bring in.

Owns their JSON. What an order costs is `budget.core.outcomes`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from skerry.app.admin.replies import Routes, json_answer, read_body
from skerry.app.budget.room import NodeBudget
from skerry.budget.core.outcomes import Earned, Outcome, UnitFigures, checked
from skerry.budget.core.periods import Period
from skerry.wire.message import Answer, Request

LATEST_MAX = 100


class OutcomeRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of POST /api/v1/outcomes. Money is in millionths; no `at` is now."""

    key: str
    workflow: str
    currency: str
    orders: int = 0
    revenue_micro: int = 0
    at: int | None = None


@dataclass(frozen=True, slots=True)
class OutcomeTaken:
    """The answer of POST /api/v1/outcomes: `counted` is False for a report that was there."""

    key: str
    counted: bool


@dataclass(frozen=True, slots=True)
class OutcomeList:
    """The answer of GET /api/v1/outcomes."""

    period: str
    currency: str
    units: Sequence[UnitFigures]
    earned: Sequence[Earned]
    latest: Sequence[Outcome]


def outcome_routes(budget: NodeBudget, month_of: Callable[[Request], Period | None]) -> Routes:
    """`/api/v1/outcomes`."""

    def workflows() -> list[str]:
        return [flow.name for flow in budget.accounts.plan.workflows]

    async def take(request: Request) -> Answer:
        said = await read_body(request, OutcomeRequest)
        outcome = Outcome(
            said.key,
            budget.now if said.at is None else said.at,
            said.workflow,
            said.orders,
            said.revenue_micro,
            said.currency,
        )
        sheet = budget.books.sheet.currency
        checked(outcome, now=budget.now, workflows=workflows(), currency=sheet)
        return json_answer(OutcomeTaken(said.key, await budget.ledger.report(outcome)))

    async def show(request: Request) -> Answer:
        month = month_of(request) or budget.books.month()

        def read() -> OutcomeList:
            return OutcomeList(
                month.name,
                budget.books.sheet.currency,
                budget.books.units(month.start, month.end, workflows()),
                budget.ledger.earned(month.start, month.end),
                budget.ledger.outcomes(month.start, month.end, LATEST_MAX),
            )

        return json_answer(await budget.aside.read(read))

    return {"/api/v1/outcomes": {"GET": show, "POST": take}}
