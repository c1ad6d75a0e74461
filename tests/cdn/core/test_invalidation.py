from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from skerry.cdn.core.invalidation import cache_groups, invalidated_groups, invalidated_uris
from skerry.wire.message import Headers
from tests.cdn.core.http_values import Field

TARGET = "https://shop.example/a/b?c=d"


def uris(*pairs: Field, method: str = "POST", status: int = 200) -> tuple[str, ...]:
    return invalidated_uris(method, status, TARGET, Headers(pairs))


def groups(value: str) -> frozenset[str]:
    return cache_groups(Headers([("Cache-Groups", value)]))


def test_unsafe_and_unknown_methods_invalidate_their_target_section_4_4() -> None:
    for method in ("POST", "PUT", "DELETE", "PATCH", "FROBNICATE", "get"):
        assert uris(method=method) == (TARGET,), method


def test_safe_methods_invalidate_nothing_section_4_4() -> None:
    for method in ("GET", "HEAD", "OPTIONS", "TRACE"):
        assert uris(("Location", "/x"), method=method) == (), method


def test_only_2xx_and_3xx_invalidate_section_4_4() -> None:
    for status in (200, 204, 299, 301, 399):
        assert uris(status=status) == (TARGET,), status
    for status in (103, 400, 404, 500, 503):
        assert uris(status=status) == (), status


def test_location_and_content_location_of_the_same_origin_go_too_section_4_4() -> None:
    found = uris(("Location", "/x?y#z"), ("Content-Location", "https://SHOP.example:443/e"))
    assert found == (TARGET, "https://shop.example/x?y", "https://shop.example/e")
    assert uris(("Location", "../up")) == (TARGET, "https://shop.example/up")
    assert uris(("Location", "https://shop.example")) == (TARGET, "https://shop.example/")


def test_another_origin_is_left_alone_section_4_4() -> None:
    for there in (
        "https://other.example/x",
        "//other.example/x",
        "http://shop.example/x",
        "https://shop.example:444/x",
        "https://shop.example.evil/x",
        "https://shop.example@evil/x",
    ):
        assert uris(("Location", there)) == (TARGET,), there


def test_a_location_that_is_no_uri_is_passed_over() -> None:
    for bad in ("https://[::1", "https://shop.example:99999999/x", ""):
        assert uris(("Location", bad)) == (TARGET,), bad


def test_groups_are_a_list_of_strings_rfc_9875_section_2() -> None:
    assert groups('"a", "b c";revalidate, "a"') == {"a", "b c"}
    for bad in ("a", '"a", b', '("a")', '"a', "", '"a",', "1"):
        assert groups(bad) == frozenset(), bad


def test_32_groups_of_32_characters_are_supported_rfc_9875_section_2() -> None:
    names = [f"{n:032}" for n in range(32)]
    assert groups(", ".join(f'"{name}"' for name in names)) == set(names)


def test_a_field_beyond_our_limits_is_ignored() -> None:
    assert groups(", ".join(f'"{n}"' for n in range(129))) == frozenset()
    assert groups(f'"{"x" * 257}"') == frozenset()


def test_groups_are_invalidated_by_unsafe_methods_only_rfc_9875_section_3() -> None:
    headers = Headers([("Cache-Group-Invalidation", '"a"'), ("Cache-Group-Invalidation", '"b"')])
    assert invalidated_groups("POST", 200, headers) == {"a", "b"}
    assert invalidated_groups("FROBNICATE", 303, headers) == {"a", "b"}
    for method in ("GET", "HEAD", "OPTIONS", "TRACE"):
        assert invalidated_groups(method, 200, headers) == frozenset(), method
    assert invalidated_groups("POST", 500, headers) == frozenset()


@given(st.text(max_size=40))
def test_no_reference_leads_to_another_origin(text: str) -> None:
    for uri in uris(("Location", text), ("Content-Location", text)):
        assert uri.startswith("https://shop.example/")


@given(st.text(max_size=40))
def test_reading_groups_never_raises_whatever_the_text(text: str) -> None:
    assert isinstance(groups(text), frozenset)
