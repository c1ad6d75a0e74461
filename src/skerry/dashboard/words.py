"""Numbers and times as the pages write them.

Owns the wording only; a page is read by people who are in a hurry.
"""

from __future__ import annotations

from datetime import UTC, datetime

from markupsafe import Markup, escape

from skerry.base.units import format_bytes, format_seconds
from skerry.budget.core.money import format_money, rounded

MICRO = 1_000_000


def amount(count_bytes: int | None) -> str:
    """Bytes; a dash when nobody knows."""
    return "–" if count_bytes is None else format_bytes(count_bytes)


def coded(text: str) -> Markup:
    """A sentence with what stands between backticks as code; everything is escaped."""
    parts = text.split("`")
    if len(parts) % 2 == 0:
        return escape(text)
    marked = (
        Markup("<code>{}</code>").format(part) if odd % 2 else escape(part)
        for odd, part in enumerate(parts)
    )
    return Markup("").join(marked)


def span(seconds: float | None) -> str:
    """A duration; a dash when there is none."""
    return "–" if seconds is None else format_seconds(max(0.0, seconds))


def ago(then: float | None, now: float) -> str:
    """How long ago; `never` for 0 or None."""
    if not then:
        return "never"
    return f"{format_seconds(max(0.0, now - then))} ago" if now - then >= 1 else "just now"


def moment(at: float | None) -> str:
    """A point in time, UTC; a dash when there is none."""
    return "–" if at is None else f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S} UTC"


def machine_time(at: float) -> str:
    """A point in time for the `datetime` attribute (RFC 3339)."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ}"


def share(part: int | None, whole: int | None) -> str:
    """A share in percent; a dash of nothing."""
    if part is None or not whole:
        return "–"
    # 99.96 % is not all of it: only what is whole is written as 100. Rounded as `percent` does.
    tenths = rounded(part * 1000, whole)
    tenths = min(tenths, 999) if part < whole else tenths
    return f"{tenths // 10}.{tenths % 10} %"


def money(micro: int, currency: str) -> str:
    """Micro-units of a currency with two places, as the commands write them."""
    return format_money(micro, currency)


def fine_money(micro: int, currency: str) -> str:
    """What one thing costs: with four places where two would say little; a dash below 0."""
    if micro >= 100 * MICRO:
        return money(micro, currency)
    return "–" if micro < 0 else format_money(micro, currency, places=4)


def per_cent(millionths: int) -> str:
    """A share in millionths, in percent; a dash below 0."""
    return "–" if millionths < 0 else share(millionths, MICRO)
