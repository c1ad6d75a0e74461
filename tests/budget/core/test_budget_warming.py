"""Warming pauses while money goes faster than time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from skerry.budget.core.warming import PAUSE_ABOVE, RESUME_BELOW, SHARE_MIN, Warming, judge


def test_it_pauses_above_one_and_resumes_below_nine_tenths() -> None:
    warming, paused = Warming(), []
    for burn in (999_999, 1_000_000, 1_000_001, 950_000, 900_000, 899_999, 950_000):
        warming = judge(warming, burn=burn, share=500_000)
        paused.append(warming.paused)
    assert paused == [False, False, True, True, True, False, False]


def test_a_few_pulls_on_the_first_morning_pause_nothing() -> None:
    assert not judge(Warming(), burn=40_000_000, share=SHARE_MIN - 1).paused
    assert judge(Warming(), burn=40_000_000, share=SHARE_MIN).paused


@given(st.booleans(), st.integers(0, 3_000_000), st.integers(SHARE_MIN, 2_000_000))
def test_it_changes_outside_the_band_alone(paused: bool, burn: int, share: int) -> None:
    after = judge(Warming(paused), burn=burn, share=share)
    if burn > PAUSE_ABOVE:
        assert after.paused
    elif burn < RESUME_BELOW:
        assert not after.paused
    else:
        assert after.paused == paused
