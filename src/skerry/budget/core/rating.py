"""What usage costs: the ledger's hours and a price sheet become charges.

Owns the rule (requirements S3): of each meter, all that a day used under one price is priced once
for the whole node, and the money is shared out by use. So tenants, routes and workflows add up to
the node to the micro-unit, and the same hours always give the same money, in any order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from skerry.budget.core.money import share_out
from skerry.budget.core.periods import day_of
from skerry.budget.core.prices import PRICED, Price, PriceSheet
from skerry.budget.core.usage import Dimension, Hour

K = TypeVar("K")
COSTING = tuple(dict.fromkeys(priced.meter for priced in PRICED.values()))
"""The meters that may have a price, in their order."""


@dataclass(frozen=True, slots=True)
class Charge:
    """What one dimension used of one meter on one day under one price, and its money.

    Attributes:
        start, end: the hours of that day for which the price held, seconds since the epoch.
        quantity: in the meter's base units.
    """

    start: int
    end: int
    dimension: Dimension
    price: Price
    quantity: int
    micro: int


def rate(hours: Iterable[Hour], sheet: PriceSheet) -> tuple[Charge, ...]:
    """The charges of these hours, in an order of their own. What has no price costs nothing."""
    used: dict[tuple[int, Price], dict[Dimension, int]] = {}
    known: dict[int, list[Price | None]] = {}
    for hour in hours:
        if hour.start not in known:
            known[hour.start] = [sheet.at(meter, hour.start) for meter in COSTING]
        for meter, price in zip(COSTING, known[hour.start], strict=True):
            quantity = hour.amounts[meter]
            if price is not None and quantity:
                parts = used.setdefault((day_of(hour.start), price), {})
                parts[hour.dimension] = parts.get(hour.dimension, 0) + quantity
    charges: list[Charge] = []
    for (day, price), parts in sorted(used.items(), key=lambda item: _order(*item[0])):
        dimensions = sorted(parts)
        quantities = [parts[each] for each in dimensions]
        money = share_out(price.rate(day).of(sum(quantities)), quantities)
        start, end = _held(day, price, sheet)
        for dimension, quantity, micro in zip(dimensions, quantities, money, strict=True):
            charges.append(Charge(start, end, dimension, price, quantity, micro))
    return tuple(charges)


def cost_by(charges: Iterable[Charge], key: Callable[[Charge], K]) -> dict[K, int]:
    """The money of each key, in micro-units."""
    found: dict[K, int] = {}
    for charge in charges:
        found[key(charge)] = found.get(key(charge), 0) + charge.micro
    return found


def cost(charges: Iterable[Charge]) -> int:
    """All of it, in micro-units."""
    return sum(charge.micro for charge in charges)


def _order(day: int, price: Price) -> tuple[int, int, int]:
    return day, COSTING.index(price.meter), price.valid_from


def _held(day: int, price: Price, sheet: PriceSheet) -> tuple[int, int]:
    """The part of a day for which a price held."""
    start, end = max(day, price.valid_from), day + 86400
    for other in sheet.prices:
        if other.meter is price.meter and start < other.valid_from < end:
            end = other.valid_from
    return start, end
