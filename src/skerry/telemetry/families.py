"""Counters, gauges and histograms with a bounded number of series.

Owns the numbers of one family. One that reaches `SERIES_MAX` label sets folds the rest into one
series whose labels read `other`, so that an attacker's names cannot fill memory.
"""

from __future__ import annotations

import itertools
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from skerry.telemetry.labels import Declared, Labels, LabelSet

SERIES_MAX = 512
SECONDS_BUCKETS = (0.001, 0.005, 0.02, 0.1, 0.5, 1.0, 2.0, 5.0, 30.0, 120.0, 600.0)
UNITS = ("seconds", "bytes", "ratio")
"""Base units; the last word of a name says which one is counted (OpenMetrics 1.0, "Unit")."""
TRACE_ID_LENGTH_MAX = 32

Now = Callable[[], float]
"""Seconds since the epoch."""


def unit_of(name: str) -> str:
    """The unit a family's name ends with, "" for a plain number of things."""
    last = name.rpartition("_")[2]
    return last if last in UNITS else ""


@dataclass(frozen=True, slots=True)
class Exemplar:
    """One observation that a trace was kept of. `at` is in seconds since the epoch."""

    trace_id: str
    value: float
    at: float


@dataclass(slots=True)
class Distribution:
    """One series of a histogram: how many values fell into each bucket, the last one endless."""

    counts: list[int]
    created: float | None = None
    sum: float = 0.0
    count: int = 0
    exemplars: dict[int, Exemplar] = field(default_factory=dict)


class _Family:
    """What every family has."""

    kind = ""

    def __init__(self, name: str, meaning: str, labels: Declared, now: Now | None) -> None:
        self.name, self.meaning, self.unit = name, meaning, unit_of(name)
        self.label_set = LabelSet(labels)
        self._now = now

    @property
    def labels(self) -> Labels:
        """The labels' names, in order."""
        return self.label_set.names

    def _time(self) -> float | None:
        return None if self._now is None else self._now()


class Counter(_Family):
    """A number that only rises, per label set."""

    kind = "counter"

    def __init__(
        self, name: str, meaning: str, labels: Declared = (), now: Now | None = None
    ) -> None:
        super().__init__(name, meaning, labels, now)
        self._values: dict[Labels, float] = {}
        self._created: dict[Labels, float] = {}

    def add(self, amount: float = 1, *labels: str) -> None:
        """Adds `amount` to the series of these label values, in the family's order."""
        if labels in self._values:
            self._values[labels] += amount
            return
        key = self.label_set.bounded(labels)
        if key not in self._values and len(self._values) >= SERIES_MAX:
            key = self.label_set.folded
        if key not in self._values:
            self._begin(key)
        self._values[key] += amount

    def begin(self, *values: Sequence[str]) -> None:
        """Shows 0 for every combination of values from now on.

        A series that appears with its first count has no rise that anybody could see.
        """
        for key in itertools.product(*values):
            self.add(0, *key)

    def _begin(self, key: Labels) -> None:
        self._values[key] = 0
        if (now := self._time()) is not None:
            self._created[key] = now

    def created(self, series: Iterable[Labels]) -> dict[Labels, float]:
        """When each of these series began, none without a clock."""
        return {each: self._created[each] for each in series if each in self._created}

    def value(self, *labels: str) -> float:
        """The current value of one series; 0 when never counted."""
        return self._values.get(labels, 0)

    def total(self) -> float:
        """The sum over all series."""
        return sum(self._values.values())

    def series(self) -> dict[Labels, float]:
        """A copy of all series."""
        return dict(self._values)


class _Read(_Family):
    """Numbers read at the moment they are asked for."""

    def __init__(
        self,
        name: str,
        meaning: str,
        read: Callable[[], dict[Labels, float]],
        labels: Declared = (),
    ) -> None:
        super().__init__(name, meaning, labels, None)
        self._read = read

    def series(self) -> dict[Labels, float]:
        """What is read now, at most SERIES_MAX of it."""
        found: dict[Labels, float] = {}
        for labels, value in itertools.islice(self._read().items(), SERIES_MAX):
            found[self.label_set.bounded(labels)] = value
        return found


class Gauge(_Read):
    """A number that rises and falls, read when it is asked for."""

    kind = "gauge"


class Tally(_Read):
    """A number that only rises, which somebody's `statistics()` has: read when it is asked for.

    All its series began when it was declared: they rise from 0 with the process.
    """

    kind = "counter"

    def __init__(
        self,
        name: str,
        meaning: str,
        read: Callable[[], dict[Labels, float]],
        labels: Declared = (),
        now: Now | None = None,
    ) -> None:
        super().__init__(name, meaning, read, labels)
        self._now = now
        self._began = self._time()

    def created(self, series: Iterable[Labels]) -> dict[Labels, float]:
        """When each of these series began, none without a clock."""
        return {} if self._began is None else dict.fromkeys(series, self._began)


class Histogram(_Family):
    """How often a value fell into each bucket, per label set."""

    kind = "histogram"

    def __init__(
        self,
        name: str,
        meaning: str,
        labels: Declared = (),
        buckets: Sequence[float] = SECONDS_BUCKETS,
        now: Now | None = None,
    ) -> None:
        super().__init__(name, meaning, labels, now)
        self.bounds = tuple(buckets)
        self._values: dict[Labels, Distribution] = {}

    def observe(self, value: float, *labels: str, trace_id: str = "") -> None:
        """Counts one value; `trace_id` of a trace that is kept, and may be shown to anybody."""
        found = self._values.get(labels)
        if found is None:
            found = self._found(labels)
        bucket = bisect_left(self.bounds, value)
        found.counts[bucket] += 1
        found.sum += value
        found.count += 1
        if trace_id and (now := self._time()) is not None:
            found.exemplars[bucket] = Exemplar(trace_id[:TRACE_ID_LENGTH_MAX], value, now)

    def _found(self, labels: Labels) -> Distribution:
        key = self.label_set.bounded(labels)
        if key not in self._values and len(self._values) >= SERIES_MAX:
            key = self.label_set.folded
        found = self._values.get(key)
        if found is None:
            found = Distribution([0] * (len(self.bounds) + 1), self._time())
            self._values[key] = found
        return found

    def count(self, *labels: str) -> int:
        """How many values one series has seen."""
        found = self._values.get(labels)
        return found.count if found else 0

    def series(self) -> dict[Labels, Distribution]:
        """All series, live."""
        return dict(self._values)


Family = Counter | Tally | Gauge | Histogram
