"""Costs as people and programs read them.

Owns the plain values of a month: a line for each dimension, and the sums.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from skerry.budget.core.rating import Charge, cost_by
from skerry.budget.core.usage import METERS, NOTHING, Dimension, Hour, totals
from skerry.budget.core.warmth import Warmth


@dataclass(frozen=True, slots=True)
class CostLine:
    """What one dimension used and cost. `used` is by meter, those that are not 0."""

    tenant: str
    site: str
    route: str
    upstream: str
    data_class: str
    workflow: str
    used: Mapping[str, int]
    micro: int


@dataclass(frozen=True, slots=True)
class Costs:
    """A month so far. `tenants` and `prices` each add up to `spent_micro`, as the lines do.
    `warmth`: what a cold start costs, and keeping."""

    period: str
    start: int
    end: int
    currency: str
    spent_micro: int
    tenants: Mapping[str, int]
    prices: Mapping[str, int]
    lines: Sequence[CostLine]
    warmth: Sequence[Warmth] = ()


def lines_of(hours: Iterable[Hour], charges: Iterable[Charge]) -> tuple[CostLine, ...]:
    """One line for each dimension, the dearest first."""
    used = totals(hours)
    money = cost_by(charges, lambda each: each.dimension)
    lines = [_line(who, used.get(who, NOTHING).values, money.get(who, 0)) for who in sorted(used)]
    return tuple(sorted(lines, key=lambda line: -line.micro))


def _line(who: Dimension, values: Sequence[int], micro: int) -> CostLine:
    used = {meter.value: value for meter, value in zip(METERS, values, strict=True) if value}
    return CostLine(
        who.tenant, who.site, who.route, who.upstream, who.data_class, who.workflow, used, micro
    )
