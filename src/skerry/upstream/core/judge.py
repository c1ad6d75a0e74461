"""What one answer's head means.

Owns the reading of status and fields (RFC 9110 section 15) and which trouble speaks against a
source's health. Never reads a body.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from skerry.upstream.ports import Trouble
from skerry.wire.message import Headers

REDIRECTS = frozenset({301, 302, 303, 307, 308})
PASSING = frozenset({408, 421, 425})
"""4xx that speak of the server's state, not of the request."""


class Meaning(StrEnum):
    ANSWER = "answer"
    REDIRECT = "redirect"
    ABSENT = "absent"
    CHALLENGE = "challenge"
    DENIED = "denied"
    TROUBLE = "trouble"


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a head means; `trouble` only with TROUBLE, `what` is for people."""

    meaning: Meaning
    what: str = ""
    trouble: Trouble | None = None


ANSWERED = Judgement(Meaning.ANSWER)


def judge(status: int, headers: Headers, *, only_if_cached: bool = False) -> Judgement:
    """What an answer's head means.

    `only_if_cached`: the request carried it, so 504 says "not here" (RFC 9111 section 5.2.1.7)
    and 508 says "you came from here" (RFC 8586); neither is an outage.
    """
    what = f"answered {status}"
    if status in (200, 203, 204, 206, 304):
        return _answer(status, headers)
    if status in REDIRECTS:
        if "location" in headers:
            return Judgement(Meaning.REDIRECT, what)
        return _trouble(Trouble.PROTOCOL, f"{what} without Location")
    if status in (404, 410) or (only_if_cached and status in (504, 508)):
        return Judgement(Meaning.ABSENT, what)
    if status == 401:
        return Judgement(Meaning.CHALLENGE, what)
    if status in (403, 451):
        return Judgement(Meaning.DENIED, what)
    if status == 429:
        return _trouble(Trouble.RATE_LIMITED, what)
    if status == 416:
        return _trouble(Trouble.WRONG_CONTENT, "has fewer bytes than were already received")
    if status >= 500 or status in PASSING:
        return _trouble(Trouble.SERVER_ERROR, what)
    if 400 <= status < 500:
        return _trouble(Trouble.DENIED, what)
    return _trouble(Trouble.PROTOCOL, what)


def _answer(status: int, headers: Headers) -> Judgement:
    kind = (headers.get("content-type") or "").partition(";")[0].strip().lower()
    if status != 304 and kind in ("text/html", "application/xhtml+xml"):
        # A captive portal or an error page with 200 (known failures T11).
        return _trouble(Trouble.PROTOCOL, f"answered {status} with a web page")
    coding = headers.joined("content-encoding").strip().lower()
    if status != 304 and coding not in ("", "identity"):
        # Coded bytes have another digest (known failures T13).
        return _trouble(Trouble.PROTOCOL, f"sent Content-Encoding {coding[:40]!r} unasked")
    return ANSWERED


def _trouble(trouble: Trouble, what: str) -> Judgement:
    return Judgement(Meaning.TROUBLE, what, trouble)


_HARMLESS = frozenset(
    {
        Trouble.RATE_LIMITED,
        Trouble.DENIED,
        Trouble.TOKEN_SERVICE,
        Trouble.BREAKER_OPEN,
        Trouble.BUDGET,
        Trouble.FORBIDDEN_ADDRESS,
    }
)


def is_outage(trouble: Trouble) -> bool:
    """Whether a trouble counts against the source's health.

    What does not count does not absolve either (known failures T30, nora#606).
    """
    return trouble not in _HARMLESS


_CONTENT_RANGE = re.compile(r"\s*bytes\s+(\d{1,19})-(\d{1,19})/(\d{1,19}|\*)\s*\Z", re.IGNORECASE)
_LENGTH = re.compile(r"\s*(\d{1,19})\s*\Z")


@dataclass(frozen=True, slots=True)
class Extent:
    """Where a body lies in the whole content; `size_bytes` is the whole's, None when not said."""

    offset_bytes: int
    size_bytes: int | None


def extent(status: int, headers: Headers, *, wanted_offset_bytes: int) -> Extent | str:
    """Where the body of a GET starts, or what is wrong with it (RFC 9110 section 14.4)."""
    if status == 206:
        match = _CONTENT_RANGE.match(headers.get("content-range") or "")
        if match is None:
            return "answered 206 without a usable Content-Range"
        start, last = int(match[1]), int(match[2])
        total = None if match[3] == "*" else int(match[3])
        if start != wanted_offset_bytes or last < start or (total is not None and last >= total):
            return f"answered 206 from byte {start} where {wanted_offset_bytes} was asked"
        return Extent(start, total)
    if status != 200:
        return f"answered {status} where content was asked"
    return Extent(0, content_length(headers))


def content_length(headers: Headers) -> int | None:
    """`Content-Length` in bytes, None when absent or senseless."""
    match = _LENGTH.match(headers.get("content-length") or "")
    return int(match[1]) if match else None
