"""Freshness of the edge cache (the registry has a core of the same name)."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.cdn.core.directives import DELTA_SECONDS_MAX
from skerry.cdn.core.freshness import (
    HEURISTIC_SECONDS_MAX,
    Judgement,
    Source,
    Windows,
    current_age,
    judge,
    lifetime,
)
from skerry.cdn.ports import RoutePolicy, Stored
from tests.cdn.core.http_values import NOON, PUBLIC, Field, cc, date, fields, stored


def life(*pairs: Field, status: int = 200, policy: RoutePolicy = PUBLIC) -> tuple[float, Source]:
    found = lifetime(status, fields(*pairs), NOON, policy)
    return found.seconds, found.source


def age(*pairs: Field, after: float = 0.0) -> float:
    return current_age(stored(*pairs), NOON + after)


def windows(value: str, policy: RoutePolicy = PUBLIC) -> Windows:
    return view(stored(cc(value)), policy=policy).windows


def view(response: Stored, after: float = 0.0, policy: RoutePolicy = PUBLIC) -> Judgement:
    return judge(response, NOON + after, policy)


def test_age_is_time_in_caches_before_us_and_time_with_us_section_4_2_3() -> None:
    assert age(("Age", "100"), after=10) == 110


def test_apparent_age_counts_where_it_is_greater_section_4_2_3() -> None:
    assert age(("Date", date(-300)), ("Age", "100")) == 300
    assert age(("Date", date(-50)), ("Age", "100")) == 100


def test_a_date_in_the_future_makes_no_negative_age_section_4_2_3() -> None:
    assert age(("Date", date(500))) == 0


def test_the_delay_of_the_response_counts_section_4_2_3() -> None:
    response = replace(stored(("Age", "100")), requested_at=NOON - 7)
    assert current_age(response, NOON) == 107


@pytest.mark.parametrize("value", ["abc", "-7200", "7200.0", "", "7 200", "0x10"])
def test_an_invalid_age_is_ignored_section_5_1(value: str) -> None:
    assert age(("Age", value)) == 0


def test_the_first_of_several_ages_counts_section_5_1() -> None:
    assert age(("Age", "7200, 0")) == 7200
    assert age(("Age", "0, 7200")) == 0
    assert age(("Age", "7200"), ("Age", "0")) == 7200


def test_an_overflowing_age_is_two_to_the_31_section_1_2_2() -> None:
    assert age(("Age", "9" * 40), after=50) == DELTA_SECONDS_MAX


def test_without_a_clock_nothing_counts_as_fresh_section_4() -> None:
    assert view(stored(cc("max-age=9999")), after=-30).fresh  # a clock that was put right
    assert not view(stored(cc("max-age=9999")), after=-61).fresh


def test_s_maxage_before_max_age_before_expires_section_4_2_1() -> None:
    expires = ("Expires", date(30))
    assert life(cc("max-age=60, s-maxage=90"), expires) == (90, Source.S_MAXAGE)
    assert life(cc("max-age=60"), expires) == (60, Source.MAX_AGE)
    assert life(expires) == (30, Source.EXPIRES)


def test_a_value_that_cannot_be_read_is_stale_and_not_the_next_source_section_4_2_1() -> None:
    expires = ("Expires", date(30))
    for value in ("max-age=abc", "max-age", "max-age=-1", "max-age=60.5", "s-maxage=x, max-age=60"):
        assert life(cc(value), expires)[0] == 0, value


def test_an_open_quote_leaves_nothing_to_believe() -> None:
    assert life(cc('max-age=60, x="y'))[0] == 0


def test_expires_is_counted_from_date_not_from_our_clock_section_4_2_1() -> None:
    assert life(("Date", date(-1000)), ("Expires", date(-900))) == (100, Source.EXPIRES)


def test_expires_is_counted_from_receipt_where_date_is_missing_or_bad() -> None:
    assert life(("Date", "x"), ("Expires", date(60)))[0] == 60


@pytest.mark.parametrize("value", ["0", "-1", "", "never", "Thu, 99 Foo 2026 00:00:00 GMT"])
def test_an_invalid_expires_is_in_the_past_section_5_3(value: str) -> None:
    assert life(("Expires", value), ("Last-Modified", date(-9000))) == (0, Source.EXPIRES)


def test_the_first_of_several_expires_counts_section_4_2_1() -> None:
    assert life(("Expires", date(10)), ("Expires", date(99)))[0] == 10


def test_fresh_means_longer_than_the_age_not_equal_section_4_2() -> None:
    response = stored(cc("max-age=60"))
    assert view(response, after=59.5).fresh
    assert not view(response, after=60).fresh


def test_a_guess_is_a_share_of_the_time_since_last_modified_section_4_2_2() -> None:
    modified = ("Last-Modified", date(-1000))
    assert life(modified) == (100, Source.HEURISTIC)
    assert life(modified, policy=replace(PUBLIC, heuristic_share=0.5))[0] == 500
    assert life(("Last-Modified", date(-1e9)))[0] == HEURISTIC_SECONDS_MAX


def test_nothing_is_guessed_for_other_statuses_unless_public_section_4_2_2() -> None:
    modified = ("Last-Modified", date(-1000))
    assert life(modified, status=302) == (0, Source.NONE)
    assert life(modified, cc("public"), status=302) == (100, Source.HEURISTIC)
    assert life(("Last-Modified", date(10))) == (0, Source.NONE)


def test_nothing_is_guessed_beside_explicit_freshness_section_4_2_2() -> None:
    assert life(("Last-Modified", date(-1000)), cc("max-age=0"))[0] == 0


def test_a_route_may_set_freshness_but_never_prolong_an_error() -> None:
    route = replace(PUBLIC, fresh_seconds=600.0)
    assert life(cc("max-age=1"), policy=route) == (600, Source.ROUTE)
    assert life(cc("max-age=1"), status=404, policy=route) == (1, Source.MAX_AGE)


def test_unqualified_no_cache_and_invalidation_need_the_origin_sections_5_2_2_4_and_4_4() -> None:
    assert view(stored(cc("max-age=60, no-cache"))).must_validate
    assert not view(stored(cc('max-age=60, no-cache="x"'))).must_validate
    assert view(replace(stored(cc("max-age=60")), invalidated=True)).must_validate
    route = replace(PUBLIC, fresh_seconds=600.0)
    assert view(stored(cc("no-cache"), ("ETag", '"a"')), policy=route).must_validate


def test_immutable_takes_no_argument_and_ignores_one_rfc_8246_section_2() -> None:
    assert view(stored(cc("max-age=60, immutable"))).immutable
    assert view(stored(cc("max-age=60, immutable=0"))).immutable
    assert not view(stored(cc("max-age=60"))).immutable


def test_windows_are_what_the_origin_says_rfc_5861() -> None:
    found = windows("max-age=1, stale-while-revalidate=30, stale-if-error=60")
    assert found == Windows(30, 60, 60, on_request=True)
    assert windows("max-age=1, stale-while-revalidate=x, stale-if-error") == Windows(
        0, 0, 0, on_request=True
    )


def test_a_disconnected_cache_may_serve_stale_where_nothing_forbids_it_section_4_2_4() -> None:
    assert windows("max-age=1") == Windows(0, 0, math.inf, on_request=True)


FORBIDDING = ["must-revalidate", "proxy-revalidate", "s-maxage"]


@pytest.mark.parametrize("name", FORBIDDING)
def test_every_window_is_closed_by_section_5_2_2(name: str) -> None:
    value = f"{name}=5" if name == "s-maxage" else name
    found = windows(f"max-age=1, {value}, stale-while-revalidate=30, stale-if-error=60")
    assert found == Windows(0, 0, 0, on_request=False, forbidden_by=name)


@pytest.mark.parametrize("name", FORBIDDING)
def test_only_the_window_that_a_route_names_opens_again_section_7_decision_2(name: str) -> None:
    value = f"max-age=1, {name}=5, stale-while-revalidate=30, stale-if-error=60"
    found = windows(value, replace(PUBLIC, stale_if_error_seconds=600.0))
    assert found == Windows(0, 600, 600, on_request=False, forbidden_by=name)
    found = windows(value, replace(PUBLIC, stale_while_revalidate_seconds=600.0))
    assert found == Windows(600, 0, 0, on_request=False, forbidden_by=name)


def test_a_route_may_close_what_the_origin_opened() -> None:
    found = windows("max-age=1, stale-if-error=60", replace(PUBLIC, stale_if_error_seconds=0.0))
    assert found.disconnected_seconds == found.if_error_seconds == 0


FIELD_TEXT = st.text(max_size=40)


@given(FIELD_TEXT, FIELD_TEXT, FIELD_TEXT, FIELD_TEXT, st.floats(-1e10, 1e10))
def test_any_field_values_give_an_age_and_a_lifetime_in_range(
    control: str, expires: str, when: str, old: str, after: float
) -> None:
    response = stored(cc(control), ("Expires", expires), ("Date", when), ("Age", old))
    found = view(response, after)
    assert 0 <= found.age_seconds <= DELTA_SECONDS_MAX
    assert found.lifetime.seconds >= 0


@given(st.integers(0, 1 << 31), st.integers(0, 10_000), st.floats(0, 1e6), st.floats(0, 1e6))
def test_age_only_grows_with_time(old: int, delay: int, first: float, later: float) -> None:
    response = replace(stored(("Age", str(old))), requested_at=NOON - delay)
    assert current_age(response, NOON + first) <= current_age(response, NOON + first + later)
