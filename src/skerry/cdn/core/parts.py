"""A 206 as it comes from an origin: which bytes of which representation it brings.

Owns the reading of it and the validator under which parts may be put together (RFC 9111 sections
3.3 and 3.4, RFC 9110 section 15.3.7.3). Which parts are kept, and how, is `slices`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from skerry.cdn.core.dates import parse_date
from skerry.wire.message import Headers

_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,19})-([0-9]{1,19})/([0-9]{1,19}|\*)\Z", re.IGNORECASE)
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


class Outcome(StrEnum):
    """What became of a part. Bounded: a metric label."""

    BEGUN = "begun"
    JOINED = "joined"
    REPLACED = "replaced"
    REFUSED = "refused"


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
