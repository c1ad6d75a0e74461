"""Money in integer micro-units, and the one rule by which it is rounded.

Owns the arithmetic (requirements S3): a sum is rounded once, half to even, and its parts by largest
remainder, so that the parts always make the whole. Never a float.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from skerry.base.errors import BadInput, Party

MICRO = 1_000_000
DIGITS_MAX = 12
"""After the point of a price: a millionth of a micro-unit."""
_DECIMAL = re.compile(r"(\d{1,12})(?:\.(\d{1,12}))?\Z")


@dataclass(frozen=True, slots=True)
class Rate:
    """`micro` micro-units for `per` base units, exactly."""

    micro: int
    per: int

    def of(self, quantity: int) -> int:
        """What a quantity costs, in micro-units: rounded once, half to even."""
        return rounded(quantity * self.micro, self.per)


def rounded(numerator: int, denominator: int) -> int:
    """A ratio as a whole number, half to even; the denominator is positive."""
    whole, rest = divmod(numerator, denominator)
    up = 2 * rest > denominator or (2 * rest == denominator and whole % 2 == 1)
    return whole + up


def share_out(total: int, weights: Sequence[int]) -> tuple[int, ...]:
    """A total in parts by weight: largest remainder first, the earlier one where two are alike.

    The parts make the total. Without any weight the first part is all of it; `weights` are not
    negative, and there is one at least.
    """
    whole = sum(weights)
    if not whole:
        return (total, *(0 for _ in weights[1:]))
    sign, size = (-1, -total) if total < 0 else (1, total)
    parts = [size * weight // whole for weight in weights]
    left = size - sum(parts)
    order = sorted(range(len(weights)), key=lambda at: (-(size * weights[at] % whole), at))
    for at in order[:left]:
        parts[at] += 1
    return tuple(sign * part for part in parts)


def decimal_ratio(text: str) -> tuple[int, int]:
    """`0.08` as 8 of 100. Raises BadInput."""
    match = _DECIMAL.match(text)
    if match is None:
        raise BadInput(
            f"{text[:40]!r} is not an amount of money",
            next_step='write it in quotes with a point, as in "0.08"',
            party=Party.OPERATOR,
        )
    digits = match[2] or ""
    return int(match[1] + digits), 10 ** len(digits)


def parse_money(text: str) -> int:
    """`120.50` -> 120500000 micro-units. Raises BadInput, also for less than a micro-unit."""
    numerator, denominator = decimal_ratio(text)
    micro, rest = divmod(numerator * MICRO, denominator)
    if rest:
        raise BadInput(
            f"{text} is finer than a millionth", next_step="round it", party=Party.OPERATOR
        )
    return micro


def format_money(micro: int, currency: str = "", *, places: int = 2) -> str:
    """1234567 -> `1.23 EUR`, for people: rounded to `places`, at most 6."""
    step: int = 10 ** (6 - places)
    value = rounded(abs(micro), step)
    whole, part = divmod(value, 10**places)
    sign = "-" if micro < 0 and value else ""
    text = f"{sign}{whole}.{part:0{places}d}" if places else f"{sign}{whole}"
    return f"{text} {currency}".strip()


def exact_money(micro: int) -> str:
    """1234500 -> `1.2345`: all digits, none too many, as exports want it."""
    whole, part = divmod(abs(micro), MICRO)
    digits = f"{part:06d}".rstrip("0") or "0"
    return f"{'-' if micro < 0 else ''}{whole}.{digits}"
