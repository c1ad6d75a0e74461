"""Redirects that are followed here: which, with what, and how fresh the name is then."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.cdn.core.moved import Hop, hop, joined, origin_of, sent_along
from skerry.wire.message import Headers

CDN = frozenset({"https://cdn.example", "http://127.0.0.1:8080"})


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_to_a_listed_server_is_followed_with_its_query(status: int) -> None:
    found = hop(status, "https://CDN.example:443/a/b?sig=1#part", base="", origins=CDN)
    assert found == Hop("https://cdn.example", "/a/b?sig=1")


@pytest.mark.parametrize(
    "location",
    [
        None,
        "",
        "/elsewhere",
        "//cdn.example/a",
        "http://cdn.example/a",
        "https://cdn.example:444/a",
        "https://cdn.example.evil.example/a",
        "https://user:pass@cdn.example/a",
        "https://cdn.example@evil.example/a",
        "https://evil.example/https://cdn.example/",
        "http://127.0.0.1/a",
        "http://[::1]:8080/a",
        "https://[/a",
        "https://cdn.example/a\r\nX: y",
        "https://cdn.example/\u00e4",
        "ftp://cdn.example/a",
    ],
)
def test_any_other_is_left_to_the_client(location: str | None) -> None:
    assert hop(302, location, base="", origins=CDN) is None


def test_what_is_no_redirect_leads_nowhere() -> None:
    for status in (200, 201, 300, 304, 404, 500):
        assert hop(status, "https://cdn.example/a", base="", origins=CDN) is None


def test_a_second_redirect_may_be_a_path_of_where_the_first_led() -> None:
    found = hop(307, "../x", base="https://cdn.example/a/b", origins=CDN)
    assert found == Hop("https://cdn.example", "/x")


@given(st.text(max_size=200))
def test_no_location_leads_to_a_server_that_is_not_listed(location: str) -> None:
    found = hop(302, location, base="", origins=CDN)
    assert found is None or found.origin in CDN


def test_no_credential_of_any_name_goes_along() -> None:
    asked = Headers(
        (
            ("Host", "hub.example"),
            ("Authorization", "Bearer canary"),
            ("Cookie", "canary"),
            ("X-Api-Key", "canary"),
            ("Referer", "https://hub.example/?token=canary"),
            ("Range", "bytes=0-9"),
            ("if-range", '"1"'),
            ("User-Agent", "hub/1"),
        )
    )
    assert list(sent_along(asked)) == [
        ("Range", "bytes=0-9"),
        ("if-range", '"1"'),
        ("User-Agent", "hub/1"),
    ]


def test_the_name_is_as_fresh_as_the_redirect_says() -> None:
    redirect = Headers((("Cache-Control", "max-age=60"), ("X-Linked-Size", "9"), ("X-Id", "1"),
                        ("Location", "https://cdn.example/a"), ("Vary", "Accept")))  # fmt: skip
    answer = Headers((("Cache-Control", "max-age=999, immutable"), ("ETag", '"1"'), ("Age", "50"),
                      ("X-Id", "2"), ("Content-Length", "9"), ("Set-Cookie", "a=b"),
                      ("Vary", "Origin"), ("Last-Modified", "x")))  # fmt: skip
    assert dict(joined(redirect, answer)) == {
        "ETag": '"1"',
        "X-Id": "2",
        "Content-Length": "9",
        "Last-Modified": "x",
        "Cache-Control": "max-age=60",
        "X-Linked-Size": "9",
        "Vary": "Accept, Origin",
    }


def test_a_redirect_that_says_nothing_lets_nothing_be_guessed() -> None:
    answer = Headers((("Cache-Control", "max-age=999"), ("Last-Modified", "x"), ("ETag", '"1"')))
    assert list(joined(Headers(), answer)) == [("ETag", '"1"')]


def test_an_origin_has_one_form() -> None:
    assert origin_of("HTTPS://A.example:443/x") == origin_of("https://a.example")
    assert origin_of("https://a.example:8443/") == "https://a.example:8443"
    assert origin_of("ftp://a.example/") is None
