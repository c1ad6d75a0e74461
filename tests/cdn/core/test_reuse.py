"""Transcripts of section 4: what is stored, who asks, when; what happens."""

from __future__ import annotations

from dataclasses import replace

import pytest

from skerry.cdn.core.reuse import (
    AfterFailure,
    Decision,
    Forward,
    MustRevalidate,
    OnlyIfCachedMiss,
    PassError,
    Reason,
    Serve,
    ServeStale,
    Validate,
    after_failure,
    decide,
    select,
)
from skerry.cdn.core.status import Fwd
from skerry.cdn.ports import RoutePolicy, Stored
from skerry.wire.message import Headers, Request
from tests.cdn.core.http_values import NOON, PUBLIC, Field, cc, date, get, stored

TAG = ("ETag", '"a"')
MINUTE = stored(cc("max-age=60"), TAG)


def at(after: float, response: Stored, *wishes: Field, policy: RoutePolicy = PUBLIC) -> Decision:
    return decide([response], get(*wishes), NOON + after, policy)


def failed(
    after: float,
    response: Stored,
    *wishes: Field,
    status: int | None = None,
    policy: RoutePolicy = PUBLIC,
) -> AfterFailure:
    return after_failure([response], get(*wishes), NOON + after, policy, status=status)


def validates(decision: Decision) -> Fwd | None:
    return decision.why if isinstance(decision, Validate) else None


def reason(decision: Decision | AfterFailure) -> Reason | None:
    return decision.reason if isinstance(decision, ServeStale) else None


def says(value: str, *more: Field) -> Stored:
    return stored(cc(value), TAG, *more)


def test_nothing_stored_is_forwarded_section_4() -> None:
    assert decide([], get(), NOON, PUBLIC) == Forward(Fwd.URI_MISS)


def test_a_fresh_response_is_served_with_its_age_section_4() -> None:
    assert at(10, MINUTE) == Serve(MINUTE, 10, 50)
    assert at(59.9, MINUTE) == Serve(MINUTE, pytest.approx(59.9), pytest.approx(0.1))


def test_head_is_answered_from_a_stored_get_rfc_9110_section_9_3_2() -> None:
    assert decide([MINUTE], get(method="HEAD"), NOON, PUBLIC) == Serve(MINUTE, 0, 60)


def test_other_methods_are_written_through_section_4() -> None:
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "TRACE", "FROBNICATE"):
        asked = get(cc("only-if-cached"), method=method)
        assert decide([MINUTE], asked, NOON, PUBLIC) == Forward(Fwd.METHOD), method


def test_a_stale_response_is_validated_section_4_3() -> None:
    decision = at(60, MINUTE)
    assert decision == Validate((MINUTE,), Headers([("If-None-Match", '"a"')]), Fwd.STALE)


def test_one_without_validator_is_fetched_anew_section_4_3_1() -> None:
    decision = at(60, stored(cc("max-age=60")))
    assert isinstance(decision, Validate)
    assert decision.conditions == Headers()


def test_no_cache_is_validated_while_fresh_section_5_2_2_4() -> None:
    assert validates(at(0, says("no-cache, max-age=60"))) is Fwd.STALE
    assert isinstance(at(0, says('no-cache="x", max-age=60')), Serve)


def test_an_invalidated_response_is_validated_section_4_4() -> None:
    assert validates(at(0, replace(MINUTE, invalidated=True))) is Fwd.STALE


def test_a_route_that_became_sensitive_serves_nothing_stored_requirements_p4() -> None:
    assert at(0, MINUTE, policy=RoutePolicy()) == Forward(Fwd.BYPASS)
    assert failed(0, MINUTE, policy=RoutePolicy()) == PassError()


def test_a_stored_part_answers_nothing_whole_section_3_3() -> None:
    part = stored(cc("max-age=60"), TAG, status=206)
    assert at(0, part) == Forward(Fwd.PARTIAL)


# Selecting (section 4.1)


def variant(language: str, when: float = 0.0, control: str = "max-age=60") -> Stored:
    return stored(
        cc(control),
        ("Vary", "Accept-Language"),
        ("Date", date(when)),
        request=get(("Accept-Language", language)),
    )


def test_the_variant_that_the_request_selects_is_served_section_4_1() -> None:
    german, english = variant("de"), variant("en")
    asked = get(("Accept-Language", "EN"))
    assert decide([german, english], asked, NOON, PUBLIC) == Serve(english, 0, 60)
    other = get(("Accept-Language", "fr"))
    assert decide([german, english], other, NOON, PUBLIC) == Forward(Fwd.VARY_MISS)
    assert decide([german, english], get(), NOON, PUBLIC) == Forward(Fwd.VARY_MISS)


def test_the_most_recent_by_date_is_served_section_4() -> None:
    old, new = stored(cc("max-age=60"), ("Date", date(-5))), stored(cc("max-age=60"))
    assert at(0, new) == decide([new, old], get(), NOON, PUBLIC)
    assert decide([old, new], get(), NOON, PUBLIC) == Serve(new, 0, 60)


def test_a_response_that_forgot_vary_does_not_answer_for_variants_section_4_1() -> None:
    forgetful = stored(cc("max-age=60"), ("Date", date(1)))
    asked = get(("Accept-Language", "fr"))
    assert select([variant("de"), forgetful], asked, NOON, PUBLIC) == ()
    assert select([variant("de"), forgetful], asked, NOON + 60, PUBLIC) == (forgetful,)


# What the client wishes (section 5.2.1)


def test_max_age_of_a_request_bounds_the_age_section_5_2_1_1() -> None:
    assert isinstance(at(10, MINUTE, cc("max-age=10")), Serve)
    assert validates(at(11, MINUTE, cc("max-age=10"))) is Fwd.REQUEST


def test_min_fresh_asks_for_what_is_left_section_5_2_1_3() -> None:
    assert isinstance(at(10, MINUTE, cc("min-fresh=50")), Serve)
    assert validates(at(11, MINUTE, cc("min-fresh=50"))) is Fwd.REQUEST


def test_no_cache_of_a_request_and_pragma_ask_for_validation_sections_5_2_1_4_and_5_4() -> None:
    assert validates(at(0, MINUTE, cc("no-cache"))) is Fwd.REQUEST
    assert validates(at(0, MINUTE, ("Pragma", "no-cache"))) is Fwd.REQUEST


def test_no_store_of_a_request_does_not_concern_what_is_stored_section_5_2_1_5() -> None:
    assert isinstance(at(0, MINUTE, cc("no-store")), Serve)


def test_max_stale_accepts_stale_up_to_its_value_section_5_2_1_2() -> None:
    assert reason(at(70, MINUTE, cc("max-stale=10"))) is Reason.MAX_STALE
    assert validates(at(70.5, MINUTE, cc("max-stale=10"))) is Fwd.STALE
    assert reason(at(1e6, MINUTE, cc("max-stale"))) is Reason.MAX_STALE
    assert validates(at(70, MINUTE, cc("max-stale=x"))) is Fwd.STALE


def test_max_stale_does_not_lift_a_prohibition_section_4_2_4() -> None:
    for value in ("max-age=60, must-revalidate", "max-age=60, proxy-revalidate", "s-maxage=60"):
        assert validates(at(61, says(value), cc("max-stale"))) is Fwd.STALE, value


def test_max_stale_with_max_age_or_min_fresh_has_to_meet_both_section_5_2_1() -> None:
    assert reason(at(70, MINUTE, cc("max-stale, max-age=70"))) is Reason.MAX_STALE
    assert validates(at(70, MINUTE, cc("max-stale, max-age=69"))) is Fwd.STALE
    assert validates(at(70, MINUTE, cc("max-stale, min-fresh=1"))) is Fwd.STALE


def test_only_if_cached_gets_what_is_stored_or_a_504_section_5_2_1_7() -> None:
    assert isinstance(at(0, MINUTE, cc("only-if-cached")), Serve)
    assert at(61, MINUTE, cc("only-if-cached")) == OnlyIfCachedMiss()
    assert reason(at(61, MINUTE, cc("only-if-cached, max-stale"))) is Reason.MAX_STALE
    assert decide([], get(cc("only-if-cached")), NOON, PUBLIC) == OnlyIfCachedMiss()


def test_a_reload_of_an_immutable_response_is_not_validated_rfc_8246_section_2_1() -> None:
    fixed = says("max-age=60, immutable")
    assert isinstance(at(10, fixed, cc("max-age=0")), Serve)
    assert validates(at(10, fixed, cc("no-cache"))) is Fwd.REQUEST
    assert validates(at(60, fixed, cc("max-age=0"))) is Fwd.STALE


def test_if_match_that_is_not_met_is_the_origins_to_refuse_section_4_3_2() -> None:
    assert at(0, MINUTE, ("If-Match", '"b"')) == Forward(Fwd.REQUEST)
    assert isinstance(at(0, MINUTE, ("If-Match", '"a"')), Serve)
    assert failed(0, MINUTE, ("If-Match", '"b"')) == PassError()


# Stale while revalidate (RFC 5861 section 3)

SWR = says("max-age=60, stale-while-revalidate=30")


def test_stale_is_served_with_a_validation_behind_it_rfc_5861_section_3() -> None:
    decision = at(90, SWR)
    assert reason(decision) is Reason.WHILE_REVALIDATE
    assert isinstance(decision, ServeStale)
    assert (decision.age_seconds, decision.ttl_seconds) == (90, -30)
    assert decision.behind == Validate((SWR,), Headers([("If-None-Match", '"a"')]), Fwd.STALE)
    assert decision.detail == "stale-while-revalidate"


def test_not_after_its_window_rfc_5861_section_3() -> None:
    assert validates(at(90.5, SWR)) is Fwd.STALE


def test_not_to_a_client_that_limits_age_section_5_2_1_1() -> None:
    for wish in ("max-age=100", "max-age=0", "min-fresh=1", "no-cache"):
        assert validates(at(70, SWR, cc(wish))) is Fwd.STALE, wish


@pytest.mark.parametrize("limit", ["must-revalidate", "proxy-revalidate", "s-maxage=60"])
def test_limits_close_the_window_unless_the_route_opens_it_section_7_decision_2(
    limit: str,
) -> None:
    response = says(f"max-age=60, stale-while-revalidate=30, {limit}")
    assert validates(at(61, response)) is Fwd.STALE
    decision = at(61, response, policy=replace(PUBLIC, stale_while_revalidate_seconds=5.0))
    assert isinstance(decision, ServeStale)
    name = limit.partition("=")[0]
    assert decision.detail == f"stale-while-revalidate; route overrides {name}"


def test_freshness_set_by_a_route_is_visible() -> None:
    decision = at(100, MINUTE, policy=replace(PUBLIC, fresh_seconds=600.0))
    assert decision == Serve(MINUTE, 100, 500, detail="fresh by route")


# When the origin fails (RFC 5861 section 4, RFC 9111 section 4.2.4)

SIE = says("max-age=60, stale-if-error=30")


def test_stale_if_error_covers_four_statuses_and_silence_rfc_5861_section_4() -> None:
    for status in (500, 502, 503, 504):
        assert reason(failed(90, SIE, status=status)) is Reason.IF_ERROR, status
    assert reason(failed(90, SIE)) is Reason.DISCONNECTED


def test_other_answers_are_passed_on_rfc_5861_section_4() -> None:
    for status in (200, 304, 400, 404, 410, 429, 501, 505):
        assert failed(61, SIE, status=status) == PassError(), status


def test_not_after_its_window_and_not_without_one_rfc_5861_section_4() -> None:
    assert failed(90.5, SIE, status=503) == PassError()
    assert failed(90.5, SIE) == PassError()
    assert failed(60, MINUTE, status=503) == PassError()


def test_a_client_may_ask_for_it_rfc_5861_section_4() -> None:
    assert reason(failed(65, MINUTE, cc("stale-if-error=5"), status=503)) is Reason.IF_ERROR
    assert failed(66, MINUTE, cc("stale-if-error=5"), status=503) == PassError()
    closed = says("max-age=60, must-revalidate")
    assert failed(61, closed, cc("stale-if-error=5"), status=503) == PassError()


def test_cut_off_we_serve_what_nothing_forbids_section_4_2_4() -> None:
    decision = failed(1e6, MINUTE)
    assert isinstance(decision, ServeStale)
    assert decision.detail == "disconnected"
    assert decision.behind is None


@pytest.mark.parametrize("limit", ["must-revalidate", "proxy-revalidate", "s-maxage=60"])
def test_cut_off_a_forbidden_one_is_a_504_section_5_2_2_2(limit: str) -> None:
    response = says(f"max-age=60, stale-if-error=30, {limit}")
    assert failed(61, response) == MustRevalidate(limit.partition("=")[0])
    assert failed(61, response, status=503) == PassError()
    assert isinstance(failed(59, response), Serve)


def test_a_route_may_override_it_and_says_so_section_7_decision_2() -> None:
    route = replace(PUBLIC, stale_if_error_seconds=600.0)
    response = says("max-age=60, must-revalidate")
    decision = failed(660, response, policy=route)
    assert isinstance(decision, ServeStale)
    assert decision.detail == "disconnected; route overrides must-revalidate"
    assert failed(661, response, policy=route) == MustRevalidate("must-revalidate")


def test_not_even_a_route_revives_no_cache_or_an_invalidated_one_section_4_2_4() -> None:
    route = replace(PUBLIC, stale_if_error_seconds=600.0)
    assert failed(0, says("max-age=60, no-cache"), policy=route) == PassError()
    assert failed(0, replace(MINUTE, invalidated=True), policy=route) == PassError()


def test_a_fresh_one_answers_whatever_the_client_preferred_section_5_2_1() -> None:
    assert isinstance(failed(10, MINUTE, cc("no-cache"), status=503), Serve)
    assert isinstance(failed(10, MINUTE, cc("max-age=1")), Serve)


def test_a_post_is_never_answered_from_the_cache_section_4() -> None:
    asked: Request = get(method="POST")
    assert after_failure([MINUTE], asked, NOON, PUBLIC, status=None) == PassError()


def test_a_clock_set_back_revives_nothing_section_4() -> None:
    assert validates(at(-3600, MINUTE)) is Fwd.STALE
    assert failed(-3600, SIE) == PassError()
