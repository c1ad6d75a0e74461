"""Usage becomes money: the parts make the whole, and the same hours give the same money."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from skerry.budget.core.prices import read_sheet
from skerry.budget.core.rating import cost, cost_by, rate
from skerry.budget.core.usage import Amounts, Dimension, Hour, Meter

ROW = '[[price]]\nmeter = "{}"\nprice = "{}"\ncurrency = "EUR"\nunit = "{}"\nperiod = "{}"\n'
SHEET = read_sheet(
    ROW.format("egress", "0.0873", "GB", "use") + "valid_from = 2026-01-01\n"
    + ROW.format("egress", "0.1", "GB", "use") + "valid_from = 2026-01-10T13:00:00Z\n"
    + ROW.format("storage", "0.021", "GiB", "month") + "valid_from = 2026-01-01\n"
    + ROW.format("requests", "0.4", "million requests", "use") + "valid_from = 2026-01-01\n"
    + ROW.format("node", "7.00", "node", "month") + "valid_from = 2026-01-01\n",
    "prices.toml",
)  # fmt: skip
START = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp())
TENANTS = [Dimension(name, route=route) for name in "abcde" for route in ("/x", "/y")]

hours = st.lists(
    st.builds(
        Hour,
        st.integers(0, 31 * 24 - 1).map(lambda hour: START + hour * 3600),
        st.sampled_from(TENANTS),
        st.builds(
            lambda egress, requests, held: Amounts.of(
                {
                    Meter.EGRESS_BYTES: egress,
                    Meter.REQUESTS: requests,
                    Meter.STORE_BYTE_SECONDS: held,
                }
            ),
            st.integers(0, 10**13),
            st.integers(0, 10**7),
            st.integers(0, 10**16),
        ),
    ),
    max_size=60,
)


@given(hours)
def test_tenants_add_up_to_the_node_to_the_micro_unit(used: list[Hour]) -> None:
    merged = [Hour(hour.start, Dimension("all"), hour.amounts) for hour in used]
    charges = rate(used, SHEET)
    assert sum(cost_by(charges, lambda each: each.dimension.tenant).values()) == cost(charges)
    assert cost(charges) == cost(rate(merged, SHEET))


@given(hours, st.randoms(use_true_random=False))
def test_replaying_the_same_usage_gives_the_same_charges(
    used: list[Hour], chance: random.Random
) -> None:
    again = list(used)
    chance.shuffle(again)
    assert rate(again, SHEET) == rate(used, SHEET)


@given(hours)
def test_a_charge_is_within_one_and_a_half_micro_units_of_its_exact_share(
    used: list[Hour],
) -> None:
    """The whole is rounded by half of one at most, and a part of it by less than one."""
    for charge in rate(used, SHEET):
        exact = charge.price.rate(charge.start)
        off = abs(charge.micro - Fraction(charge.quantity * exact.micro, exact.per))
        assert off <= Fraction(3, 2)


def test_a_price_that_changes_in_mid_day_counts_from_its_hour() -> None:
    who, day = Dimension("a"), START + 9 * 86400
    used = [
        Hour(day + hour * 3600, who, Amounts.of({Meter.EGRESS_BYTES: 10**9})) for hour in range(24)
    ]
    first, second = rate(used, SHEET)
    assert (first.quantity, first.micro) == (13 * 10**9, 13 * 87_300)
    assert (second.quantity, second.micro) == (11 * 10**9, 11 * 100_000)
    assert first.end == second.start == day + 13 * 3600


def test_an_invoice_is_met_to_the_cent() -> None:
    """A node for a month, 500 GB out in its first nine days, 40 GiB held, 3 million requests."""
    month = 31 * 86400
    used = [
        Hour(START + at, Dimension("a"), Amounts.of(amounts))
        for at in range(0, month, 3600)
        for amounts in [
            {
                Meter.NODE_SECONDS: 3600,
                Meter.STORE_BYTE_SECONDS: 40 * 2**30 * 3600,
                Meter.EGRESS_BYTES: 500 * 10**9 // (9 * 24) if at < 9 * 86400 else 0,
                Meter.REQUESTS: 3_000_000 * 3600 // month,
            }
        ]
    ]
    by_name = cost_by(rate(used, SHEET), lambda each: each.price.name)
    cents = {name: round(micro / 10_000) for name, micro in by_name.items()}
    assert cents == {"node": 700, "storage": 84, "egress": 4365, "requests": 120}


def test_what_has_no_price_costs_nothing() -> None:
    used = [Hour(START, Dimension("a"), Amounts.of({Meter.PULLS: 100}))]
    assert rate(used, SHEET) == ()
