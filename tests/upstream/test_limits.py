"""Budgets, `Retry-After` and drips."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.upstream.core.limits import (
    Bucket,
    Drip,
    Pace,
    pay,
    received,
    remaining_requests,
    retry_after_seconds,
    spend,
    wait_seconds,
)
from skerry.wire.message import NO_HEADERS, Headers


def after(value: str, *more: tuple[str, str]) -> float | None:
    return retry_after_seconds(Headers((("Retry-After", value), *more)), 1_700_000_000.0)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("30", 30), ("0", 1), ("99999999", 3600), ("1.5", 1), (" 7 ", 7), ("", None), ("soon", None)],
)
def test_t32_retry_after_in_seconds_is_clamped(value: str, seconds: float | None) -> None:
    assert after(value) == seconds


def test_t32_retry_after_as_a_date_is_read_against_the_answers_own_date() -> None:
    date = ("Date", "Wed, 21 Oct 2015 07:28:00 GMT")
    assert after("Wed, 21 Oct 2015 07:29:00 GMT", date) == 60
    assert after("Tue, 14 Nov 2023 22:14:20 GMT") == 60
    assert after("Wed, 21 Oct 2015 07:29:00 GMT") == 1
    assert after("Wed, 99 Oct 2015 07:29:00 GMT") is None


@given(st.text(max_size=80), st.text(max_size=80))
def test_no_text_makes_it_crash(value: str, date: str) -> None:
    found = after(value, ("Date", date), ("RateLimit-Remaining", value))
    assert found is None or 1 <= found <= 3600


def test_the_hubs_remaining_limit_is_read() -> None:
    assert remaining_requests(Headers((("ratelimit-remaining", "76;w=21600"),))) == 76
    assert remaining_requests(NO_HEADERS) is None


def test_a_bucket_gives_its_minute_and_then_an_even_flow() -> None:
    bucket = Bucket.full(6, 0.0)
    for _ in range(6):
        assert wait_seconds(bucket, 0.0) == 0
        bucket = spend(bucket, 0.0)
    assert wait_seconds(bucket, 0.0) == pytest.approx(10, abs=1e-3)
    assert wait_seconds(bucket, 10.001) == 0
    assert wait_seconds(spend(Bucket(0), 0.0), 0.0) == 0


@given(st.integers(1, 600), st.lists(st.floats(0, 30), max_size=50))
def test_no_minute_gets_more_than_two_minutes_worth(per_minute: int, gaps: list[float]) -> None:
    bucket, now, sent = Bucket.full(per_minute, 0.0), 0.0, 0
    for gap in gaps:
        now += gap
        while wait_seconds(bucket, now) == 0:
            bucket, sent = spend(bucket, now), sent + 1
    assert sent <= per_minute + per_minute * now / 60 + 1


def test_a_pace_makes_all_bodies_of_a_source_share_its_rate() -> None:
    pace, first = pay(Pace(100), 100, 0.0)
    pace, second = pay(pace, 100, 0.5)
    assert (first, second) == (1.0, 1.5)
    assert pay(pace, 50, 9.0)[1] == 0.5
    assert pay(Pace(0), 10**9, 0.0)[1] == 0


def test_t25_one_byte_a_second_is_a_stall_and_a_slow_link_is_not() -> None:
    drip = Drip(15)
    for _ in range(14):
        drip, slow = received(drip, 1, 1.0)
        assert not slow
    assert received(drip, 1, 1.0)[1]
    steady = Drip(15)
    for _ in range(60):
        steady, slow = received(steady, 1024, 1.0)
        assert not slow


def test_time_that_nobody_waited_for_the_source_does_not_count() -> None:
    drip = Drip(15)
    for _ in range(1000):
        drip, slow = received(drip, 1, 0.0)
        assert not slow
