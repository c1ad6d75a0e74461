from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from skerry.cdn.core.hops import (
    Expectation,
    Hops,
    end_to_end,
    expectation,
    forwarded_request,
    has_looped,
    max_forwards,
    with_via,
)
from skerry.wire.message import Headers
from tests.cdn.core.http_values import Field


def names(headers: Headers) -> set[str]:
    return {name for name, _ in headers}


def test_connection_and_what_it_lists_end_here_section_7_6_1() -> None:
    came = Headers(
        [
            ("Connection", "close, X-A"),
            ("connection", "x-b"),
            ("X-A", "1"),
            ("x-B", "2"),
            ("X-C", "3"),
        ]
    )
    assert names(end_to_end(came)) == {"X-C"}


def test_the_other_fields_of_a_connection_end_here_unlisted_section_7_6_1() -> None:
    hop = ("Keep-Alive", "Proxy-Connection", "TE", "Transfer-Encoding", "Upgrade")
    assert names(end_to_end(Headers([(name, "x") for name in hop]))) == set()


def test_connection_takes_nothing_that_is_meant_for_all_section_7_6_1() -> None:
    for name in ("Cache-Control", "Authorization", "Cookie", "Host", "Vary", "CDN-Loop"):
        assert end_to_end(Headers([("Connection", name), (name, "x")])).get(name) == "x", name


def test_via_is_appended_section_7_6_3() -> None:
    came = Headers([("Via", "1.0 fred"), ("Via", "1.1 p.example")])
    assert with_via(came, "skerry").all("Via") == ("1.0 fred, 1.1 p.example, 1.1 skerry",)
    assert with_via(Headers(), "skerry", protocol="2").get("Via") == "2 skerry"


def test_a_forwarded_request_carries_our_loop_mark_rfc_8586_section_2() -> None:
    came = Headers([("CDN-Loop", "other; x=1"), ("Proxy-Authorization", "x"), ("TE", "trailers")])
    went = forwarded_request(came, "skerry-1")
    assert went.get("CDN-Loop") == "other; x=1, skerry-1"
    assert went.get("Via") == "1.1 skerry-1"
    assert names(went) == {"CDN-Loop", "Via"}


def test_a_loop_is_found_by_our_mark_rfc_8586_section_2() -> None:
    def looped(*lines: str) -> bool:
        return has_looped(Headers([("CDN-Loop", line) for line in lines]), "skerry-1")

    assert looped("other", "foo; a=b, SKERRY-1 ; x")
    assert not looped("skerry-10, my.skerry-1")
    assert not looped('other; x=", skerry-1"')
    assert not looped()


def forwards(method: str, *pairs: Field) -> Hops:
    return max_forwards(method, Headers(pairs))


def test_max_forwards_counts_down_for_trace_and_options_section_7_6_2() -> None:
    for method in ("TRACE", "OPTIONS"):
        assert forwards(method, ("Max-Forwards", "0")).ours
        step = forwards(method, ("Max-Forwards", "3"))
        assert not step.ours
        assert step.headers.get("Max-Forwards") == "2"
        assert not forwards(method).ours


def test_max_forwards_is_ignored_for_others_and_when_unreadable_section_7_6_2() -> None:
    assert forwards("GET", ("Max-Forwards", "0")).headers.get("Max-Forwards") == "0"
    assert not forwards("GET", ("Max-Forwards", "0")).ours
    assert not forwards("TRACE", ("Max-Forwards", "-1")).ours


def test_expect_is_continue_or_unknown_section_10_1_1() -> None:
    def expects(*lines: str) -> Expectation:
        return expectation(Headers([("Expect", line) for line in lines]))

    assert expects() is Expectation.NONE
    assert expects("") is Expectation.NONE
    assert expects("100-Continue") is Expectation.CONTINUE
    assert expects("100-continue", "x") is Expectation.UNKNOWN
    assert expects("200-ok") is Expectation.UNKNOWN


@given(
    st.lists(st.tuples(st.sampled_from(["Connection", "TE", "A", "Via"]), st.text()), max_size=5)
)
def test_a_second_hop_finds_nothing_left_to_remove(pairs: list[Field]) -> None:
    once = end_to_end(Headers(pairs))
    assert end_to_end(once) == once
    assert "Connection" not in once
    assert once.all("Via") == Headers(pairs).all("Via")
