"""What a head means."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.upstream.core.judge import Extent, Meaning, extent, is_outage, judge
from skerry.upstream.ports import Trouble
from skerry.wire.message import NO_HEADERS, Headers


@pytest.mark.parametrize(
    ("status", "meaning", "trouble"),
    [
        (200, Meaning.ANSWER, None),
        (206, Meaning.ANSWER, None),
        (304, Meaning.ANSWER, None),
        (401, Meaning.CHALLENGE, None),
        (403, Meaning.DENIED, None),
        (404, Meaning.ABSENT, None),
        (410, Meaning.ABSENT, None),
        (400, Meaning.TROUBLE, Trouble.DENIED),
        (408, Meaning.TROUBLE, Trouble.SERVER_ERROR),
        (416, Meaning.TROUBLE, Trouble.WRONG_CONTENT),
        (429, Meaning.TROUBLE, Trouble.RATE_LIMITED),
        (500, Meaning.TROUBLE, Trouble.SERVER_ERROR),
        (503, Meaning.TROUBLE, Trouble.SERVER_ERROR),
        (504, Meaning.TROUBLE, Trouble.SERVER_ERROR),
        (302, Meaning.TROUBLE, Trouble.PROTOCOL),
        (299, Meaning.TROUBLE, Trouble.PROTOCOL),
    ],
)
def test_each_status_has_one_meaning(
    status: int, meaning: Meaning, trouble: Trouble | None
) -> None:
    judged = judge(status, NO_HEADERS)
    assert (judged.meaning, judged.trouble) == (meaning, trouble)


def test_a_redirect_needs_a_location() -> None:
    assert judge(307, Headers((("Location", "/x"),))).meaning is Meaning.REDIRECT


def test_t11_a_web_page_with_200_is_trouble() -> None:
    page = Headers((("Content-Type", "Text/HTML; charset=utf-8"),))
    assert judge(200, page).trouble is Trouble.PROTOCOL
    assert is_outage(Trouble.PROTOCOL)


def test_t13_coded_bytes_are_refused() -> None:
    assert judge(200, Headers((("Content-Encoding", "gzip"),))).trouble is Trouble.PROTOCOL
    assert judge(200, Headers((("Content-Encoding", "identity"),))).meaning is Meaning.ANSWER


def test_a_siblings_504_is_not_an_outage() -> None:
    assert judge(504, NO_HEADERS, only_if_cached=True).meaning is Meaning.ABSENT
    assert judge(508, NO_HEADERS, only_if_cached=True).meaning is Meaning.ABSENT


def test_t31_limits_and_denials_do_not_count_as_outage() -> None:
    harmless = {trouble for trouble in Trouble if not is_outage(trouble)}
    assert harmless == {
        Trouble.RATE_LIMITED,
        Trouble.DENIED,
        Trouble.TOKEN_SERVICE,
        Trouble.BREAKER_OPEN,
        Trouble.BUDGET,
        Trouble.FORBIDDEN_ADDRESS,
    }


def ranged(value: str) -> Headers:
    return Headers((("Content-Range", value),))


def test_a_206_must_start_where_it_was_asked_to() -> None:
    assert extent(206, ranged("bytes 5-9/10"), wanted_offset_bytes=5) == Extent(5, 10)
    assert extent(206, ranged("bytes 5-9/*"), wanted_offset_bytes=5) == Extent(5, None)
    for wrong in (
        "bytes 4-9/10",
        "bytes 5-10/10",
        "bytes 5-4/10",
        "bytes */10",
        "",
        "lines 5-9/10",
    ):
        assert isinstance(extent(206, ranged(wrong), wanted_offset_bytes=5), str), wrong


def test_a_200_starts_at_the_beginning_whatever_was_asked() -> None:
    sized = Headers((("Content-Length", "10"),))
    assert extent(200, sized, wanted_offset_bytes=5) == Extent(0, 10)
    assert extent(200, NO_HEADERS, wanted_offset_bytes=0) == Extent(0, None)
    assert isinstance(extent(304, NO_HEADERS, wanted_offset_bytes=0), str)


@given(st.integers(100, 999), st.text(max_size=40), st.integers(0, 99))
def test_no_head_makes_it_crash(status: int, value: str, offset: int) -> None:
    fields = ("location", "content-type", "content-encoding", "content-range", "content-length")
    headers = Headers((name, value) for name in fields)
    judge(status, headers)
    extent(status, headers, wanted_offset_bytes=offset)
