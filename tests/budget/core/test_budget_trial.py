"""A sheet and a budget over recorded usage: the node's own money, and its own rungs."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.base.errors import BadInput
from skerry.budget.core.forecast import Forecast
from skerry.budget.core.ladder import Rung, RungTold, Steps
from skerry.budget.core.limits import WHOLE, Limit
from skerry.budget.core.money import MICRO
from skerry.budget.core.periods import Every, day_of, iso, month_of, period_of
from skerry.budget.core.prices import PriceSheet, read_sheet
from skerry.budget.core.rating import cost, cost_by, rate
from skerry.budget.core.trial import Rules, Usage, climb, running
from skerry.budget.core.usage import Amounts, Dimension, Hour, Meter
from skerry.budget.core.verdict import Terms, Trial, try_out

ROW = '[[price]]\nmeter = "{}"\nprice = "{}"\ncurrency = "EUR"\nunit = "{}"\nperiod = "{}"\n'
SHEET = read_sheet(
    ROW.format("egress", "0.0873", "GB", "use") + "valid_from = 2026-01-01\n"
    + ROW.format("egress", "0.1", "GB", "use") + "valid_from = 2026-01-10T13:00:00Z\n"
    + ROW.format("storage", "0.021", "GiB", "month") + "valid_from = 2026-01-01\n"
    + ROW.format("requests", "0.4", "million requests", "use") + "valid_from = 2026-02-01\n",
    "prices.toml",
)  # fmt: skip
PLAIN = read_sheet(ROW.format("egress", "1", "GB", "use") + "valid_from = 2026-01-01\n", "p.toml")
START = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp())
HOURS = 60 * 24
OWNERS = [Dimension(name, route=route) for name in "abc" for route in ("/x", "/y")]

hours_used = st.dictionaries(
    st.tuples(st.integers(0, HOURS - 1), st.sampled_from(OWNERS)),
    st.builds(
        lambda egress, requests, held: Amounts.of(
            {
                Meter.EGRESS_BYTES: egress,
                Meter.REQUESTS: requests,
                Meter.STORE_BYTE_SECONDS: held,
            }
        ),
        st.integers(1, 10**13),
        st.integers(0, 10**7),
        st.integers(0, 10**16),
    ),
    min_size=1,
    max_size=40,
).map(lambda found: [Hour(START + at * 3600, who, used) for (at, who), used in found.items()])


def usage(hours: list[Hour], *held: RungTold, currency: str = "EUR") -> Usage:
    in_order = sorted(hours, key=lambda each: (each.start, each.dimension))
    return Usage("rock", in_order[-1].start + 3600, currency, held, in_order)


def steady(gigabytes: float, *, days: int, who: str = "a", since: int = START) -> list[Hour]:
    """So much out in every hour of some days."""
    used = Amounts.of({Meter.EGRESS_BYTES: round(gigabytes * 10**9)})
    return [Hour(since + at * 3600, Dimension(who), used) for at in range(days * 24)]


def tried(hours: list[Hour], *limits: Limit, sheet: PriceSheet = PLAIN, **terms: object) -> Trial:
    return try_out(usage(hours), sheet, Rules(limits), Terms(**terms))  # type: ignore[arg-type]


@given(hours_used)
def test_the_sheet_that_was_in_force_gives_the_ledgers_own_money_to_the_micro_unit(
    used: list[Hour],
) -> None:
    charges = rate(used, SHEET)
    amount = Limit(WHOLE, 10**15)
    found = try_out(usage(used), SHEET, Rules((amount,)), Terms(), against=SHEET)
    assert found.bill.spent_micro == cost(charges)
    assert found.bill.tenants == cost_by(charges, lambda each: each.dimension.tenant)
    assert found.bill.prices == cost_by(charges, lambda each: each.price.name)
    assert (found.more_micro, found.against) == (0, found.bill)
    assert sum(each.spent_micro for each in found.courses) == cost(charges)


@given(hours_used)
def test_at_every_hour_a_day_has_cost_what_its_hours_so_far_cost(used: list[Hour]) -> None:
    for hour, money in running(used, SHEET):
        so_far = [u for u in used if day_of(u.start) == day_of(hour) and u.start <= hour]
        assert money == cost_by(rate(so_far, SHEET), lambda each: each.dimension.tenant)


@given(hours_used, st.sampled_from(Every), st.integers(1, 10**10))
def test_rungs_are_entered_at_the_first_hour_whose_share_reaches_them(
    used: list[Hour], every: Every, amount: int
) -> None:
    """By the long way: every hour's share from all hours of its period, priced anew."""
    rules = Rules((Limit(WHOLE, amount),), every=every)
    now = usage(used).at
    _, stays = climb(usage(used).hours, SHEET, rules, now=now)
    entered = {(each.period, each.rung): each.entered_at for each in stays}
    expected: dict[tuple[str, str], int] = {}
    for hour in sorted({each.start for each in used}):
        period = period_of(hour, every)
        so_far = [each for each in used if period.start <= each.start <= hour]
        share = cost(rate(so_far, SHEET)) * MICRO // amount
        for rung in Rung:
            if rung and share >= Steps().trip(rung):
                expected.setdefault((period.name, rung.name.lower()), hour)
    assert entered == expected
    ends = [(period_of(each.entered_at, every).end, each.left_at) for each in stays]
    assert all(left == (end if end <= now else 0) for end, left in ends)


def test_a_rung_holds_from_its_hour_to_the_end_of_the_period_for_node_and_tenant() -> None:
    hours = steady(1, days=32) + steady(0.25, days=32, who="b")
    found = tried(hours, Limit(WHOLE, 1000 * MICRO), Limit("b", 1000 * MICRO))
    node = {each.rung: (each.entered_at, each.left_at) for each in found.stays}
    month = month_of(START)
    # 1.25 EUR an hour: half of it is spent when 400 hours are over, in the hour before.
    assert node["notice"] == (START + 399 * 3600, month.end)
    assert node["no_warming"] == (START + 639 * 3600, month.end)
    assert {each.scope for each in found.stays} == {WHOLE}
    assert [(each.scope, each.period, each.rung) for each in found.courses] == [
        (WHOLE, "2026-01", "shed_low"),
        ("b", "2026-01", "none"),
        (WHOLE, "2026-02", "none"),
        ("b", "2026-02", "none"),
    ]
    assert found.courses[0].spent_micro == 930 * MICRO
    assert found.courses[0].share == 930_000


def test_a_day_is_a_period_too_and_what_still_holds_at_the_end_is_not_left() -> None:
    rules = Rules((Limit(WHOLE, 23 * MICRO),), every=Every.DAY)
    found = try_out(usage(steady(1, days=2)[:-1]), PLAIN, rules, Terms())
    last = [each for each in found.stays if each.rung == "cached_only"]
    day = START + 86400
    assert [(each.period, each.entered_at, each.left_at) for each in last] == [
        ("2026-01-01", day - 2 * 3600, day),
        ("2026-01-02", day + 22 * 3600, 0),
    ]


def test_a_period_that_runs_ends_where_the_forecast_says_and_one_that_is_over_nowhere() -> None:
    running_month = tried(steady(1, days=10))
    whole = 31 * 24 * MICRO
    assert running_month.forecast == Forecast(whole, whole, whole, 7)
    assert tried(steady(1, days=31)).forecast is None


def test_warming_pauses_while_money_goes_faster_than_time() -> None:
    found = tried(steady(1, days=10), Limit(WHOLE, 400 * MICRO))
    (course,) = found.courses
    assert course.burn == 240 * 31 * MICRO // (400 * 10)
    assert course.paused_hours == 240 - 3, "before a hundredth is spent burn says nothing"


@pytest.mark.parametrize(
    ("amount", "rung", "broken"),
    [(1000, Rung.NONE, 0), (300, Rung.NO_WARMING, 0), (300, Rung.NOTICE, 1)],
)
def test_a_rung_above_the_one_that_is_allowed_breaks_the_terms(
    amount: int, rung: Rung, broken: int
) -> None:
    found = tried(steady(1, days=10), Limit(WHOLE, amount * MICRO), rung_max=rung)
    assert len(found.broken) == broken
    if broken:
        assert "node enters no_warming in 2026-01" in found.broken[0]


@pytest.mark.parametrize(("most", "broken"), [(240 * MICRO, 0), (240 * MICRO - 1, 1)])
def test_money_above_what_is_allowed_breaks_the_terms(most: int, broken: int) -> None:
    assert len(tried(steady(1, days=10), cost_max_micro=most).broken) == broken


def test_prices_to_come_are_tried_as_of_their_day_and_otherwise_told_of() -> None:
    later = read_sheet(
        ROW.format("egress", "1", "GB", "use") + "valid_from = 2026-01-01\n"
        + ROW.format("egress", "2", "GB", "use") + "valid_from = 2027-01-01\n",
        "p.toml",
    )  # fmt: skip
    used, coming = usage(steady(1, days=1)), later.prices[1].valid_from
    now = try_out(used, later, Rules(), Terms())
    assert now.bill.spent_micro == 24 * MICRO
    assert any("1 of its prices begin after this usage" in note for note in now.notes)
    then = try_out(used, later, Rules(), Terms(), against=later, as_of=coming)
    assert (then.bill.spent_micro, then.more_micro) == (48 * MICRO, 24 * MICRO)
    assert then.notes == ()
    with pytest.raises(BadInput, match="no price of the sheet holds"):
        try_out(used, replace(later, prices=later.prices[1:]), Rules(), Terms())


def test_it_says_what_it_does_not_know() -> None:
    limit, late = Limit(WHOLE, 100 * MICRO), START + 5 * 86400
    held = RungTold("b", "2026-01", "shed_low"), RungTold("node", "2026-01", "notice")
    hours = steady(1, days=10, since=late)
    used = replace(hours[0], amounts=hours[0].amounts + Amounts.of({Meter.PULLS: 3}))
    notes = try_out(usage([used, *hours[1:]], *held), PLAIN, Rules((limit,)), Terms()).notes
    wanted = (
        "shed_low was entered by the budget of b in 2026-01 as it ran",
        "usage is taken as it was",
        f"nothing is recorded of 2026-01 before {iso(late)}",
        "without a price, in some hours or all: pulls",
    )
    assert [note.startswith(want) for note, want in zip(notes, wanted, strict=True)] == [True] * 4
    quiet = try_out(usage(steady(1, days=1)), PLAIN, Rules((limit,)), Terms())
    assert quiet.notes == (), "a notice holds nothing back, and the month is whole"


def test_what_cannot_be_compared_is_refused() -> None:
    used, dollars = steady(1, days=1), replace(PLAIN, currency="USD")
    with pytest.raises(BadInput, match="the two sheets are in EUR and USD"):
        try_out(usage(used), PLAIN, Rules(), Terms(), against=dollars)
    limited = Rules((Limit(WHOLE, MICRO),))
    with pytest.raises(BadInput, match="the sheet is in USD, and amounts are meant in EUR"):
        try_out(usage(used), dollars, limited, Terms())
    with pytest.raises(BadInput, match="amounts are meant in EUR"):
        try_out(usage(used), dollars, Rules(), Terms(cost_max_micro=1))
    assert try_out(usage(used), dollars, Rules(), Terms()).bill.currency == "USD"
    assert try_out(usage(used), dollars, limited, Terms(currency="USD")).stays
    with pytest.raises(BadInput, match="there is no budget"):
        try_out(usage(used), PLAIN, Rules(), Terms(rung_max=Rung.NONE))
