"""One month of the ledger, cut every way that is asked for.

Owns the putting together of days, parts and figures. Knows no ledger and no clock; what a thing
costs is `rating`'s, what a request costs is `report`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from skerry.budget.core.periods import DAY_SECONDS, Period, day_of
from skerry.budget.core.rating import Charge, cost, cost_by
from skerry.budget.core.report import Figures, figures, workflow_of
from skerry.budget.core.usage import Amounts, Dimension, Hour, total, totals

Parts = tuple[tuple[str, int], ...]

CUTS: Mapping[str, Callable[[Charge], str]] = {
    "tenant": lambda each: each.dimension.tenant,
    "site": lambda each: each.dimension.site,
    "route": lambda each: each.dimension.site and each.dimension.site + each.dimension.route,
    "upstream": lambda each: each.dimension.upstream,
    "workflow": lambda each: each.dimension.workflow,
    "data class": lambda each: each.dimension.data_class,
    "price": lambda each: each.price.name,
}
"""Every way that costs are cut; what a dimension does not say is the part called ""."""


@dataclass(frozen=True, slots=True)
class MonthBook:
    """A month. `days` and each of `cuts` add up to `spent_micro`.

    Attributes:
        days: by date, every day up to the last one that has begun, empty ones too.
        cuts: by the names of `CUTS`, the dearest part first.
        workflows: those that used anything, by name.
        sites, upstreams: what each used, by name.
    """

    period: str
    start: int
    end: int
    currency: str
    spent_micro: int
    days: Parts
    cuts: Mapping[str, Parts]
    figures: Figures
    workflows: tuple[tuple[str, Figures], ...]
    sites: tuple[tuple[str, Amounts], ...] = ()
    upstreams: tuple[tuple[str, Amounts], ...] = ()


def month_book(
    period: Period,
    hours: Sequence[Hour],
    charges: Sequence[Charge],
    *,
    currency: str,
    now: int,
) -> MonthBook:
    """A month's hours and their charges; `now` tells which of its days have begun."""
    used = totals(hours)
    by_day = cost_by(charges, lambda each: day_of(each.start))
    begun = range(period.start, min(period.end, now + 1), DAY_SECONDS)
    days = sorted({*begun, *by_day})
    return MonthBook(
        period=period.name,
        start=period.start,
        end=period.end,
        currency=currency,
        spent_micro=cost(charges),
        days=tuple((date_of(day), by_day.get(day, 0)) for day in days),
        cuts={name: _dearest(cost_by(charges, key)) for name, key in CUTS.items()},
        figures=figures(total(used.values()), charges),
        workflows=tuple(_workflows(used, charges)),
        sites=_used_by(used, lambda who: who.site),
        upstreams=_used_by(used, lambda who: who.upstream),
    )


def date_of(at: int) -> str:
    """2026-06-07"""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d}"


def _used_by(
    used: Mapping[Dimension, Amounts], key: Callable[[Dimension], str]
) -> tuple[tuple[str, Amounts], ...]:
    names = sorted({key(who) for who in used} - {""})
    return tuple(
        (name, total(each for who, each in used.items() if key(who) == name)) for name in names
    )


def _workflows(
    used: Mapping[Dimension, Amounts], charges: Sequence[Charge]
) -> Iterable[tuple[str, Figures]]:
    for name in sorted({who.workflow for who in used if who.workflow}):
        yield name, figures(*workflow_of(used, charges, name))


def _dearest(money: Mapping[str, int]) -> Parts:
    return tuple(sorted(money.items(), key=lambda each: (-each[1], each[0])))
