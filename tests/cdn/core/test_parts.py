"""What may be put together from parts, and what never."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.base.ranges import Unsatisfiable
from skerry.cdn.core.parts import (
    PARTS_MAX,
    AskOrigin,
    Combined,
    Fetch,
    Held,
    Outcome,
    Part,
    PartFlaw,
    Parts,
    Serve,
    Span,
    Validator,
    combine,
    cover,
    join,
    missing,
    parse_content_range,
    plan,
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


def stored(*spans: tuple[int, int], total: int | None = 100) -> Parts:
    held = tuple(Held(Span(*span), f"h{n}") for n, span in enumerate(spans))
    return Parts(ONE, total, held)


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
    assert found.is_date
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


def test_parts_of_one_representation_join() -> None:
    first = combine(None, Part(ONE, Span(0, 10), None), "a")
    assert first.outcome is Outcome.BEGUN
    second = combine(first.parts, Part(ONE, Span(10, 20), 20), "b")
    assert second.outcome is Outcome.JOINED
    assert second.parts is not None
    assert second.parts.whole
    assert cover(second.parts, Span(5, 15)) is not None


@pytest.mark.parametrize(
    "part",
    [
        Part(TWO, Span(10, 20), 100),
        Part(Validator('"one"', "gzip"), Span(10, 20), 100),
        Part(ONE, Span(10, 20), 99),
    ],
)
def test_another_validator_coding_or_total_begins_anew(part: Part) -> None:
    found = combine(stored((0, 10), (30, 40)), part, "new")
    assert found.outcome is Outcome.REPLACED
    assert found.dropped == ("h0", "h1")
    assert found.parts == Parts(part.validator or ONE, part.total, (Held(part.span, "new"),))


def test_a_part_beyond_the_known_end_begins_anew() -> None:
    found = combine(stored((0, 10), total=15), Part(ONE, Span(10, 20), None), "new")
    assert found.outcome is Outcome.REPLACED


def test_without_a_strong_validator_nothing_mixes() -> None:
    before = stored((0, 10))
    assert combine(before, Part(None, Span(10, 20), 100), "n") == Combined(
        before, Outcome.REFUSED, ("n",)
    )


def test_a_part_that_is_here_already_is_given_back() -> None:
    assert combine(stored((0, 50)), Part(ONE, Span(10, 20), 100), "new").dropped == ("new",)
    assert combine(stored((10, 20)), Part(ONE, Span(0, 50), 100), "new").dropped == ("h0",)


def test_fragments_are_bounded() -> None:
    many = stored(*((n * 2, n * 2 + 1) for n in range(PARTS_MAX)), total=None)
    assert combine(many, Part(ONE, Span(9999, 10000), None), "x").outcome is Outcome.REFUSED


def test_a_range_from_a_whole_from_a_part_and_across_parts() -> None:
    parts = stored((0, 30), (20, 50), (80, 100))
    assert plan(parts, "bytes=10-19") == (
        Serve(Span(10, 20), 100, cover(parts, Span(10, 20)) or ()),
    )
    [across] = plan(parts, "bytes=10-44")  # type: ignore[misc]
    assert isinstance(across, Serve)
    assert [(p.handle, p.offset_bytes, p.size_bytes) for p in across.pieces] == [
        ("h0", 10, 20),
        ("h1", 10, 15),
    ]
    assert across.content_range == "bytes 10-44/100"
    [tail] = plan(parts, "bytes=-20")  # type: ignore[misc]
    assert isinstance(tail, Serve)
    assert tail.content_range == "bytes 80-99/100"


def test_what_is_missing_is_fetched_with_neighbours_joined() -> None:
    parts = stored((10, 20), (22, 40))
    assert plan(parts, "bytes=0-49", gap_bytes=0) == Fetch(
        (Span(0, 10), Span(20, 22), Span(40, 50)), (Span(0, 50),)
    )
    assert plan(parts, "bytes=0-49", gap_bytes=10) == Fetch(
        (Span(0, 22), Span(40, 50)), (Span(0, 50),)
    )


def test_incomplete_parts_answer_nothing_but_ranges() -> None:
    assert plan(stored((0, 99)), None) == AskOrigin()
    assert plan(stored((0, 99)), "lines=1-2") == AskOrigin()
    assert isinstance(plan(stored((0, 100)), None), tuple)


def test_an_unknown_length_resolves_only_closed_ranges() -> None:
    parts = stored((0, 50), total=None)
    [found] = plan(parts, "bytes=0-9")  # type: ignore[misc]
    assert isinstance(found, Serve)
    assert found.content_range == "bytes 0-9/*"
    for header in ("bytes=-5", "bytes=5-", "bytes=0-1,3-4", "bytes=9-1", None):
        assert plan(parts, header) == AskOrigin()


def test_beyond_the_end_is_unsatisfiable() -> None:
    assert plan(stored((0, 10)), "bytes=100-") == Unsatisfiable(100)


@given(st.lists(SPANS, max_size=12), SPANS, st.integers(0, 8))
def test_pieces_are_the_very_bytes_and_what_is_missing_is_missing(
    spans: list[Span], wanted: Span, gap: int
) -> None:
    parts: Parts | None = None
    dropped: set[str] = set()
    files: dict[str, list[int]] = {}
    for number, span in enumerate(spans):
        files[f"f{number}"] = list(range(span.start, span.stop))
        combined = combine(parts, Part(ONE, span, None), f"f{number}")
        parts, dropped = combined.parts, dropped | set(combined.dropped)
    parts = parts or Parts(ONE)
    here = {byte for span in spans for byte in range(span.start, span.stop)}
    assert {b for s in parts.spans for b in range(s.start, s.stop)} == here
    assert dropped.isdisjoint(item.handle for item in parts.held)
    absent = missing(parts.spans, wanted)
    assert [b for s in absent for b in range(s.start, s.stop)] == [
        b for b in range(wanted.start, wanted.stop) if b not in here
    ]
    pieces = cover(parts, wanted)
    assert (pieces is None) == bool(absent)
    for piece in pieces or ():
        assert 0 <= piece.offset_bytes < piece.offset_bytes + piece.size_bytes
    if pieces is not None:
        sent = [b for p in pieces for b in files[p.handle][p.offset_bytes :][: p.size_bytes]]
        assert sent == list(range(wanted.start, wanted.stop))
    joined = join(absent, gap_bytes=gap)
    assert all(b.start - a.stop > gap for a, b in pairwise(joined))
    assert all(any(j.start <= a.start and a.stop <= j.stop for j in joined) for a in absent)


REPRESENTATIONS = st.sampled_from(
    [(v, t) for v in (ONE, TWO, Validator('"one"', "gzip")) for t in (90, 91)]
)


@given(st.lists(st.tuples(REPRESENTATIONS, SPANS, st.booleans()), min_size=1, max_size=20))
def test_two_representations_never_share_a_set(
    arrivals: list[tuple[tuple[Validator, int], Span, bool]],
) -> None:
    parts: Parts | None = None
    came_from: dict[str, tuple[Validator, int]] = {}
    for number, ((validator, total), span, known) in enumerate(arrivals):
        # An unknown total is told apart by its validator alone; here each has its own.
        told = total if known or total == 91 else None
        came_from[f"f{number}"] = (validator, total)
        parts = combine(parts, Part(validator, span, told), f"f{number}").parts
        assert parts is not None
        validators = {came_from[item.handle][0] for item in parts.held}
        assert validators == {parts.validator}
        if parts.total is not None:
            assert all(item.span.stop <= parts.total for item in parts.held)
