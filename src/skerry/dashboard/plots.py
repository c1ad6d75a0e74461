"""Where the marks of a plot are.

Owns the geometry, in the units of an SVG of `WIDTH` by `HEIGHT`; the template draws it. Everything
in a plot differs by its form as well as by its colour, and is written below it as a table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from skerry.dashboard import words

WIDTH, HEIGHT = 720, 240
LEFT, RIGHT, TOP, BOTTOM = 8, 8, 22, 24
MONTH_DAYS_MAX = 31


@dataclass(frozen=True, slots=True)
class Bar:
    """A part of a sum; `share` is of the highest, 0 to 100."""

    label: str
    value: str
    share: float
    whole: str = ""


@dataclass(frozen=True, slots=True)
class Mark:
    """A day's column: its left upper corner, its size, and what it says."""

    x: float
    y: float
    width: float
    height: float
    label: str
    value: str


@dataclass(frozen=True, slots=True)
class Line:
    """A level across the plot, or a text at a place."""

    y: float
    text: str


@dataclass(frozen=True, slots=True)
class Days:
    """What each day has cost. `ticks` are places on the x axis with the day of the month."""

    marks: tuple[Mark, ...]
    top: Line
    ticks: tuple[tuple[float, str], ...]
    budget: Line | None


@dataclass(frozen=True, slots=True)
class Climb:
    """What a month has cost up to each of its days, and where that ends.

    Attributes:
        spent: the points of a line, as SVG writes them.
        ahead: from here to the likely end; "" for a month that is over.
        band: the corners of the interval; "" when there is none.
        ends: the low, the likely and the high end, and what they say.
    """

    spent: str
    ahead: str
    band: str
    ends: tuple[Line, ...]
    budget: Line | None
    top: Line
    ticks: tuple[tuple[float, str], ...]


def bars(values: Sequence[tuple[str, int]], currency: str) -> list[Bar]:
    """A plot of amounts in micro-units."""
    highest = max((abs(value) for _, value in values), default=0) or 1
    total = sum(value for _, value in values)
    return [
        Bar(
            label,
            words.money(value, currency),
            100 * abs(value) / highest,
            words.share(value, total) if 0 <= value <= total else "",
        )
        for label, value in values
    ]


def days_plot(
    days: Sequence[tuple[str, int]], currency: str, *, count: int, budget_micro: int | None
) -> Days:
    """A column for each day of a month of `count` days; a budget is that of one day."""
    highest = max(1, budget_micro or 0, *(value for _, value in days))
    step = (WIDTH - LEFT - RIGHT) / max(1, count)
    marks = []
    for label, value in days[:MONTH_DAYS_MAX]:
        x = LEFT + step * (int(label[-2:]) - 1)
        y = _y(value, highest)
        # What is something is to be seen, however little it is.
        height = max(HEIGHT - BOTTOM - y, 1.5 if value else 0)
        marks.append(
            Mark(x + step * 0.14, HEIGHT - BOTTOM - height, step * 0.72, height, label,
                 words.money(value, currency))
        )  # fmt: skip
    return Days(
        tuple(marks),
        Line(_y(highest, highest), words.money(highest, currency)),
        _ticks(step, count, 0.5),
        _level(budget_micro, highest, currency, "budget of a day"),
    )


def climb_plot(
    days: Sequence[tuple[str, int]],
    currency: str,
    *,
    count: int,
    budget_micro: int | None,
    forecast: tuple[int, int, int] | None,
) -> Climb:
    """The sum from day to day; `forecast` is low, likely, high at the end of a month that runs."""
    sums, running = [(0, 0)], 0
    for label, value in days[:MONTH_DAYS_MAX]:
        running += value
        sums.append((int(label[-2:]), running))
    ahead = forecast if forecast is not None and len(sums) <= count + 1 else None
    highest = max(1, budget_micro or 0, max(ahead or (0,)), *(value for _, value in sums))
    step = (WIDTH - LEFT - RIGHT) / max(1, count)

    def at(day: float, micro: int) -> str:
        return f"{LEFT + step * day:.1f},{_y(micro, highest):.1f}"

    spent = " ".join(at(day, value) for day, value in sums)
    line = band = ""
    ends: tuple[Line, ...] = ()
    if ahead is not None:
        low, likely, high = ahead
        # The last day of a month has no room left to the right of it.
        day = min(sums[-1][0], count - 0.5)
        line = f"{at(day, running)} {at(count, likely)}"
        if high > low:
            band = f"{at(day, running)} {at(count, high)} {at(count, low)}"
        ends = tuple(Line(_y(each, highest), words.money(each, currency)) for each in ahead)
    return Climb(
        spent,
        line,
        band,
        ends,
        _level(budget_micro, highest, currency, "budget"),
        Line(_y(highest, highest), words.money(highest, currency)),
        _ticks(step, count, 1),
    )


def _y(micro: int, highest: int) -> float:
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * max(0, micro) / highest


def _level(micro: int | None, highest: int, currency: str, name: str) -> Line | None:
    if micro is None:
        return None
    return Line(_y(micro, highest), f"{name} {words.money(micro, currency)}")


def _ticks(step: float, count: int, offset: float) -> tuple[tuple[float, str], ...]:
    named = [1, *range(5, count - 1, 5), count]
    return tuple((LEFT + step * (day - 1 + offset), str(day)) for day in named)
