from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.cdn.core.validation import (
    EntityTag,
    Outcome,
    Selected,
    conditional,
    conditions_for,
    evaluate,
    evaluate_cached,
    if_range_holds,
    not_modified_fields,
    origin_conditions_hold,
    parse_tag,
    parse_tags,
    selected,
)
from skerry.wire.message import Headers
from tests.cdn.core.http_values import NOON, Field, cc, date, get, stored

OK, SAME, FAILED = Outcome.PROCEED, Outcome.NOT_MODIFIED, Outcome.FAILED
STRONG, WEAK = EntityTag("a"), EntityTag("a", weak=True)
NOW = Selected(STRONG, NOON - 100, NOON)


def outcome(*pairs: Field, method: str = "GET", current: Selected | None = NOW) -> Outcome:
    return evaluate(method, Headers(pairs), current)


def test_entity_tags_are_read_with_their_strength_section_8_8_3() -> None:
    assert parse_tag(' W/"a" ') == WEAK
    assert parse_tag('"a\\"') == EntityTag("a\\")
    for bad in ("a", "'a'", 'w/"a"', '"a', '"a"b', '"a b"', '"\x7f"'):
        assert parse_tag(bad) is None, bad


def test_strong_comparison_needs_two_strong_tags_section_8_8_3_2() -> None:
    assert STRONG.same_strong(EntityTag("a"))
    assert not STRONG.same_strong(WEAK)
    assert not WEAK.same_strong(WEAK)
    assert STRONG.same_weak(WEAK)
    assert not STRONG.same_weak(EntityTag("b"))


def test_lists_of_tags_may_contain_commas_and_rubbish_section_13_1_2() -> None:
    assert parse_tags(['"a,b", W/"c"', '"d"']) == (
        EntityTag("a,b"),
        EntityTag("c", weak=True),
        EntityTag("d"),
    )
    assert parse_tags(["*"]) is None
    assert parse_tags(['*, "a"']) == (STRONG,)
    assert parse_tags(['x"a", b']) == ()


@pytest.mark.parametrize("value", ['"a"', 'W/"a"', '"z", "a"', "*"])
def test_if_none_match_compares_weakly_section_13_1_2(value: str) -> None:
    assert outcome(("If-None-Match", value)) is SAME
    assert outcome(("If-None-Match", value), method="HEAD") is SAME
    assert outcome(("If-None-Match", value), method="PUT") is FAILED


def test_if_none_match_proceeds_where_nothing_matches_section_13_1_2() -> None:
    assert outcome(("If-None-Match", '"b"')) is OK
    assert outcome(("If-None-Match", "*"), current=None) is OK
    assert outcome(("If-None-Match", '"a"'), current=Selected()) is OK
    assert outcome(("If-None-Match", "*"), current=Selected()) is SAME


@pytest.mark.parametrize("value", ['W/"a"', '"b"', ""])
def test_if_match_compares_strongly_section_13_1_1(value: str) -> None:
    assert outcome(("If-Match", value)) is FAILED
    assert outcome(("If-Match", '"b", "a"')) is OK
    assert outcome(("If-Match", "*")) is OK
    assert outcome(("If-Match", "*"), current=None) is FAILED


def test_if_match_comes_first_and_if_unmodified_since_is_then_ignored_section_13_2_2() -> None:
    old = ("If-Unmodified-Since", date(-500))
    assert outcome(("If-Match", '"a"'), old) is OK
    assert outcome(old) is FAILED
    assert outcome(("If-Unmodified-Since", date(-100))) is OK
    assert outcome(("If-Unmodified-Since", "rubbish")) is OK
    assert outcome(old, current=Selected(STRONG)) is OK


def test_after_if_match_the_other_half_is_judged_section_13_2_2() -> None:
    assert outcome(("If-Match", '"a"'), ("If-None-Match", '"a"')) is SAME
    assert outcome(("If-Match", '"b"'), ("If-None-Match", '"a"')) is FAILED


def test_if_modified_since_is_ignored_beside_if_none_match_section_13_1_3() -> None:
    unchanged = ("If-Modified-Since", date())
    assert outcome(("If-None-Match", '"b"'), unchanged) is OK
    assert outcome(unchanged) is SAME


def test_if_modified_since_counts_for_get_and_head_only_section_13_1_3() -> None:
    assert outcome(("If-Modified-Since", date(-100)), method="HEAD") is SAME
    assert outcome(("If-Modified-Since", date(-101))) is OK
    assert outcome(("If-Modified-Since", date()), method="POST") is OK
    assert outcome(("If-Modified-Since", "yesterday")) is OK


def test_date_and_receipt_stand_in_for_last_modified_rfc_9111_section_4_3_2() -> None:
    since = Headers([("If-Modified-Since", date())])
    assert evaluate_cached("GET", since, Selected(date=NOON)) is SAME
    assert evaluate_cached("GET", since, Selected(date=NOON + 1)) is OK
    assert evaluate_cached("GET", since, Selected(received_at=NOON)) is SAME
    assert evaluate_cached("GET", since, Selected()) is OK


def test_a_cache_never_refuses_for_the_origin_rfc_9111_section_4_3_2() -> None:
    mismatch = Headers([("If-Match", '"b"')])
    assert evaluate_cached("GET", mismatch, NOW) is OK
    assert not origin_conditions_hold(mismatch, NOW)
    assert origin_conditions_hold(Headers([("If-Match", '"a"'), ("If-None-Match", '"a"')]), NOW)


def test_if_range_takes_a_strong_tag_section_13_1_5() -> None:
    assert if_range_holds(Headers([("If-Range", '"a"')]), NOW)
    assert not if_range_holds(Headers([("If-Range", 'W/"a"')]), Selected(WEAK))
    assert not if_range_holds(Headers([("If-Range", '"a"')]), Selected(WEAK))
    assert not if_range_holds(Headers([("If-Range", '"b"')]), NOW)
    assert if_range_holds(Headers(), NOW)


def test_if_range_takes_the_exact_date_of_a_strong_last_modified_section_13_1_5() -> None:
    exact = Headers([("If-Range", date(-100))])
    assert if_range_holds(exact, NOW)
    assert not if_range_holds(Headers([("If-Range", date(-99))]), NOW)
    assert not if_range_holds(exact, Selected(modified=NOON - 100, date=NOON - 100))
    assert not if_range_holds(exact, Selected(modified=NOON - 100))
    assert not if_range_holds(Headers([("If-Range", "rubbish")]), NOW)


def test_our_own_conditions_name_all_that_could_answer_rfc_9111_section_4_3_1() -> None:
    ours = conditions_for(
        [
            stored(("ETag", '"a"'), ("Last-Modified", date(-100))),
            stored(("ETag", 'W/"b"'), ("Last-Modified", date(-50))),
        ],
        Headers(),
    )
    assert ours == Headers([("If-None-Match", '"a", W/"b"'), ("If-Modified-Since", date(-50))])


def test_the_clients_tags_join_ours_rfc_9111_section_4_3_2() -> None:
    asked = Headers([("If-None-Match", '"c", "a"')])
    ours = conditions_for([stored(("ETag", '"a"'))], asked)
    assert ours.get("If-None-Match") == '"a", "c"'
    star = conditions_for([stored(("ETag", '"a"'))], Headers([("If-None-Match", "*")]))
    assert star.get("If-None-Match") == '"a"'


def test_the_clients_conditions_and_ranges_make_way_for_ours_rfc_9111_section_4_3_1() -> None:
    conditions = ("If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since")
    asked = Headers([(name, "x") for name in (*conditions, "If-Range", "Range", "Accept")])
    ours = Headers([("If-None-Match", '"a"')])
    assert conditional(asked, ours) == Headers([("Accept", "x"), *ours])


def test_nothing_without_a_validator_is_asked_about_rfc_9111_section_4_3_1() -> None:
    bad = stored(cc("max-age=1"), ("ETag", "unquoted"), ("Last-Modified", "x"))
    assert conditions_for([bad], get(("If-None-Match", '"c"')).headers) == Headers()


def test_a_part_does_not_vouch_for_the_whole_rfc_9111_section_4_3_2() -> None:
    assert conditions_for([stored(("ETag", '"a"'), status=206)], Headers()) == Headers()


def test_a_304_carries_what_guides_caches_section_15_4_5() -> None:
    guiding = [("ETag", '"a"'), cc("max-age=1"), ("Vary", "A"), ("CDN-Cache-Control", "none")]
    others = [("Content-Type", "x"), ("Last-Modified", date()), ("Content-Length", "5")]
    full = Headers([*guiding, *others, ("Date", date())])
    names = {name for name, _ in not_modified_fields(full)}
    assert names == {"ETag", "Cache-Control", "Vary", "Date", "CDN-Cache-Control"}
    assert "Last-Modified" in not_modified_fields(full.without("ETag"))


@given(st.sampled_from(["If-Match", "If-None-Match", "If-Range", "ETag"]), st.text(max_size=30))
def test_no_condition_ever_raises(name: str, text: str) -> None:
    headers = Headers([(name, text)])
    assert evaluate("GET", headers, selected(headers)) in Outcome
    assert if_range_holds(headers, NOW) in (True, False)
