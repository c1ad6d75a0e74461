"""Whether what a tag means here may be said without asking, and how a stale answer says so.

Owns the windows and the judgement (requirements R3; RFC 9211 `Cache-Status`, RFC 9111 section
5.5 `Warning`). Never holds an answer back: a stale tag goes out now and is checked behind it.
A digest is for ever and never comes here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from fnmatch import fnmatchcase

from skerry.registry.ports import Tag

FAILED_CHECK_SECONDS_MAX = 60.0
"""After a check that failed the next one is due no later than this, however long the window: so
soon is a healed upstream noticed (requirements L4). While its breaker is open a check costs
nothing."""

UNSETTLED_SECONDS_MAX = 300.0
"""The same for a tag that went, or moved to what could not be had: its check succeeds each time."""

CLOCK_STEP_SECONDS_MAX = 60.0
"""A time this far ahead is a clock that was corrected; further ahead it says nothing."""

WARNING_STALE = '110 - "Response is Stale"'


@dataclass(frozen=True, slots=True)
class TagWindow:
    """Tags that match the fnmatch `pattern` are fresh for `window_seconds` after a check."""

    pattern: str
    window_seconds: float


DEFAULT_WINDOWS = (
    *(
        TagWindow(pattern, 60.0)
        for word in ("latest", "main", "master", "edge", "nightly", "dev", "develop", "canary")
        for pattern in (word, f"{word}-*", f"*-{word}")
    ),
    # A release with its patch level is rarely moved; 1.27 moves with every patch.
    TagWindow("[0-9]*.[0-9]*.[0-9]*", 6 * 3600.0),
    TagWindow("v[0-9]*.[0-9]*.[0-9]*", 6 * 3600.0),
    TagWindow("[0-9]*", 3600.0),
    TagWindow("v[0-9]*", 3600.0),
    TagWindow("*", 300.0),
)
"""What holds for tags that no configured window matches."""


class Freshness(Enum):
    """What may be said of a tag now.

    FRESH: the upstream said so within the window. STALE: it did not, but was asked within the
    window. DUE: it did not, and is to be asked again behind this answer.
    """

    FRESH = "fresh"
    STALE = "stale"
    DUE = "due"

    @property
    def stale(self) -> bool:
        return self is not Freshness.FRESH


def window_for(tag: str, windows: Sequence[TagWindow]) -> float:
    """The window of a tag in seconds: the first configured match, else the first default."""
    return next(
        window.window_seconds
        for window in (*windows, *DEFAULT_WINDOWS)
        if fnmatchcase(tag, window.pattern)
    )


def judge(tag: Tag, now: float, window_seconds: float) -> Freshness:
    """What may be said of a tag `now` (seconds since the epoch).

    A tag that the upstream has removed, or moved to something not whole here, is never fresh.
    """
    settled = tag.gone_at is None and tag.pending is None
    if settled and _within(now - tag.confirmed_at, window_seconds):
        return Freshness.FRESH
    # A failed check moved the clock too: a dead upstream costs one wait per window, not one each.
    longest = FAILED_CHECK_SECONDS_MAX if settled else UNSETTLED_SECONDS_MAX
    retry_seconds = min(window_seconds, longest)
    return Freshness.STALE if _within(now - tag.checked_at, retry_seconds) else Freshness.DUE


def remaining_seconds(tag: Tag, now: float, window_seconds: float) -> int:
    """How long a tag stays fresh; negative for how long it has been stale. Whole seconds."""
    return int(window_seconds - max(0.0, now - tag.confirmed_at))


def cache_status(
    *,
    hit: bool,
    forward: str = "",
    ttl_seconds: int | None = None,
    stored: bool = False,
    detail: str = "",
) -> tuple[str, str]:
    """The `Cache-Status` field (RFC 9211).

    `forward` is one of the RFC's reasons for going on (`miss`, `uri-miss`, `stale`, ...); `detail`
    is ours, printable ASCII.
    """
    parts = ["skerry"]
    parts.extend(["hit"] if hit else [])
    parts.extend([f"fwd={forward}"] if forward else [])
    parts.extend(["stored"] if stored else [])
    parts.extend([] if ttl_seconds is None else [f"ttl={ttl_seconds}"])
    parts.extend([f"detail={_string(detail)}"] if detail else [])
    return ("Cache-Status", "; ".join(parts))


def stale_headers(
    tag: Tag, now: float, window_seconds: float, *, reason: str
) -> tuple[tuple[str, str], ...]:
    """How a stale answer says that it is (known failures T32); `reason` for the operator."""
    ttl = min(0, remaining_seconds(tag, now, window_seconds))
    return (cache_status(hit=True, ttl_seconds=ttl, detail=reason), ("Warning", WARNING_STALE))


def _within(age_seconds: float, window_seconds: float) -> bool:
    # A negative age is a clock set back since: trusted for a minute, then asked again.
    return -min(window_seconds, CLOCK_STEP_SECONDS_MAX) <= age_seconds < window_seconds


def _string(text: str) -> str:
    """A structured-field string (RFC 9651 section 3.3.3)."""
    printable = "".join(char if " " <= char <= "~" else "?" for char in text)
    return '"' + printable.replace("\\", "\\\\").replace('"', '\\"') + '"'
