"""Sizes and durations as people write them.

Owns the grammar of `10GiB`, `1.5 MB`, `90s`, `15m`; never guesses a missing unit except bytes and
seconds, which are what plain numbers mean.
"""

from __future__ import annotations

import re

from skerry.base.errors import BadInput

_SIZE = {
    "": 1, "b": 1,
    "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12,
    "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40,
    "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40,
}  # fmt: skip
_TIME = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_NUMBER = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*\Z")


def parse_bytes(text: str) -> int:
    """`10GiB` -> 10737418240. Raises BadInput."""
    return int(_parse(text, _SIZE, "a size such as 512MiB or 10GB"))


def parse_seconds(text: str) -> float:
    """`15m` -> 900.0. Raises BadInput."""
    return _parse(text, _TIME, "a duration such as 90s, 15m, 2h or 7d")


def format_bytes(count: int) -> str:
    """10737418240 -> `10.0 GiB`."""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(value) < 1024:
            return f"{int(value)} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"


def format_seconds(seconds: float) -> str:
    """5400 -> `1h30m`; 0.012 -> `12 ms`."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 120:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    if minutes < 120:
        return f"{minutes}m"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours}h{minutes:02d}m"
    return f"{hours // 24}d{hours % 24}h"


def _parse(text: str, units: dict[str, int] | dict[str, float], wanted: str) -> float:
    match = _NUMBER.match(text)
    factor = units.get(match[2].lower()) if match else None
    if match is None or factor is None:
        raise BadInput(f"{text!r} is not {wanted}", next_step="write a number and a unit")
    return float(match[1]) * factor
