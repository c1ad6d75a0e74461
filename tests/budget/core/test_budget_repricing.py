"""Another sheet: what has been told stays, to the micro-unit, or the sheet is refused."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from skerry.budget.core.periods import DAY_SECONDS, iso
from skerry.budget.core.prices import PriceSheet, read_sheet
from skerry.budget.core.rating import cost, cost_by, rate
from skerry.budget.core.repricing import changes, rewritten
from skerry.budget.core.usage import Amounts, Dimension, Hour, Meter

START = 1_767_225_600  # 2026-01-01
SPAN_HOURS = 40
STOP = START + SPAN_HOURS * 3600
ROW = '[[price]]\nmeter = "{}"\nprice = "{}"\ncurrency = "EUR"\nunit = "{}"\nperiod = "{}"\n'


def egress(price: str, hour: int, unit: str = "GB") -> str:
    """`hour` is counted from the start of the ledger."""
    return ROW.format("egress", price, unit, "use") + f"valid_from = {iso(START + hour * 3600)}\n"


def storage(price: str, period: str) -> str:
    return ROW.format("storage", price, "GB", period) + "valid_from = 2026-01-01\n"


def sheet(*rows: str) -> PriceSheet:
    return read_sheet("".join(rows), "prices.toml")


OLD = sheet(egress("0.08", -48), egress("0.10", 13))
prices = st.dictionaries(
    st.integers(-3, SPAN_HOURS + 6),
    st.sampled_from(["0.08", "0.080", "0.1", "0.00007"]),
    max_size=4,
).map(lambda found: [egress(price, hour) for hour, price in found.items()])
usage = st.lists(
    st.builds(
        Hour,
        st.integers(0, SPAN_HOURS - 1).map(lambda hour: START + hour * 3600),
        st.sampled_from([Dimension("ann"), Dimension("bob"), Dimension("cy")]),
        st.integers(1, 10**7).map(lambda count: Amounts.of({Meter.EGRESS_BYTES: count})),
    ),
    max_size=40,
)


@given(prices, prices, usage)
def test_a_sheet_that_is_taken_gives_the_same_usage_the_same_money(
    before: list[str], after: list[str], used: list[Hour]
) -> None:
    assume(before and after)
    old, new = sheet(*before), sheet(*after)
    found = rewritten(old, new, start=START, stop=STOP)
    if found is not None:
        assert START <= found.at < STOP
        return
    charges = rate(used, new)
    told = cost_by(rate(used, old), lambda each: (each.dimension, each.start // DAY_SECONDS))
    assert cost_by(charges, lambda each: (each.dimension, each.start // DAY_SECONDS)) == told
    assert sum(told.values()) == cost(charges)


@given(prices, usage)
def test_a_sheet_with_more_from_the_end_on_rewrites_nothing(
    before: list[str], used: list[Hour]
) -> None:
    assume(before)
    old = sheet(*before)
    known = {each.valid_from for each in old.prices}
    assume(STOP not in known)
    new = sheet(*before, egress("0.5", SPAN_HOURS))
    assert rewritten(old, new, start=START, stop=STOP) is None
    assert cost(rate(used, new)) == cost(rate(used, old))


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([egress("0.09", -48), egress("0.10", 13)], "egress cost 0.08 per GB from"),
        ([egress("0.08", -48)], "egress cost 0.1 per GB from 2026-01-01T13:00:00Z on"),
        ([egress("0.08", -48), egress("0.10", 14)], "would have cost 0.08 per GB"),
        ([egress("0.08", -48), egress("0.08", 3), egress("0.10", 13)], "began at another hour"),
        ([egress("0.08", -48), egress("0.10", 13), storage("0.02", "month")], "storage cost noth"),
        ([storage("0.02", "month")], "would have cost nothing"),
    ],
)
def test_what_a_sheet_says_otherwise_is_named(rows: list[str], said: str) -> None:
    found = rewritten(OLD, sheet(*rows), start=START, stop=STOP)
    assert found is not None
    assert said in found.sentence


def test_a_month_and_its_hours_are_not_the_same_price() -> None:
    """They are in January alone."""
    month, hour = sheet(storage("7.44", "month")), sheet(storage("0.01", "hour"))
    assert rewritten(month, hour, start=START, stop=STOP) is not None


def test_other_words_for_the_same_price_are_no_change() -> None:
    new = sheet(egress("80.00", -40, "TB"), egress("0.1", 13))
    assert rewritten(OLD, new, start=START, stop=STOP) is None, "both began before the first row"
    assert changes(sheet(egress("0.08", 0)), sheet(egress("80", 0, "TB"))) == ()


def test_without_a_row_any_sheet_is_good() -> None:
    assert rewritten(OLD, sheet(egress("9", 0)), start=0, stop=0) is None


def test_what_comes_and_what_goes_is_told_and_no_more_than_a_screenful() -> None:
    new = sheet(egress("0.08", -48), egress("0.12", 50))
    assert changes(OLD, new) == (
        "egress 0.12 per GB from 2026-01-03T02:00:00Z",
        "egress 0.1 per GB from 2026-01-01T13:00:00Z: not any more",
    )
    many = changes(OLD, sheet(*(egress("0.08", hour) for hour in range(100))))
    assert (len(many), many[-1]) == (21, "and 82 more")
