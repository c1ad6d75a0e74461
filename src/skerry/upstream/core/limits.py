"""How much may be asked of a source, and when again.

Owns the arithmetic of request and byte budgets, `Retry-After` and drip detection. Never waits and
never reads a clock. RFC 9110 section 10.2.3, draft-ietf-httpapi-ratelimit-headers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from skerry.wire.message import Headers

RETRY_AFTER_SECONDS_MIN = 1.0
RETRY_AFTER_SECONDS_MAX = 3600.0
RATE_LIMITED_SECONDS = 30.0
"""How long a 429 without `Retry-After` is obeyed."""

_SECONDS = re.compile(r"\s*(\d{1,12})(?:\.\d*)?\s*\Z")
_REMAINING = re.compile(r"\s*(\d{1,9})\b")


@dataclass(frozen=True, slots=True)
class Bucket:
    """Requests that may be sent: refilled evenly, never above a minute's worth.

    Attributes:
        per_minute: 0 for no limit.
        tokens: may be negative after requests that could not be known before (redirects, tokens).
        at: when `tokens` was true; monotonic seconds.
    """

    per_minute: int
    tokens: float = 0.0
    at: float = 0.0

    @classmethod
    def full(cls, per_minute: int, now: float) -> Bucket:
        return cls(per_minute, float(per_minute), now)


def refill(bucket: Bucket, now: float) -> Bucket:
    """The bucket as it is now."""
    if bucket.per_minute <= 0:
        return bucket
    gained = max(0.0, now - bucket.at) * bucket.per_minute / 60.0
    return replace(bucket, tokens=min(float(bucket.per_minute), bucket.tokens + gained), at=now)


def wait_seconds(bucket: Bucket, now: float) -> float:
    """How long until one request may be sent; 0 when it may go now."""
    if bucket.per_minute <= 0:
        return 0.0
    missing = 1.0 - refill(bucket, now).tokens
    # Rounding must not leave a waiter a hair short of its token when it wakes.
    return missing * 60.0 / bucket.per_minute + 1e-6 if missing > 1e-9 else 0.0


def spend(bucket: Bucket, now: float) -> Bucket:
    """One request was sent."""
    if bucket.per_minute <= 0:
        return bucket
    full = refill(bucket, now)
    return replace(full, tokens=full.tokens - 1.0)


@dataclass(frozen=True, slots=True)
class Pace:
    """Bytes that may be read: a line of fixed rate shared by all bodies of a source.

    Attributes:
        bytes_per_second: 0 for no limit.
        free_at: when the bytes read so far are paid for; monotonic seconds.
    """

    bytes_per_second: int
    free_at: float = 0.0


def pay(pace: Pace, count: int, now: float) -> tuple[Pace, float]:
    """The pace after `count` bytes were read, and the seconds to wait before reading on."""
    if pace.bytes_per_second <= 0:
        return pace, 0.0
    free_at = max(pace.free_at, now) + count / pace.bytes_per_second
    return replace(pace, free_at=free_at), free_at - now


@dataclass(frozen=True, slots=True)
class Drip:
    """Watches a body for a trickle that no stall timeout sees (one byte a second).

    Only time spent waiting for the source counts; a slow reader or our own pacing does not.
    """

    window_seconds: float
    bytes_per_second_min: int = 512
    waited_seconds: float = 0.0
    received_bytes: int = 0


EVENT_STREAM_STALL_SECONDS = 300.0
"""How long a stream of events may be silent: its reader waits for what may not happen."""


def streams_events(headers: Headers) -> bool:
    """Whether an answer is a stream of events (WHATWG HTML, server-sent events)."""
    kind = (headers.get("content-type") or "").partition(";")[0]
    return kind.strip().lower() == "text/event-stream"


def silence_seconds(stall_seconds: float, headers: Headers) -> float:
    """How long the body of an answer may be silent, by what it is."""
    if streams_events(headers):
        return max(stall_seconds, EVENT_STREAM_STALL_SECONDS)
    return stall_seconds


def received(drip: Drip, count: int, waited_seconds: float) -> tuple[Drip, bool]:
    """The watch after a read, and whether the body is but a trickle."""
    waited = drip.waited_seconds + waited_seconds
    total = drip.received_bytes + count
    if waited < drip.window_seconds:
        return replace(drip, waited_seconds=waited, received_bytes=total), False
    slow = total < drip.bytes_per_second_min * waited
    return replace(drip, waited_seconds=0.0, received_bytes=0), slow


def retry_after_seconds(headers: Headers, now: float) -> float | None:
    """What `Retry-After` asks for, from 1 s to 1 h; None when absent or senseless.

    A date is read against the answer's own `Date`, so that our clock may be wrong; `now` is
    seconds since the epoch for answers without one.
    """
    text = headers.get("retry-after")
    if text is None:
        return None
    match = _SECONDS.match(text)
    if match is not None:
        return _clamp(float(match[1]))
    until = _date(text)
    if until is None:
        return None
    here = _date(headers.get("date") or "")
    return _clamp(until - (here if here is not None else now))


def remaining_requests(headers: Headers) -> int | None:
    """What the source says is left of its limit, e.g. Docker Hub's `ratelimit-remaining`."""
    for name in ("ratelimit-remaining", "x-ratelimit-remaining"):
        match = _REMAINING.match(headers.get(name) or "")
        if match is not None:
            return int(match[1])
    return None


def _clamp(seconds: float) -> float:
    return min(max(seconds, RETRY_AFTER_SECONDS_MIN), RETRY_AFTER_SECONDS_MAX)


def _date(text: str) -> float | None:
    try:
        moment: datetime = parsedate_to_datetime(text[:64])
        return moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
