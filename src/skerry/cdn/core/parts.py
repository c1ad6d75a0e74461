"""Stored parts of one representation: which bytes of it are here, and what a range needs.

Owns combining (RFC 9111 sections 3.3 and 3.4, RFC 9110 section 15.3.7.3) and reading a 206. Parts
mix only under one strong validator, one content coding and one total length; anything else begins
a new set or is refused. Never holds bytes: a part is a handle of the store and where it lies.
"""

from __future__ import annotations

import itertools
import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from skerry.base.ranges import ByteRange, Unsatisfiable, parse_range
from skerry.cdn.core.dates import parse_date
from skerry.wire.message import Headers

PARTS_MAX = 1024
"""Stored parts of one representation; one more is refused and the caller fetches the whole."""
GAP_BYTES_MAX = 64 * 1024
"""Neighbours closer than this are fetched as one: refetching the gap costs less than asking."""

_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,19})-([0-9]{1,19})/([0-9]{1,19}|\*)\Z", re.IGNORECASE)
_CLOSED = re.compile(r"\s*bytes\s*=\s*([0-9]{1,19})\s*-\s*([0-9]{1,19})\s*\Z", re.IGNORECASE)
_STRONG = re.compile(r'"[\x21\x23-\x7e\x80-\xff]*"\Z')
_LENGTH = re.compile(r"[0-9]{1,19}\Z")


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """Bytes `start` up to but not including `stop`; never empty."""

    start: int
    stop: int

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.stop:
            raise ValueError(f"{self.start}-{self.stop} is not a span of bytes")

    @property
    def size(self) -> int:
        """Length in bytes."""
        return self.stop - self.start

    @property
    def range_header(self) -> str:
        """The `Range` value that asks for it (RFC 9110 section 14.1.2)."""
        return f"bytes={self.start}-{self.stop - 1}"


@dataclass(frozen=True, slots=True)
class Validator:
    """A strong validator: an entity tag as sent, or a `Last-Modified` that counts as strong.

    `coding` is the content coding. Two codings have different bytes (RFC 9110 section 8.8.1), and
    origins that send one tag for both exist.
    """

    value: str
    coding: str = ""

    @property
    def is_date(self) -> bool:
        """Whether it is a date rather than an entity tag."""
        return not self.value.startswith('"')


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes of a representation as an answer brought them; `total` None while it is unknown."""

    validator: Validator | None
    span: Span
    total: int | None


class PartFlaw(StrEnum):
    """Why an answer cannot be taken as a part. Bounded: a metric label."""

    STATUS = "status"
    MULTIPART = "multipart"
    NO_CONTENT_RANGE = "no_content_range"
    BAD_CONTENT_RANGE = "bad_content_range"
    WRONG_LENGTH = "wrong_length"
    NOT_ASKED = "not_asked"


@dataclass(frozen=True, slots=True)
class Held:
    """A stored part: byte `span.start` of the representation is byte 0 of `handle`."""

    span: Span
    handle: str


@dataclass(frozen=True, slots=True)
class Piece:
    """Consecutive bytes to send: `size_bytes` of `handle` from `offset_bytes` on."""

    handle: str
    offset_bytes: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Parts:
    """What is here of one representation. `held` is sorted, and none lies inside another."""

    validator: Validator
    total: int | None = None
    held: tuple[Held, ...] = ()

    @property
    def spans(self) -> tuple[Span, ...]:
        """The bytes here, joined: sorted, disjoint and not adjacent."""
        return join(tuple(item.span for item in self.held))

    @property
    def whole(self) -> bool:
        """Whether every byte is here; only then may it answer without a range (9111, 3.3)."""
        if self.total is None:
            return False
        return self.total == 0 or self.spans == (Span(0, self.total),)


class Outcome(StrEnum):
    """What became of a part. Bounded: a metric label."""

    BEGUN = "begun"
    JOINED = "joined"
    REPLACED = "replaced"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Combined:
    """The parts after an answer, and the handles nobody needs any more."""

    parts: Parts | None
    outcome: Outcome
    dropped: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Serve:
    """Answer 206 from what is here. `total` None means `Content-Range: bytes a-b/*`."""

    span: Span
    total: int | None
    pieces: tuple[Piece, ...]

    @property
    def content_range(self) -> str:
        """RFC 9110 section 14.4."""
        total = "*" if self.total is None else self.total
        return f"bytes {self.span.start}-{self.span.stop - 1}/{total}"


@dataclass(frozen=True, slots=True)
class Fetch:
    """These bytes are missing, in this order. `wanted` are the ranges to answer afterwards."""

    missing: tuple[Span, ...]
    wanted: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class AskOrigin:
    """Cannot be answered from parts: no range, or one that needs the unknown total length."""


Answerable = tuple[Serve, ...] | Fetch | AskOrigin | Unsatisfiable


def strong_validator(headers: Headers) -> Validator | None:
    """The strong validator of a response, None when it has none.

    A weak tag rules a date out as well: RFC 9110 section 13.1.5 lets a date stand in only for a
    representation without a tag. A date is strong when `Date` is at least a second later (8.8.2.2).
    """
    coding = headers.joined("Content-Encoding").replace(" ", "").lower()
    tags = headers.all("ETag")
    if tags:
        strong = len(tags) == 1 and _STRONG.match(tags[0].strip())
        return Validator(tags[0].strip(), coding) if strong else None
    modified, date = headers.all("Last-Modified"), headers.all("Date")
    if len(modified) != 1 or len(date) != 1:
        return None
    changed, sent = parse_date(modified[0]), parse_date(date[0])
    if changed is None or sent is None or sent - changed < 1:
        return None
    return Validator(modified[0].strip(), coding)


def parse_content_range(value: str) -> tuple[Span, int | None] | None:
    """`bytes 0-499/1234` as span and total; None when it is invalid (RFC 9110 section 14.4).

    Invalid are other units, a last position before the first, and a total that is not beyond the
    last. What an invalid one came with must not be recombined.
    """
    match = _CONTENT_RANGE.match(value.strip())
    if match is None:
        return None
    first, last = int(match[1]), int(match[2])
    total = None if match[3] == "*" else int(match[3])
    if last < first or (total is not None and total <= last):
        return None
    return Span(first, last + 1), total


def read_part(status: int, headers: Headers, *, asked: Span | None) -> Part | PartFlaw:
    """What a 200 or 206 brings. `asked` is the span that was asked for, None for the whole.

    A 206 may bring less than was asked, never something else (RFC 9110 section 15.3.7). A 200 that
    is empty or of unknown length has no span to give and is the caller's to stream.
    """
    lengths = headers.all("Content-Length")
    length = int(lengths[0]) if len(lengths) == 1 and _LENGTH.match(lengths[0].strip()) else None
    if lengths and length is None:
        return PartFlaw.WRONG_LENGTH
    validator = strong_validator(headers)
    if status == 200:
        return Part(validator, Span(0, length), length) if length else PartFlaw.WRONG_LENGTH
    if status != 206:
        return PartFlaw.STATUS
    if (headers.get("Content-Type") or "").lower().startswith("multipart/byteranges"):
        return PartFlaw.MULTIPART  # we ask for one range at a time
    values = headers.all("Content-Range")
    if not values:
        return PartFlaw.NO_CONTENT_RANGE
    found = parse_content_range(values[0]) if len(values) == 1 else None
    if found is None:
        return PartFlaw.BAD_CONTENT_RANGE
    span, total = found
    if length is not None and length != span.size:
        return PartFlaw.WRONG_LENGTH
    if asked is None or span.start < asked.start or span.stop > asked.stop:
        return PartFlaw.NOT_ASKED
    return Part(validator, span, total)


def combine(stored: Parts | None, part: Part, handle: str) -> Combined:
    """The stored parts after `part` came in, kept under `handle`.

    Without a strong validator nothing is kept (RFC 9111 section 3.4). Another validator or total
    is another representation: the newcomer stays, all that was here goes.
    """
    if part.validator is None:
        return Combined(stored, Outcome.REFUSED, (handle,))
    alone = Parts(part.validator, part.total, (Held(part.span, handle),))
    if stored is None:
        return Combined(alone, Outcome.BEGUN)
    if not _one_representation(stored, part):
        return Combined(alone, Outcome.REPLACED, tuple(item.handle for item in stored.held))
    total = stored.total if part.total is None else part.total
    everything = sorted((*stored.held, Held(part.span, handle)), key=_by_start_longest_first)
    kept: list[Held] = []
    for item in everything:
        if not kept or item.span.stop > kept[-1].span.stop:
            kept.append(item)
    if len(kept) > PARTS_MAX:
        return Combined(stored, Outcome.REFUSED, (handle,))
    names = {item.handle for item in kept}
    dropped = tuple(item.handle for item in everything if item.handle not in names)
    return Combined(replace(stored, total=total, held=tuple(kept)), Outcome.JOINED, dropped)


def join(spans: Sequence[Span], *, gap_bytes: int = 0) -> tuple[Span, ...]:
    """Spans sorted, with those joined that overlap or are at most `gap_bytes` apart."""
    joined: list[Span] = []
    for span in sorted(spans):
        if joined and span.start - joined[-1].stop <= gap_bytes:
            joined[-1] = Span(joined[-1].start, max(joined[-1].stop, span.stop))
        else:
            joined.append(span)
    return tuple(joined)


def missing(spans: Sequence[Span], wanted: Span) -> tuple[Span, ...]:
    """The bytes of `wanted` that are not in `spans` (sorted and disjoint), exactly."""
    gaps: list[Span] = []
    at = wanted.start
    begin = max(0, bisect_right(spans, at, key=_start) - 1)
    for span in itertools.islice(spans, begin, None):
        if span.start >= wanted.stop:
            break
        if span.start > at:
            gaps.append(Span(at, span.start))
        at = max(at, span.stop)
    if at < wanted.stop:
        gaps.append(Span(at, wanted.stop))
    return tuple(gaps)


def cover(parts: Parts, wanted: Span) -> tuple[Piece, ...] | None:
    """`wanted` as pieces of stored parts, as few as can be; None when a byte is missing."""
    pieces: list[Piece] = []
    at = wanted.start
    while at < wanted.stop:
        # None lies inside another, so of those that start in time the last reaches furthest.
        position = bisect_right(parts.held, at, key=_held_start) - 1
        if position < 0 or parts.held[position].span.stop <= at:
            return None
        item = parts.held[position]
        stop = min(wanted.stop, item.span.stop)
        pieces.append(Piece(item.handle, at - item.span.start, stop - at))
        at = stop
    return tuple(pieces)


def plan(parts: Parts, header: str | None, *, gap_bytes: int = GAP_BYTES_MAX) -> Answerable:
    """What a `Range` header comes to with these parts.

    All ranges from here (or the whole, when there is no usable range), or what to fetch first
    with neighbours joined, or a question only the origin can answer. An incomplete response
    answers nothing else (RFC 9111 section 3.3).
    """
    if parts.total is None:
        match = _CLOSED.match(header or "")
        if match is None or int(match[2]) < int(match[1]):
            return AskOrigin()
        wanted: tuple[Span, ...] = (Span(int(match[1]), int(match[2]) + 1),)
    else:
        ranges = parse_range(header, parts.total)
        if isinstance(ranges, Unsatisfiable):
            return ranges
        if ranges is None and not parts.whole:
            return AskOrigin()
        whole = (ByteRange(0, parts.total, parts.total),) if parts.total else ()
        wanted = tuple(Span(item.start, item.stop) for item in (ranges or whole))
    here = parts.spans
    gaps = [gap for span in wanted for gap in missing(here, span)]
    if gaps:
        return Fetch(join(gaps, gap_bytes=gap_bytes), wanted)
    served = ((span, cover(parts, span)) for span in wanted)
    return tuple(Serve(span, parts.total, pieces) for span, pieces in served if pieces)


def _one_representation(stored: Parts, part: Part) -> bool:
    if stored.validator != part.validator:
        return False
    if stored.total is not None and part.total is not None:
        return stored.total == part.total
    total = stored.total if part.total is None else part.total
    ends = (part.span.stop, *(item.span.stop for item in stored.held))
    return total is None or max(ends) <= total


def _by_start_longest_first(item: Held) -> tuple[int, int]:
    return item.span.start, -item.span.stop


def _start(span: Span) -> int:
    return span.start


def _held_start(item: Held) -> int:
    return item.span.start
