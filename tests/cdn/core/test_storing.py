from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from skerry.cdn.core.storing import Refusal, refusal, stored_fields, stored_response
from skerry.cdn.ports import RoutePolicy
from tests.cdn.core.http_values import NOON, PUBLIC, Field, cc, date, fields, get, stored

FRESH = cc("max-age=60")
AUTHORIZED = ("Authorization", "Basic eA==")


def why(*pairs: Field, status: int = 200, policy: RoutePolicy = PUBLIC) -> Refusal | None:
    return refusal(get(), status, fields(*pairs), policy)


def test_a_route_is_sensitive_until_someone_says_otherwise_requirements_p4() -> None:
    assert why(cc("public, max-age=60"), policy=RoutePolicy()) is Refusal.SENSITIVE


def test_only_get_is_understood_section_3() -> None:
    for method in ("HEAD", "POST", "PUT", "DELETE", "OPTIONS", "get", "QUERY"):
        assert refusal(get(method=method), 200, fields(FRESH), PUBLIC) is Refusal.METHOD, method


def test_interim_and_impossible_statuses_are_not_stored_section_3() -> None:
    for status in (0, 100, 103, 199, 600, 999):
        assert why(FRESH, status=status) is Refusal.STATUS, status


def test_a_304_is_never_stored_section_3() -> None:
    assert why(cc("public, max-age=60"), status=304) is Refusal.STATUS


def test_answers_to_conditions_and_credentials_of_one_request_are_not_stored() -> None:
    for status in (407, 412, 416, 417):
        assert why(FRESH, status=status) is Refusal.STATUS, status


def test_statuses_that_forbid_it_are_not_stored_rfc_6585() -> None:
    for status in (428, 429, 431, 511):
        assert why(FRESH, status=status) is Refusal.STATUS, status


def test_parts_are_stored_only_for_who_handles_them_section_3_3() -> None:
    assert why(FRESH, status=206) is Refusal.PARTIAL
    assert refusal(get(), 206, fields(FRESH), PUBLIC, parts=True) is None


def test_explicit_freshness_makes_any_final_status_storable_even_unknown_ones_section_3() -> None:
    for status in (200, 201, 302, 400, 403, 418, 500, 503, 299, 499, 599):
        for explicit in (FRESH, cc("s-maxage=9"), cc("public"), ("Expires", date(60))):
            tagged = (explicit, ("ETag", '"a"'))
            assert why(*tagged, status=status) is None, (status, explicit)


def test_without_it_only_heuristically_cacheable_statuses_are_section_3() -> None:
    for status in (200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501):
        assert why(("Last-Modified", date(-600)), status=status) is None, status
    for status in (201, 302, 303, 307, 400, 403, 500, 502, 503, 504, 299):
        found = why(("Last-Modified", date(-600)), status=status)
        assert found is Refusal.NOT_CACHEABLE, status


def test_no_store_on_either_side_forbids_it_sections_5_2_1_5_and_5_2_2_5() -> None:
    assert why(cc("no-store, max-age=60")) is Refusal.NO_STORE
    asked = get(cc("no-store"))
    assert refusal(asked, 200, fields(FRESH), PUBLIC) is Refusal.REQUEST_NO_STORE


def test_must_understand_lifts_no_store_for_known_statuses_only_section_5_2_2_3() -> None:
    both = cc("must-understand, no-store, max-age=60")
    assert why(both) is None
    assert why(both, status=599) is Refusal.NOT_UNDERSTOOD
    assert why(cc("must-understand, max-age=60"), status=299) is Refusal.NOT_UNDERSTOOD


def test_private_is_not_for_a_shared_cache_section_5_2_2_7() -> None:
    assert why(cc("private, max-age=60")) is Refusal.PRIVATE
    assert why(cc("max-age=60, s-maxage=60, PRIVATE")) is Refusal.PRIVATE


def test_private_with_names_keeps_the_rest_section_5_2_2_7() -> None:
    named = fields(cc('max-age=60, private="X-User, set-cookie"'), ("X-User", "ada"), ("X-A", "b"))
    assert refusal(get(), 200, named, PUBLIC) is None
    kept = stored_fields(named, received_at=NOON)
    assert "X-User" not in kept
    assert kept.get("X-A") == "b"


def test_private_with_the_name_of_what_gives_the_rest_its_meaning_is_as_private() -> None:
    for name in ("Vary", "Cache-Control", "Content-Encoding"):
        assert why(cc(f'max-age=60, private="{name}"')) is Refusal.PRIVATE, name
        assert why(cc(f'max-age=60, no-cache="{name}"')) is Refusal.PRIVATE, name


def test_fields_that_no_cache_names_are_not_kept_section_5_2_2_4() -> None:
    kept = stored(cc('max-age=60, no-cache="X-Once"'), ("X-Once", "1")).headers
    assert "X-Once" not in kept
    assert "Cache-Control" in kept


@pytest.mark.parametrize("value", ["max-age=60", "max-age=60, proxy-revalidate", "no-cache"])
def test_authorization_forbids_it_section_3_5(value: str) -> None:
    answer = fields(cc(value), ("ETag", '"a"'))
    assert refusal(get(AUTHORIZED), 200, answer, PUBLIC) is Refusal.AUTHORIZATION


@pytest.mark.parametrize("value", ["public", "s-maxage=60", "max-age=60, must-revalidate"])
def test_unless_the_origin_permits_sharing_section_3_5(value: str) -> None:
    assert refusal(get(AUTHORIZED), 200, fields(cc(value), ("ETag", '"a"')), PUBLIC) is None


def test_expires_does_not_permit_sharing_section_3_5() -> None:
    answer = fields(("Expires", date(60)))
    assert refusal(get(AUTHORIZED), 200, answer, PUBLIC) is Refusal.AUTHORIZATION


def test_set_cookie_is_not_stored_by_default_section_7_3() -> None:
    assert why(FRESH, ("Set-Cookie", "a=b")) is Refusal.SET_COOKIE
    assert why(cc("public, s-maxage=60"), ("set-cookie2", "a=b")) is Refusal.SET_COOKIE


def test_a_route_or_the_origin_may_allow_it_without_the_cookie_section_5_2_2_7() -> None:
    allowing = replace(PUBLIC, store_cookies=True)
    assert why(FRESH, ("Set-Cookie", "a=b"), policy=allowing) is None
    assert why(cc('max-age=60, private="set-cookie"'), ("Set-Cookie", "a=b")) is None
    assert "Set-Cookie" not in stored(FRESH, ("Set-Cookie", "a=b")).headers


def test_what_came_for_a_cookie_and_does_not_say_it_is_for_all_is_not_stored() -> None:
    asked = get(("Cookie", "id=1"))
    tagged = fields(("ETag", '"a"'))
    assert refusal(asked, 200, tagged, PUBLIC) is Refusal.COOKIE
    assert refusal(asked, 200, fields(FRESH), PUBLIC) is None
    assert refusal(asked, 200, tagged, replace(PUBLIC, fresh_seconds=60.0)) is None


def test_vary_with_a_star_can_never_be_used_section_4_1() -> None:
    assert why(FRESH, ("Vary", "Accept, *")) is Refusal.VARY_STAR


def test_what_could_never_be_used_is_not_stored() -> None:
    assert why(cc("no-cache")) is Refusal.NO_USE
    assert why(cc("max-age=0, must-revalidate")) is Refusal.NO_USE
    assert why(cc("max-age=0"), status=404) is Refusal.NO_USE
    assert why(cc("no-cache"), ("ETag", '"a"')) is None
    assert why(cc("max-age=0")) is None  # for when the origin is out of reach, section 4.2.4


def test_every_field_is_kept_but_those_of_the_connection_section_3_1() -> None:
    kept = stored_fields(
        fields(
            ("Connection", "close, X-Hop"),
            ("X-Hop", "1"),
            ("Keep-Alive", "5"),
            ("Transfer-Encoding", "chunked"),
            ("Upgrade", "h2c"),
            ("Trailer", "X-Sum"),
            ("Proxy-Authenticate", "Basic"),
            ("Proxy-Authentication-Info", "x"),
            ("X-Unknown", "kept"),
            ("Content-Type", "text/plain"),
        ),
        received_at=NOON,
    )
    assert {name for name, _ in kept} == {"X-Unknown", "Content-Type", "Date"}


def test_a_connection_field_takes_away_no_directive_rfc_9110_section_7_6_1() -> None:
    kept = stored(("Connection", "Cache-Control, Vary"), cc("max-age=1"), ("Vary", "A")).headers
    assert kept.get("Cache-Control") == "max-age=1"
    assert kept.get("Vary") == "A"


def test_a_missing_or_bad_date_becomes_the_time_received_rfc_9110_section_6_6_1() -> None:
    assert stored_fields(fields(("Date", "tomorrow")), received_at=NOON).all("Date") == (date(),)


def test_the_stored_response_knows_what_selects_and_groups_it() -> None:
    answer = fields(FRESH, ("Vary", "Accept-Encoding"), ("Cache-Groups", '"a", "b";x=1'))
    kept = stored_response(
        get(("Accept-Encoding", "BR, gzip")), 200, answer, requested_at=1.0, received_at=2.0
    )
    assert kept.vary == (("accept-encoding", "br,gzip"),)
    assert kept.groups == {"a", "b"}


VALUES = st.sampled_from(
    [
        "no-store",
        "private",
        "public",
        "max-age=60",
        "s-maxage=5",
        "must-revalidate",
        'private="x"',
        "must-understand",
        "no-cache",
        "proxy-revalidate",
        "x=y",
        "max-age=-1",
        'x="',
    ]
)


@given(
    st.lists(VALUES, max_size=4),
    st.sampled_from([200, 206, 302, 304, 404, 500, 299]),
    st.booleans(),
    st.booleans(),
)
def test_nothing_is_stored_against_an_obvious_reading_of_section_3(
    values: list[str], status: int, authorized: bool, cookies: bool
) -> None:
    # A second quote closes the open one: what stands between is one string, not directives.
    assume('x="' not in values or sum('"' in value for value in values) == 1)
    pairs = [cc(", ".join(values)), ("ETag", '"a"')]
    if cookies:
        pairs.append(("Set-Cookie", "a=b"))
    asked = get(AUTHORIZED) if authorized else get()
    if refusal(asked, status, fields(*pairs), PUBLIC) is None:
        assert status not in (206, 304)
        assert "private" not in values
        assert "no-store" not in values or ("must-understand" in values and status != 299)
        assert not cookies
        if authorized:
            assert {"public", "s-maxage=5", "must-revalidate"} & set(values)
        if status in (302, 500, 299):
            assert {"public", "max-age=60", "max-age=-1", "s-maxage=5"} & set(values)
