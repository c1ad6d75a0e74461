"""What may be put together from parts, and what never."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st

from skerry.cdn.core.parts import (
    Part,
    PartFlaw,
    Span,
    Validator,
    parse_content_range,
    read_part,
    strong_validator,
)
from skerry.wire.message import Headers

ONE, TWO = Validator('"one"'), Validator('"two"')
DATE = "Sun, 06 Nov 1994 08:49:37 GMT"
LATER = "Sun, 06 Nov 1994 08:49:38 GMT"
FIFTY = Span(0, 50)
SPANS = st.tuples(st.integers(0, 60), st.integers(1, 30)).map(lambda p: Span(p[0], p[0] + p[1]))


def headers(**fields: str) -> Headers:
    return Headers((name.replace("_", "-"), value) for name, value in fields.items())


def read(status: int = 206, asked: Span | None = FIFTY, **fields: str) -> Part | PartFlaw:
    return read_part(status, headers(ETag='"one"', **fields), asked=asked)


@pytest.mark.parametrize("tag", ['"one"', '""', '"W/x"', '"a b"'.replace(" ", "!")])
def test_a_strong_tag_is_a_strong_validator(tag: str) -> None:
    assert strong_validator(headers(ETag=tag)) == Validator(tag)


@pytest.mark.parametrize("tag", ['W/"one"', "one", '"one', 'w/"one"', '"a"b"', ""])
def test_a_weak_or_broken_tag_is_none_and_rules_out_the_date(tag: str) -> None:
    fields = headers(ETag=tag, Last_Modified=DATE, Date=LATER)
    assert strong_validator(fields) is None


def test_two_tags_are_none() -> None:
    assert strong_validator(Headers([("ETag", '"a"'), ("etag", '"a"')])) is None


def test_a_date_is_strong_a_second_later() -> None:
    found = strong_validator(headers(Last_Modified=DATE, Date=LATER))
    assert found == Validator(DATE)
    assert strong_validator(headers(Last_Modified=DATE, Date=DATE)) is None
    assert strong_validator(headers(Last_Modified=DATE)) is None
    assert strong_validator(headers(Last_Modified="yesterday", Date=LATER)) is None


def test_one_tag_for_two_codings_is_two_validators() -> None:
    packed = strong_validator(headers(ETag='"one"', Content_Encoding="GZIP"))
    assert packed == Validator('"one"', "gzip") != strong_validator(headers(ETag='"one"'))


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("bytes 0-0/1", (Span(0, 1), 1)),
        ("BYTES 5-9/*", (Span(5, 10), None)),
        ("bytes 5-4/10", None),
        ("bytes 0-9/9", None),
        ("bytes 0-10/10", None),
        ("bytes */10", None),
        ("bytes 0-9", None),
        ("bytes=0-9/10", None),
        ("items 0-9/10", None),
        ("bytes 0-9/10, bytes 0-9/10", None),
        ("bytes -1-9/10", None),
        ("bytes 0-99999999999999999999/*", None),
    ],
)
def test_content_range_is_read_as_rfc_9110_section_14_4_says(value: str, wanted: object) -> None:
    assert parse_content_range(value) == wanted


def test_a_206_is_what_its_content_range_says() -> None:
    assert read(Content_Range="bytes 0-49/100", Content_Length="50") == Part(ONE, Span(0, 50), 100)


def test_a_206_may_bring_less_than_was_asked() -> None:
    assert read(Content_Range="bytes 10-19/100") == Part(ONE, Span(10, 20), 100)


@pytest.mark.parametrize(
    ("fields", "flaw"),
    [
        ({}, PartFlaw.NO_CONTENT_RANGE),
        ({"Content_Range": "bytes */100"}, PartFlaw.BAD_CONTENT_RANGE),
        ({"Content_Range": "bytes 0-49/100", "Content_Length": "49"}, PartFlaw.WRONG_LENGTH),
        ({"Content_Range": "bytes 0-49/100", "Content_Length": "x"}, PartFlaw.WRONG_LENGTH),
        ({"Content_Range": "bytes 0-50/100"}, PartFlaw.NOT_ASKED),
        ({"Content_Range": "bytes 60-69/100"}, PartFlaw.NOT_ASKED),
        (
            {"Content_Range": "bytes 0-1/9", "Content_Type": "Multipart/byteranges; boundary=b"},
            PartFlaw.MULTIPART,
        ),
    ],
)
def test_a_206_that_is_not_what_it_says_is_no_part(fields: dict[str, str], flaw: PartFlaw) -> None:
    assert read(**fields) is flaw


def test_two_content_ranges_are_none() -> None:
    fields = Headers([("Content-Range", "bytes 0-9/10"), ("Content-Range", "bytes 0-9/10")])
    assert read_part(206, fields, asked=Span(0, 50)) is PartFlaw.BAD_CONTENT_RANGE


def test_nobody_asked_for_a_206_without_a_range() -> None:
    assert read(asked=None, Content_Range="bytes 0-49/100") is PartFlaw.NOT_ASKED


def test_a_200_is_the_whole_and_other_statuses_are_nothing() -> None:
    assert read(200, Content_Length="7") == Part(ONE, Span(0, 7), 7)
    assert read(404, Content_Length="7") is PartFlaw.STATUS
