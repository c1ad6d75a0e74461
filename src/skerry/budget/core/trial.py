"""A price sheet and a budget over usage that is recorded: what it would have cost, and which rungs
would have held when.

Owns the replay. Prices are `rating`'s, rungs `ladder`'s, pauses `warming`'s, the end `forecast`'s:
what a node does with them at every look is done here at the end of every hour. Usage is taken as
it was; what a rung would have held back is not known. Reads no file and no clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from skerry.budget.core.forecast import DAYS_SAMPLED, Forecast, burn, forecast, sample
from skerry.budget.core.ladder import (
    Entered,
    Ladder,
    Left,
    Metered,
    Rung,
    RungTold,
    Steps,
    name_of,
    share_of,
    step,
)
from skerry.budget.core.limits import Limit, spent_of
from skerry.budget.core.periods import (
    DAY_SECONDS,
    HOUR_SECONDS,
    Every,
    Period,
    day_of,
    period_of,
)
from skerry.budget.core.prices import PRICED, PriceSheet
from skerry.budget.core.rating import COSTING, Charge, cost, cost_by, rate
from skerry.budget.core.usage import NOTHING, Amounts, Dimension, Hour, Meter
from skerry.budget.core.warming import Warming, judge


@dataclass(frozen=True, slots=True)
class Usage:
    """What a node has used, as it was recorded: one hour at least, in their order.

    Attributes:
        at: when it was taken, seconds since the epoch.
        currency: what the node told its costs in, "" without prices.
        held: which rungs were entered meanwhile, as far as the node remembered.
    """

    node: str
    at: int
    currency: str
    held: Sequence[RungTold]
    hours: Sequence[Hour]


@dataclass(frozen=True, slots=True)
class Rules:
    """The budget that is tried; without limits nothing climbs."""

    limits: Sequence[Limit] = ()
    steps: Steps = field(default_factory=Steps)
    every: Every = Every.MONTH


@dataclass(frozen=True, slots=True)
class Bill:
    """What usage costs by one sheet, in micro-units: tenants and prices each add up to all of it.

    Attributes:
        unpriced: what was used and cost nothing, by the name that a price of it would have; in
            base units of its meter.
    """

    currency: str
    spent_micro: int
    tenants: Mapping[str, int]
    prices: Mapping[str, int]
    unpriced: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Stay:
    """One rung of one budget: entered in the hour that began at `entered_at`, left at `left_at`, 0
    where it still held when the usage was taken."""

    scope: str
    period: str
    rung: str
    entered_at: int
    left_at: int = 0


@dataclass(frozen=True, slots=True)
class Course:
    """One budget in one period. `share` is what was spent of it and `burn` how fast, at its end or
    that of the usage, in millionths; `rung` the highest; `paused_hours` how many of the hours
    with use ended with warming paused, by burn."""

    scope: str
    period: str
    amount_micro: int
    spent_micro: int
    share: int
    burn: int
    rung: str
    paused_hours: int


def bill(hours: Sequence[Hour], sheet: PriceSheet) -> Bill:
    """What these hours cost."""
    charges = rate(hours, sheet)
    return Bill(
        currency=sheet.currency,
        spent_micro=cost(charges),
        tenants=dict(sorted(cost_by(charges, lambda each: each.dimension.tenant).items())),
        prices=cost_by(charges, lambda each: each.price.name),
        unpriced=_unpriced(hours, sheet),
    )


def held_always(sheet: PriceSheet, moment: int) -> PriceSheet:
    """The prices that hold at a moment, as if they had held since ever."""
    found = (sheet.at(meter, moment) for meter in COSTING)
    return PriceSheet(
        sheet.currency, tuple(replace(each, valid_from=0) for each in found if each is not None)
    )


def climb(
    hours: Sequence[Hour], sheet: PriceSheet, rules: Rules, *, now: int
) -> tuple[tuple[Course, ...], tuple[Stay, ...]]:
    """How each budget would have gone, and each rung of it, in the order of time. `now` is when the
    usage was taken: the last hour may not have been over."""
    scopes = [_Scope(limit, rules) for limit in rules.limits]
    before: Period | None = None
    over: dict[str, int] = {}
    today, spent = -1, dict[str, int]()
    for hour, money in running(hours, sheet) if scopes else ():
        period = period_of(hour, rules.every)
        if before is None or period != before:
            for scope in scopes:
                scope.begin(period, before)
            over, spent = {}, {}
        elif day_of(hour) != today:
            over = _sum(over, spent)
        before, today, spent = period, day_of(hour), money
        tenants = _sum(over, money)
        for scope in scopes:
            scope.look(hour, min(hour + HOUR_SECONDS, max(now, hour + 1)), tenants)
    if before is not None and now >= before.end:
        for scope in scopes:
            scope.end(before)
    courses = sorted((each for one in scopes for each in one.courses), key=lambda c: c.period)
    stays = sorted((each for one in scopes for each in one.stays), key=lambda s: s.entered_at)
    return tuple(courses), tuple(stays)


def running(hours: Sequence[Hour], sheet: PriceSheet) -> Iterator[tuple[int, dict[str, int]]]:
    """Each hour in which something was used, and what its day had cost by its end, by tenant: a
    day is priced as a whole, at each look anew (`rating`)."""
    begun = sorted({each.valid_from for each in sheet.prices})
    rows: dict[tuple[int, Dimension], Amounts] = {}
    today = -1
    for start, those in _by_hour(hours):
        if day_of(start) != today:
            rows, today = {}, day_of(start)
        # Hours under the same prices are one row: otherwise a day would be summed 24 times over.
        since = max([today, *(at for at in begun if at <= start)])
        for hour in those:
            place = (since, hour.dimension)
            rows[place] = rows.get(place, NOTHING) + hour.amounts
        day = (Hour(at, who, amounts) for (at, who), amounts in rows.items())
        yield start, cost_by(rate(day, sheet), lambda each: each.dimension.tenant)


def ends(hours: Sequence[Hour], sheet: PriceSheet, every: Every, *, now: int) -> Forecast | None:
    """Where the last period would have ended, judged at `now`; None when it was over by then."""
    period = period_of(hours[-1].start, every)
    if now >= period.end:
        return None
    charges = rate(hours, sheet)
    spent = cost(each for each in charges if each.start >= period.start)
    days = _days(charges, day_of(now) - DAYS_SAMPLED * DAY_SECONDS)
    first = min((day for day, micro in days.items() if micro), default=day_of(now))
    first_hour = min((each.start for each in hours if day_of(each.start) == first), default=first)
    seen = sample(days, first_hour=first_hour, now=now)
    return forecast(seen, spent_micro=spent, left_seconds=period.end - now)


class _Scope:
    """One budget on its way through the hours."""

    def __init__(self, limit: Limit, rules: Rules) -> None:
        self._limit = limit
        self._rules = rules
        self._ladder = Ladder()
        self._warming = Warming()
        self.courses: list[Course] = []
        self.stays: list[Stay] = []

    def begin(self, period: Period, before: Period | None) -> None:
        """A period begins with nothing spent: what still held of the one before ends with it."""
        if before is not None:
            self.end(before)
        self._warming = Warming()
        scope, amount = self._limit.scope, self._limit.amount_micro
        self.courses.append(Course(scope, period.name, amount, 0, 0, 0, name_of(Rung.NONE), 0))

    def end(self, period: Period) -> None:
        """A period is over: in the next one nothing is spent yet."""
        after = period_of(period.end, self._rules.every)
        self._step(Metered(after.name, 0), period.end)

    def look(self, hour: int, now: int, tenants: Mapping[str, int]) -> None:
        """After an hour."""
        period = period_of(hour, self._rules.every)
        spent, amount = spent_of(self._limit.scope, tenants), self._limit.amount_micro
        share = share_of(spent, amount)
        self._step(Metered(period.name, share), hour)
        passed, whole = now - period.start, period.seconds
        rate_now = burn(spent, amount, passed_seconds=passed, period_seconds=whole)
        self._warming = judge(self._warming, burn=rate_now, share=share)
        course = self.courses[-1]
        self.courses[-1] = replace(
            course,
            spent_micro=spent,
            share=share,
            burn=rate_now,
            rung=name_of(max(Rung[course.rung.upper()], self._ladder.rung)),
            paused_hours=course.paused_hours + self._warming.paused,
        )

    def _step(self, event: Metered, at: int) -> None:
        self._ladder, commands = step(self._ladder, event, self._rules.steps)
        for command in commands:
            match command:
                case Entered(rung):
                    stay = Stay(self._limit.scope, event.period, name_of(rung), at)
                    self.stays.append(stay)
                case Left(rung):
                    self.stays = [
                        replace(each, left_at=at)
                        if each.rung == name_of(rung) and not each.left_at
                        else each
                        for each in self.stays
                    ]


def _unpriced(hours: Iterable[Hour], sheet: PriceSheet) -> dict[str, int]:
    found: dict[str, int] = {}
    known: dict[int, list[tuple[str, Meter]]] = {}
    for hour in hours:
        if hour.start not in known:
            known[hour.start] = [
                (name, priced.meter)
                for name, priced in PRICED.items()
                if sheet.at(priced.meter, hour.start) is None
            ]
        for name, meter in known[hour.start]:
            if hour.amounts[meter]:
                found[name] = found.get(name, 0) + hour.amounts[meter]
    return found


def _by_hour(hours: Sequence[Hour]) -> Iterator[tuple[int, list[Hour]]]:
    found: dict[int, list[Hour]] = {}
    for hour in hours:
        found.setdefault(hour.start, []).append(hour)
    yield from sorted(found.items())


def _days(charges: Iterable[Charge], since: int) -> dict[int, int]:
    days = cost_by(charges, lambda each: day_of(each.start))
    return {day: micro for day, micro in days.items() if day >= since}


def _sum(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {name: one.get(name, 0) + other.get(name, 0) for name in {*one, *other}}
