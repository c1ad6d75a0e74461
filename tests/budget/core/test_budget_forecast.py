"""Burn and forecast: how fast money goes, and where that ends."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from skerry.budget.core.forecast import Forecast, burn, forecast

DAY = 86400


def ahead(days: list[int], left_days: int = 10) -> Forecast:
    return forecast(days, today_micro=0, today_seconds=0, left_seconds=left_days * DAY)


def test_burn_is_one_when_money_and_time_go_alike() -> None:
    assert burn(50, 100, passed_seconds=15, period_seconds=30) == 1_000_000
    assert burn(80, 100, passed_seconds=15, period_seconds=30) == 1_600_000
    assert burn(80, 100, passed_seconds=0, period_seconds=30) == 0


def test_days_that_are_alike_leave_no_doubt() -> None:
    assert ahead([100] * 7) == Forecast(1700, 1700, 1700, 7)


def test_only_the_last_week_tells_the_future() -> None:
    assert ahead([9_000] * 20 + [100] * 7).middle_micro == 9_000 * 20 + 700 + 1000


def test_without_a_whole_day_the_day_goes_on_as_it_began() -> None:
    found = forecast([], today_micro=60, today_seconds=3600, left_seconds=7200)
    assert found == Forecast(60, 180, 300, 0)


def test_days_before_the_first_that_cost_anything_are_no_sample() -> None:
    new = forecast([0] * 25, today_micro=60, today_seconds=3600, left_seconds=7200)
    assert new == Forecast(60, 180, 300, 0), "a node of this morning is not free for a month"
    assert ahead([0, 0, 100, 0, 100]).days == 3, "a free day after that is one"


@given(st.lists(st.integers(0, 10**12), max_size=40), st.integers(0, 31 * DAY))
def test_the_interval_holds_the_middle_and_what_is_spent_is_its_floor(
    days: list[int], left: int
) -> None:
    found = forecast(days, today_micro=7, today_seconds=60, left_seconds=left)
    assert sum(days) + 7 <= found.low_micro <= found.middle_micro <= found.high_micro


def test_the_interval_holds_in_about_nineteen_of_twenty_months() -> None:
    chance, held = random.Random(3), 0
    for _ in range(2000):
        days = [round(chance.gauss(1e6, 2e5)) for _ in range(17)]
        found = ahead(days[:7])
        held += found.low_micro <= sum(days) <= found.high_micro
    assert 0.93 < held / 2000 < 0.97
