"""What a cold start costs beside a warm one, what keeping costs, and what a flood costs.

Owns the arithmetic (requirements S3, D5), from what is counted already: there is no metric by the
object. Knows no ledger and no clock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from skerry.budget.core.money import rounded
from skerry.budget.core.prices import PriceSheet
from skerry.budget.core.rating import Charge
from skerry.budget.core.usage import NOTHING, Amounts, Dimension, Meter

MONTH_SECONDS = 30 * 86400
SHOWN_MAX = 10
_FROM_OUTSIDE = (Meter.INGRESS_BYTES, Meter.PULLS)
_KEPT = (Meter.STORE_BYTE_SECONDS,)


@dataclass(frozen=True, slots=True)
class Warmth:
    """One upstream or route, in micro-units.

    Attributes:
        answer_micro: what any answer costs, on the mean: a hit costs that.
        cold_micro: what one that is not here costs on top; None where nothing was missed.
        kept_month_micro: what is held of it costs so much in thirty days, as it was held so far.
        breaks_even: so many misses in a month cost what keeping does; None where a miss is free.
    """

    tenant: str
    what: str
    requests: int
    missed: int
    answer_micro: int
    cold_micro: int | None
    kept_month_micro: int
    breaks_even: int | None


@dataclass(frozen=True, slots=True)
class SourceUse:
    """What one class of sources caused since the start: misses that were paid for, those of them
    that found nothing, those that were refused, and bytes from outside."""

    source: str
    asked: int
    absent: int
    refused: int
    ingress_bytes: int


@dataclass(frozen=True, slots=True)
class SourceCost:
    """The same at the prices that hold now: what a flood of that class costs."""

    source: str
    asked: int
    absent: int
    refused: int
    ingress_bytes: int
    micro: int


def warmths(
    used: Mapping[Dimension, Amounts], charges: Sequence[Charge], *, passed_seconds: int
) -> tuple[Warmth, ...]:
    """The dearest first, by what came from outside and what is kept; some alone."""
    outside, kept, rest = (dict[tuple[str, str], int]() for _ in range(3))
    sums: dict[tuple[str, str], Amounts] = {}
    for who, amounts in used.items():
        sums[_place(who)] = sums.get(_place(who), NOTHING) + amounts
    for each in charges:
        meter, place = each.price.meter, _place(each.dimension)
        into = outside if meter in _FROM_OUTSIDE else kept if meter in _KEPT else rest
        into[place] = into.get(place, 0) + each.micro
    found = [
        _warmth(
            place,
            amounts,
            outside=outside.get(place, 0),
            kept=rounded(kept.get(place, 0) * MONTH_SECONDS, max(1, passed_seconds)),
            rest=rest.get(place, 0),
        )
        for place, amounts in sorted(sums.items())
        if place[1]
    ]
    found.sort(key=lambda each: -((each.cold_micro or 0) * each.missed + each.kept_month_micro))
    return tuple(found[:SHOWN_MAX])


def _place(who: Dimension) -> tuple[str, str]:
    return who.tenant, f"{who.site}{who.route}" if who.site else who.upstream


def _warmth(
    place: tuple[str, str], amounts: Amounts, *, outside: int, kept: int, rest: int
) -> Warmth:
    requests = amounts[Meter.REQUESTS]
    missed = amounts[Meter.MISSES] + amounts[Meter.PASSES]
    cold = rounded(outside, missed) if missed else None
    return Warmth(
        *place,
        requests=requests,
        missed=missed,
        answer_micro=rounded(rest, requests) if requests else 0,
        cold_micro=cold,
        kept_month_micro=kept,
        breaks_even=-(-kept // cold) if cold else None,
    )


def source_costs(uses: Sequence[SourceUse], sheet: PriceSheet, at: int) -> tuple[SourceCost, ...]:
    """What each class of sources caused, at the prices of a moment, the dearest first."""

    def priced(meter: Meter, quantity: int) -> int:
        price = sheet.at(meter, at)
        return 0 if price is None else price.rate(at).of(quantity)

    found = [
        SourceCost(
            use.source,
            use.asked,
            use.absent,
            use.refused,
            use.ingress_bytes,
            priced(Meter.INGRESS_BYTES, use.ingress_bytes)
            + priced(Meter.PULLS, use.asked)
            + priced(Meter.REQUESTS, use.asked + use.refused),
        )
        for use in uses
    ]
    return tuple(sorted(found, key=lambda each: (-each.micro, each.source)))
