"""A month beside the one before it: what changed, which misses cost most, what to do about them.

Owns the comparison and the advice (requirements A1, E6). Knows no ledger and no clock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from skerry.budget.core.money import rounded, share_out
from skerry.budget.core.outcomes import UnitFigures
from skerry.budget.core.rating import Charge, cost
from skerry.budget.core.rollback import RollbackTime, rollback_time
from skerry.budget.core.usage import NOTHING, Amounts, Dimension, Meter, answered, total

MILLION = 1_000_000
GB = 10**9
DEAREST = 3
_FROM_OUTSIDE = (Meter.INGRESS_BYTES, Meter.PULLS)


@dataclass(frozen=True, slots=True)
class Figures:
    """A month, a workflow or a window in numbers.

    Attributes:
        hit_ratio: hits among what was answered, in millionths; -1 without any. As everywhere, stale
            and joined answers are no hits, and refusals and failures are no answers.
        stale, joined: answered stale; joined to a fetch that was under way, or come from a sibling
            or the vault.
        per_thousand_micro: what a thousand requests cost; -1 without any.
        per_saved_gb_micro: what a gigabyte cost that was answered from here; -1 without any.
        avoided_micro: what those answers would have cost from outside: their gigabytes at the price
            that was paid for each that came, and a pull for each of them. Apart, since a check
            that a tag has not moved is a pull of no bytes.
    """

    cost_micro: int
    requests: int
    hit_ratio: int
    egress_bytes: int
    ingress_bytes: int
    saved_bytes: int
    per_thousand_micro: int
    per_saved_gb_micro: int
    avoided_micro: int
    stale: int = 0
    joined: int = 0


@dataclass(frozen=True, slots=True)
class Miss:
    """One kind of miss, and what to do about it. `kind` is `miss` (not here) or `pass` (never
    stored)."""

    what: str
    kind: str
    count: int
    ingress_bytes: int
    micro: int
    advice: str


@dataclass(frozen=True, slots=True)
class Report:
    """A month beside the one before it.

    Attributes:
        running: it is not over: its sums are no whole ones.
        before_begun_late: the month before was counted from some day on: nor are its sums.
    """

    node: str
    currency: str
    month: str
    before: str
    now_figures: Figures
    before_figures: Figures
    now_rollback: RollbackTime
    before_rollback: RollbackTime
    dearest: Sequence[Miss]
    advice: Sequence[str]
    units: Sequence[UnitFigures] = ()
    running: bool = False
    before_begun_late: bool = False


def figures(used: Amounts, charges: Sequence[Charge]) -> Figures:
    """The numbers of something that used so much."""
    money = cost(charges)
    requests, saved = used[Meter.REQUESTS], used[Meter.SAVED_BYTES]
    came, pulls = used[Meter.INGRESS_BYTES], used[Meter.PULLS]
    paid = {meter: sum(each.micro for each in charges if each.price.meter is meter)
            for meter in _FROM_OUTSIDE}  # fmt: skip
    here = used[Meter.HITS] + used[Meter.STALE] + used[Meter.SHARED]
    given = answered(used)
    return Figures(
        cost_micro=money,
        requests=requests,
        hit_ratio=used[Meter.HITS] * MILLION // given if given else -1,
        egress_bytes=used[Meter.EGRESS_BYTES],
        ingress_bytes=came,
        saved_bytes=saved,
        per_thousand_micro=rounded(money * 1000, requests) if requests else -1,
        per_saved_gb_micro=rounded(money * GB, saved) if saved else -1,
        avoided_micro=(rounded(paid[Meter.INGRESS_BYTES] * saved, came) if came else 0)
        + (rounded(paid[Meter.PULLS] * here, pulls) if pulls else 0),
        stale=used[Meter.STALE],
        joined=used[Meter.SHARED],
    )


def dearest_misses(
    used: Mapping[Dimension, Amounts], charges: Sequence[Charge], count: int = DEAREST
) -> tuple[Miss, ...]:
    """The kinds of miss that cost most, by what came from outside for them."""
    outside: dict[Dimension, int] = {}
    for charge in charges:
        if charge.price.meter in _FROM_OUTSIDE:
            outside[charge.dimension] = outside.get(charge.dimension, 0) + charge.micro
    found: list[Miss] = []
    for who, amounts in sorted(used.items()):
        misses, passes = amounts[Meter.MISSES], amounts[Meter.PASSES]
        money = share_out(outside.get(who, 0), (misses, passes))
        came = share_out(amounts[Meter.INGRESS_BYTES], (misses, passes))
        for kind, number, micro, size in zip(
            ("miss", "pass"), (misses, passes), money, came, strict=True
        ):
            if number:
                advice = _advice(who, kind, amounts)
                found.append(Miss(named(who), kind, number, size, micro, advice))
    found.sort(key=lambda each: (-each.micro, -each.ingress_bytes, -each.count, each.what))
    return tuple(found[:count])


def compare(
    node: str,
    currency: str,
    now: tuple[str, Mapping[Dimension, Amounts], Sequence[Charge]],
    before: tuple[str, Mapping[Dimension, Amounts], Sequence[Charge]],
    *,
    rollbacks: tuple[RollbackTime, RollbackTime] = (rollback_time(()), rollback_time(())),
    units: Sequence[UnitFigures] = (),
    running: bool = False,
    before_begun_late: bool = False,
) -> Report:
    """A month beside the one before it; each is its name, what was used and what that cost.
    `rollbacks` are those of this month and of the one before."""
    month, used, charges = now
    earlier, used_then, charges_then = before
    here, then = (
        figures(total(each.values()), money)
        for each, money in ((used, charges), (used_then, charges_then))
    )
    dearest = dearest_misses(used, charges)
    advice = [*_changes(here, then), *_slower(*rollbacks)]
    advice += [f"{each.what}: {each.advice}" for each in dearest]
    told = tuple(advice)
    return Report(
        node,
        currency,
        month,
        earlier,
        here,
        then,
        *rollbacks,
        dearest,
        told,
        units,
        running,
        before_begun_late,
    )


def named(who: Dimension) -> str:
    """A dimension for people."""
    if who.site:
        return f"{who.site}{who.route}"
    return who.upstream or f"{who.tenant} itself"


def workflow_of(
    used: Mapping[Dimension, Amounts], charges: Sequence[Charge], name: str
) -> tuple[Amounts, list[Charge]]:
    """The part of one workflow."""
    mine = [amounts for who, amounts in used.items() if who.workflow == name]
    return (
        total(mine) if mine else NOTHING,
        [charge for charge in charges if charge.dimension.workflow == name],
    )


def _advice(who: Dimension, kind: str, amounts: Amounts) -> str:
    if kind == "pass":
        if who.data_class == "sensitive":
            return (
                'nothing of it is stored: say data_class = "public" where that is true, on a'
                " route of its own"
            )
        return (
            "its answers may not be stored: see their Cache-Control, and Set-Cookie, at the origin"
        )
    if who.upstream:
        return (
            "warm and pin what is pulled every week (skerry warm, skerry pin), and give its tags a"
            " longer window"
        )
    if 2 * amounts[Meter.MISSES] > amounts[Meter.REQUESTS]:
        return (
            "most of it is asked for once: list the query parameters that count (query), or fetch"
            " it ahead (skerry prewarm)"
        )
    return "it is fetched again and again: give the route a longer fresh, or the store more room"


def _slower(now: RollbackTime, then: RollbackTime) -> list[str]:
    if now.seconds < 0:
        return ["no rollback was measured this month: drill one (skerry drill)"]
    if then.seconds >= 0 and now.of_drill == then.of_drill and now.seconds > 1.5 * then.seconds:
        return ["going back takes half as long again as in the month before: see skerry incidents"]
    return []


def _changes(now: Figures, then: Figures) -> list[str]:
    """What got worse since the month before, in words."""
    if then.requests == 0:
        return ["nothing was counted in the month before: there is nothing to compare with yet"]
    found: list[str] = []
    if now.hit_ratio >= 0 and now.hit_ratio + 20_000 < then.hit_ratio:
        found.append("the hit ratio fell by more than two points: look at the misses below")
    if now.per_thousand_micro > then.per_thousand_micro * 11 // 10 >= 0:
        found.append("a request costs over a tenth more than in the month before")
    return found
