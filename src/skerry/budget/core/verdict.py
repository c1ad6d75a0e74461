"""What a trial says: the whole of it, whether it stays within what is allowed, and what it cannot
know.

Owns the terms, the notes and what cannot be tried. The replay is `trial`'s.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from skerry.base.errors import BadInput, Party
from skerry.budget.core.forecast import Forecast
from skerry.budget.core.ladder import Rung, name_of
from skerry.budget.core.money import format_money
from skerry.budget.core.periods import HOUR_SECONDS, iso, period_of
from skerry.budget.core.prices import PriceSheet
from skerry.budget.core.trial import (
    Bill,
    Course,
    Rules,
    Stay,
    Usage,
    bill,
    climb,
    ends,
    held_always,
)


@dataclass(frozen=True, slots=True)
class Terms:
    """What is allowed: no rung above `rung_max`, no more money than `cost_max_micro`; None for no
    such term. `currency` is that of amounts, where it is another than the node's."""

    rung_max: Rung | None = None
    cost_max_micro: int | None = None
    currency: str = ""


@dataclass(frozen=True, slots=True)
class Trial:
    """What a sheet and a budget would have meant for some usage.

    Attributes:
        start, end: from the first hour with use to the end of the last one.
        bill: by the sheet that is tried; `against` by the other one, and `more_micro` what the
            first costs above it.
        forecast: where the last period would have ended, had it not been over.
        broken: each term that does not hold, in words; none when all is as allowed.
        notes: what the trial does not know, or leaves out.
    """

    node: str
    start: int
    end: int
    bill: Bill
    against: Bill | None
    more_micro: int
    courses: Sequence[Course]
    stays: Sequence[Stay]
    forecast: Forecast | None
    broken: Sequence[str]
    notes: Sequence[str]


def try_out(
    usage: Usage,
    sheet: PriceSheet,
    rules: Rules,
    terms: Terms,
    *,
    against: PriceSheet | None = None,
    as_of: int | None = None,
) -> Trial:
    """Tries them; `as_of` takes the prices that hold then for all of the usage. Raises BadInput
    for what cannot be compared, or would say nothing."""
    _refuse(usage, sheet, rules, terms, against)
    tried = sheet if as_of is None else held_always(sheet, as_of)
    paid = bill(usage.hours, tried)
    if not paid.prices:
        raise BadInput(
            "no price of the sheet holds for anything that was used: all of it would cost nothing",
            next_step="try the prices of a later day with --as-of, as --as-of 2027-01-01",
            party=Party.OPERATOR,
        )
    other = bill(usage.hours, against) if against is not None else None
    courses, stays = climb(usage.hours, tried, rules, now=usage.at)
    return Trial(
        node=usage.node,
        start=usage.hours[0].start,
        end=usage.hours[-1].start + HOUR_SECONDS,
        bill=paid,
        against=other,
        more_micro=paid.spent_micro - other.spent_micro if other else 0,
        courses=courses,
        stays=stays,
        forecast=ends(usage.hours, tried, rules.every, now=usage.at),
        broken=tuple(_broken(paid, courses, terms)),
        notes=tuple(_notes(usage, tried, rules, paid, stays)),
    )


def _refuse(
    usage: Usage, sheet: PriceSheet, rules: Rules, terms: Terms, against: PriceSheet | None
) -> None:
    if against is not None and against.currency != sheet.currency:
        raise _mixed(f"the two sheets are in {sheet.currency} and {against.currency}", "try one")
    meant = terms.currency or usage.currency or sheet.currency
    amounts = rules.limits or terms.cost_max_micro is not None
    if amounts and meant != sheet.currency:
        step = f"write amounts for it and say so with --currency {sheet.currency}, or try no budget"
        what = f"the sheet is in {sheet.currency}, and amounts are meant in {meant}"
        raise _mixed(what, step)
    if terms.rung_max is not None and not rules.limits:
        what = "there is no budget, so no rung is ever entered"
        raise BadInput(
            what, next_step="give one: --config FILE, or --set budget.amount=120.00",
            party=Party.OPERATOR,
        )  # fmt: skip


def _mixed(what: str, step: str) -> BadInput:
    return BadInput(f"{what}: that cannot be compared", next_step=step, party=Party.OPERATOR)


def _broken(paid: Bill, courses: Sequence[Course], terms: Terms) -> Iterator[str]:
    most = terms.cost_max_micro
    if most is not None and paid.spent_micro > most:
        spent, allowed = (format_money(each, paid.currency) for each in (paid.spent_micro, most))
        yield f"it costs {spent}, and {allowed} are allowed"
    if terms.rung_max is not None:
        for each in courses:
            if Rung[each.rung.upper()] > terms.rung_max:
                yield (
                    f"{each.scope} enters {each.rung} in {each.period}, and "
                    f"{name_of(terms.rung_max)} is the highest that is allowed"
                )


def _notes(
    usage: Usage, sheet: PriceSheet, rules: Rules, paid: Bill, stays: Sequence[Stay]
) -> Iterator[str]:
    first, last = usage.hours[0].start, usage.hours[-1].start
    held = [each for each in usage.held if Rung[each.rung.upper()] >= Rung.NO_WARMING]
    for each in held:
        yield (
            f"{each.rung} was entered by the budget of {each.scope} in {each.period} as it ran: "
            "what was held back then was not used, and is not in here"
        )
    if any(Rung[each.rung.upper()] >= Rung.NO_WARMING for each in stays):
        yield (
            "usage is taken as it was: what a rung would have held back goes on being used, so "
            "all after the first such rung is what it would be without its effect"
        )
    begun = period_of(first, rules.every)
    if rules.limits and first > begun.start:
        yield f"nothing is recorded of {begun.name} before {iso(first)}: its shares are without it"
    if paid.unpriced:
        yield f"without a price, in some hours or all: {', '.join(paid.unpriced)}"
    later = sum(each.valid_from > last for each in sheet.prices)
    if later:
        yield f"{later} of its prices begin after this usage and say nothing here: see --as-of"
