from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.cdn.core.dates import format_date, parse_date

THE_EXAMPLE = 784_111_777.0  # RFC 9110 section 5.6.7


@pytest.mark.parametrize(
    "text",
    [
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
        "sun, 06 nov 1994 08:49:37 gmt",
    ],
)
def test_all_three_forms_are_read_without_case_section_5_6_7(text: str) -> None:
    assert parse_date(text) == THE_EXAMPLE


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "0",
        "-1",
        "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 06 Nov 1994 08:49:37 +0000",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sun, 31 Feb 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 25:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:61 GMT",
        "1994-11-06T08:49:37Z",
    ],
)
def test_everything_else_is_no_date_rfc_9111_section_4_2(text: str | None) -> None:
    assert parse_date(text) is None


def test_a_leap_second_is_rounded_down_rfc_9111_section_4_2() -> None:
    assert parse_date("Sat, 31 Dec 2016 23:59:60 GMT") == parse_date(
        "Sat, 31 Dec 2016 23:59:59 GMT"
    )


@given(st.integers(0, 253_402_300_799))
def test_what_is_written_reads_back(seconds: int) -> None:
    assert parse_date(format_date(seconds + 0.9)) == seconds


@given(st.text(max_size=40))
def test_reading_never_raises_whatever_the_text(text: str) -> None:
    assert parse_date(text) is None or isinstance(parse_date(text), float)
