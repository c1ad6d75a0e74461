"""Burn and forecast: how fast money goes, and where that ends."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from skerry.budget.core.forecast import Forecast, Sample, burn, forecast, sample

DAY, HOUR = 86400, 3600
JUNE = 20_605 * DAY


def ahead(days: list[int], left_days: int = 10) -> Forecast:
    return forecast(Sample(tuple(days)), spent_micro=sum(days), left_seconds=left_days * DAY)


def test_burn_is_one_when_money_and_time_go_alike() -> None:
    assert burn(50, 100, passed_seconds=15, period_seconds=30) == 1_000_000
    assert burn(80, 100, passed_seconds=15, period_seconds=30) == 1_600_000
    assert burn(80, 100, passed_seconds=0, period_seconds=30) == 0


def test_days_that_are_alike_leave_no_doubt() -> None:
    assert ahead([100] * 7) == Forecast(1700, 1700, 1700, 7)


def test_only_the_last_week_tells_the_future() -> None:
    costs = [9_000] * 20 + [100] * 7
    days = {JUNE + at * DAY: cost for at, cost in enumerate(costs)}
    assert sample(days, first_hour=JUNE, now=JUNE + 27 * DAY).days == (100,) * 7


def test_before_a_day_is_over_it_goes_on_as_it_began_when_the_node_did() -> None:
    noon = JUNE + 12 * HOUR
    seen = sample({JUNE: 60}, first_hour=noon, now=noon + 2 * HOUR)
    assert seen == Sample((), 60, 2 * HOUR)
    assert forecast(seen, spent_micro=60, left_seconds=4 * HOUR) == Forecast(60, 180, 300, 0)


def test_a_day_that_a_node_began_at_noon_is_no_whole_one() -> None:
    days = {JUNE: 100, JUNE + DAY: 20}
    seen = sample(days, first_hour=JUNE + 14 * HOUR, now=JUNE + DAY + 2 * HOUR)
    assert seen == Sample((), 120, 12 * HOUR), "ten an hour for twelve hours"
    later = sample(
        {**days, JUNE + DAY: 240, JUNE + 2 * DAY: 7},
        first_hour=JUNE + 14 * HOUR,
        now=JUNE + 2 * DAY + HOUR,
    )
    assert later.days == (240,)


def test_the_first_minutes_count_for_an_hour() -> None:
    assert sample({JUNE: 60}, first_hour=JUNE, now=JUNE + 7).seen_seconds == HOUR


@given(st.lists(st.integers(0, 10**12), max_size=40), st.integers(0, 31 * DAY))
def test_the_interval_holds_the_middle_and_what_is_spent_is_its_floor(
    days: list[int], left: int
) -> None:
    seen = Sample(tuple(days), 7, 60)
    found = forecast(seen, spent_micro=sum(days) + 7, left_seconds=left)
    assert sum(days) + 7 <= found.low_micro <= found.middle_micro <= found.high_micro


def test_the_interval_holds_in_about_nineteen_of_twenty_months() -> None:
    chance, held = random.Random(3), 0
    for _ in range(2000):
        days = [round(chance.gauss(1e6, 2e5)) for _ in range(17)]
        found = ahead(days[:7])
        held += found.low_micro <= sum(days) <= found.high_micro
    assert 0.93 < held / 2000 < 0.97
