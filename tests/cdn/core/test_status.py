from __future__ import annotations

import http_sf
from hypothesis import given
from hypothesis import strategies as st

from skerry.cdn.core.status import (
    CacheStatus,
    Fwd,
    ProxyError,
    ProxyStatus,
    with_age,
    with_cache_key,
    with_cache_status,
    with_proxy_status,
)
from skerry.wire.message import Headers


def said(status: CacheStatus) -> str:
    return status.member("skerry")


def test_a_hit_says_hit_and_its_ttl_rfc_9211_section_2_1() -> None:
    assert said(CacheStatus(ttl_seconds=376.9)) == "skerry;hit;ttl=376"


def test_a_stale_hit_has_a_negative_ttl_rfc_9211_section_2_4() -> None:
    assert said(CacheStatus(ttl_seconds=-412.0)) == "skerry;hit;ttl=-412"


def test_what_went_forward_is_no_hit_rfc_9211_section_2_2() -> None:
    for reason in Fwd:
        assert said(CacheStatus(fwd=reason)) == f"skerry;fwd={reason.value}"


def test_every_parameter_of_a_forwarded_request_rfc_9211_section_2() -> None:
    status = CacheStatus(
        fwd=Fwd.STALE,
        fwd_status=304,
        ttl_seconds=60,
        stored=True,
        collapsed=False,
        detail="fresh by route",
    )
    assert said(status) == (
        'skerry;fwd=stale;fwd-status=304;ttl=60;stored;collapsed=?0;detail="fresh by route"'
    )


def test_what_means_something_only_with_fwd_is_not_said_of_a_hit_rfc_9211_section_2() -> None:
    assert said(CacheStatus(fwd_status=200, stored=True, collapsed=True)) == "skerry;hit"


def test_a_detail_of_one_word_is_a_token_rfc_9211_section_2_8() -> None:
    assert said(CacheStatus(detail="stale-if-error")) == "skerry;hit;detail=stale-if-error"


def test_our_member_comes_after_those_nearer_the_origin_rfc_9211_section_2() -> None:
    came = Headers([("Cache-Status", "Origin; hit"), ("Cache-Status", '"A B"; fwd=stale')])
    went = with_cache_status(came, "skerry", CacheStatus())
    assert went.all("Cache-Status") == ('Origin; hit, "A B"; fwd=stale, skerry;hit',)


def test_a_broken_value_from_upstream_does_not_spoil_ours() -> None:
    for broken in ("a, ;", '"open', "é", "a,,b"):
        went = with_cache_status(Headers([("Cache-Status", broken)]), "skerry", CacheStatus())
        assert went.get("Cache-Status") == "skerry;hit", broken


def test_our_errors_name_their_kind_rfc_9209_section_2_1() -> None:
    status = ProxyStatus(
        ProxyError.HTTP_RESPONSE_INCOMPLETE,
        next_hop="origin.example:443",
        received_status=200,
        details='cut after "5" bytes',
    )
    went = with_proxy_status(Headers([("Proxy-Status", "far")]), "skerry", status)
    assert went.get("Proxy-Status") == (
        'far, skerry;error=http_response_incomplete;next-hop="origin.example:443"'
        ';received-status=200;details="cut after \\"5\\" bytes"'
    )


def test_every_error_has_the_status_that_rfc_9209_section_2_3_recommends() -> None:
    assert ProxyError.DNS_TIMEOUT.status == 504
    assert ProxyError.DNS_ERROR.status == 502
    assert ProxyError.DESTINATION_UNAVAILABLE.status == 503
    assert ProxyError.CONNECTION_REFUSED.status == 502
    assert ProxyError.CONNECTION_TIMEOUT.status == 504
    assert ProxyError.HTTP_RESPONSE_TIMEOUT.status == 504
    assert ProxyError.HTTP_REQUEST_DENIED.status == 403
    assert ProxyError.PROXY_LOOP_DETECTED.status == 502
    assert all(400 <= error.status <= 504 for error in ProxyError)


def test_age_is_replaced_by_whole_seconds_rfc_9111_section_4() -> None:
    assert with_age(Headers([("Age", "1"), ("age", "2")]), 7.9).all("Age") == ("7",)
    assert with_age(Headers(), -3).get("Age") == "0"
    assert with_age(Headers(), 1e30).get("Age") == "2147483648"


@given(st.text(), st.text(), st.text(), st.floats(), st.text(max_size=30))
def test_whatever_goes_in_a_structured_list_comes_out(
    name: str, key: str, detail: str, ttl: float, came: str
) -> None:
    status = CacheStatus(ttl_seconds=ttl, detail=detail)
    went = with_cache_status(Headers([("Cache-Status", came)]), name, status)
    went = with_cache_key(went, key)
    parsed = http_sf.parse((went.get("Cache-Status") or "").encode("ascii"), tltype="list")
    assert isinstance(parsed, list)
    assert parsed[-1][1]["hit"] is True


def test_a_key_is_told_whole_or_not_at_all_rfc_9211_section_2_7() -> None:
    came = Headers([("Cache-Status", "far;hit, rock;hit")])
    assert with_cache_key(came, 'http://a/"').get("Cache-Status") == (
        'far;hit, rock;hit;key="http://a/\\""'
    )
    assert with_cache_key(came, "x" * 300) == came
    assert with_cache_key(Headers(), "http://a/") == Headers()
