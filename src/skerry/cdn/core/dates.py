"""HTTP dates as seconds since the epoch (RFC 9110 section 5.6.7).

Owns reading the three forms. Never asks for the time: no zone but GMT, no local clock.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = f"(?P<month>{'|'.join(_MONTHS)})"
_TIME = r"(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})"
_DAY = "(?:mon|tue|wed|thu|fri|sat|sun)"
_LONG_DAY = "(?:mon|tues|wednes|thurs|fri|satur|sun)day"
# Matched without case (RFC 9111 section 4.2); another zone than GMT is invalid there.
_FORMS = tuple(
    re.compile(form + r"\Z", re.IGNORECASE)
    for form in (
        rf"{_DAY}, (?P<day>[0-9]{{2}}) {_MONTH} (?P<year>[0-9]{{4}}) {_TIME} GMT",
        rf"{_LONG_DAY}, (?P<day>[0-9]{{2}})-{_MONTH}-(?P<year>[0-9]{{2}}) {_TIME} GMT",
        rf"{_DAY} {_MONTH} (?P<day>[0-9]{{2}}| [0-9]) {_TIME} (?P<year>[0-9]{{4}})",
    )
)
_LENGTH_MAX = 256
"""No date is nearly as long, white space around it included."""
_CENTURY_TURNS = 70
"""A two-digit year below this is of this century, others of the last."""


def parse_date(text: str | None) -> float | None:
    """Seconds since the epoch, None for anything that is no HTTP-date; never raises."""
    return None if text is None or len(text) > _LENGTH_MAX else _read(text)


@lru_cache(maxsize=1024)
def _read(text: str) -> float | None:
    match = next((m for form in _FORMS if (m := form.match(text.strip(" \t")))), None)
    if match is None:
        return None
    year = int(match["year"])
    if len(match["year"]) == 2:
        year += 2000 if year < _CENTURY_TURNS else 1900
    second = int(match["second"])
    if second > 60:
        return None
    try:
        moment = datetime(
            year,
            _MONTHS.index(match["month"].lower()) + 1,
            int(match["day"]),
            int(match["hour"]),
            int(match["minute"]),
            min(second, 59),  # a leap second; Expires may only be rounded down (section 4.2)
            tzinfo=UTC,
        )
    except ValueError:
        return None
    return moment.timestamp()


def format_date(seconds: float) -> str:
    """The IMF-fixdate of a time, rounded down; clamped to what four digits of year can say."""
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    moment = epoch + timedelta(seconds=min(max(int(seconds // 1), 0), 253_402_300_799))
    day = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")[moment.weekday()]
    month = _MONTHS[moment.month - 1].capitalize()
    return f"{day}, {moment.day:02} {month} {moment.year:04} {moment:%H:%M:%S} GMT"
