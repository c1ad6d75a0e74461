"""Counters, gauges and histograms with a bounded number of series.

Owns the numbers and their OpenMetrics text. A family that reaches `SERIES_MAX` label sets folds
the rest into one series whose labels read `other`, so that an attacker's names cannot fill memory.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

SERIES_MAX = 512
SECONDS_BUCKETS = (0.001, 0.005, 0.02, 0.1, 0.5, 1.0, 5.0, 30.0, 120.0, 600.0)

Labels = tuple[str, ...]


@dataclass(slots=True)
class _Distribution:
    counts: list[int]
    sum: float = 0.0
    count: int = 0


class Counter:
    """A number that only rises, per label set."""

    kind = "counter"

    def __init__(self, name: str, meaning: str, labels: Sequence[str] = ()) -> None:
        self.name, self.meaning, self.labels = name, meaning, tuple(labels)
        self._values: dict[Labels, float] = {}

    def add(self, amount: float = 1, *labels: str) -> None:
        """Adds `amount` to the series of these label values, in the family's order."""
        key = _bounded(self._values, labels)
        self._values[key] = self._values.get(key, 0) + amount

    def value(self, *labels: str) -> float:
        """The current value of one series; 0 when never counted."""
        return self._values.get(labels, 0)

    def total(self) -> float:
        """The sum over all series."""
        return sum(self._values.values())

    def series(self) -> dict[Labels, float]:
        """A copy of all series."""
        return dict(self._values)

    def expose(self) -> Iterator[str]:
        for labels, value in sorted(self._values.items()):
            yield f"{self.name}_total{_text(self.labels, labels)} {_number(value)}"


class Gauge:
    """A number read at the moment it is asked for."""

    kind = "gauge"

    def __init__(
        self,
        name: str,
        meaning: str,
        read: Callable[[], dict[Labels, float]],
        labels: Sequence[str] = (),
    ) -> None:
        self.name, self.meaning, self.labels = name, meaning, tuple(labels)
        self._read = read

    def expose(self) -> Iterator[str]:
        for labels, value in sorted(self._read().items())[:SERIES_MAX]:
            yield f"{self.name}{_text(self.labels, labels)} {_number(value)}"


class Histogram:
    """How often a value fell into each bucket, per label set."""

    kind = "histogram"

    def __init__(
        self,
        name: str,
        meaning: str,
        labels: Sequence[str] = (),
        buckets: Sequence[float] = SECONDS_BUCKETS,
    ) -> None:
        self.name, self.meaning, self.labels = name, meaning, tuple(labels)
        self._buckets = tuple(buckets)
        self._values: dict[Labels, _Distribution] = {}

    def observe(self, value: float, *labels: str) -> None:
        """Counts one value."""
        key = _bounded(self._values, labels)
        found = self._values.get(key)
        if found is None:
            found = self._values[key] = _Distribution([0] * (len(self._buckets) + 1))
        found.counts[bisect_left(self._buckets, value)] += 1
        found.sum += value
        found.count += 1

    def count(self, *labels: str) -> int:
        """How many values one series has seen."""
        found = self._values.get(labels)
        return found.count if found else 0

    def expose(self) -> Iterator[str]:
        for labels, found in sorted(self._values.items(), key=lambda item: item[0]):
            running = 0
            for bound, count in zip((*self._buckets, "+Inf"), found.counts, strict=True):
                running += count
                text = _text((*self.labels, "le"), (*labels, str(bound)))
                yield f"{self.name}_bucket{text} {running}"
            yield f"{self.name}_sum{_text(self.labels, labels)} {_number(found.sum)}"
            yield f"{self.name}_count{_text(self.labels, labels)} {found.count}"


F = TypeVar("F", Counter, Gauge, Histogram)


class Registry:
    """The families of one node. Not a global: the node makes one and hands it on."""

    def __init__(self) -> None:
        self._families: dict[str, Counter | Gauge | Histogram] = {}
        self._before: list[Callable[[], None]] = []

    def before_exposing(self, settle: Callable[[], None]) -> None:
        """Calls whoever counts in batches, so that what is read is exact."""
        self._before.append(settle)

    def settle(self) -> None:
        """Has whoever counts in batches tell what is not told yet."""
        for settle in self._before:
            settle()

    def counter(self, name: str, meaning: str, labels: Sequence[str] = ()) -> Counter:
        """Declares a counter; its name ends without `_total`, which exposition adds."""
        return self._add(Counter(name, meaning, labels))

    def gauge(
        self,
        name: str,
        meaning: str,
        read: Callable[[], dict[Labels, float]],
        labels: Sequence[str] = (),
    ) -> Gauge:
        """Declares a gauge that `read` answers for."""
        return self._add(Gauge(name, meaning, read, labels))

    def histogram(self, name: str, meaning: str, labels: Sequence[str] = ()) -> Histogram:
        """Declares a histogram of seconds."""
        return self._add(Histogram(name, meaning, labels))

    def families(self) -> tuple[Counter | Gauge | Histogram, ...]:
        """All families, by name."""
        return tuple(self._families[name] for name in sorted(self._families))

    def counted(self, name: str) -> dict[Labels, float]:
        """Every series of a counter now; empty for one that nobody has declared."""
        self.settle()
        family = self._families.get(name)
        return family.series() if isinstance(family, Counter) else {}

    def expose(self) -> str:
        """OpenMetrics 1.0 text."""
        self.settle()
        lines: list[str] = []
        for family in self.families():
            lines.append(f"# TYPE {family.name} {family.kind}")
            lines.append(f"# HELP {family.name} {family.meaning}")
            lines.extend(family.expose())
        return "\n".join((*lines, "# EOF", ""))

    def _add(self, family: F) -> F:
        if family.name in self._families:
            raise ValueError(f"metric {family.name} is declared twice")
        self._families[family.name] = family
        return family


def _bounded(values: dict[Labels, float] | dict[Labels, _Distribution], labels: Labels) -> Labels:
    if labels in values or len(values) < SERIES_MAX:
        return labels
    return ("other",) * len(labels)


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)


def _text(names: Sequence[str], values: Labels) -> str:
    if not names:
        return ""
    pairs = (
        f'{name}="{value.replace(chr(92), chr(92) * 2).replace(chr(34), chr(92) + chr(34))}"'
        for name, value in zip(names, values, strict=True)
    )
    return "{" + ",".join(pairs).replace("\n", "\\n") + "}"
