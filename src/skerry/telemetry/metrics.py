"""All metrics of one node.

Owns which families there are. What each counts is its declarer's business; how they are written
down is `exposition`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from skerry.telemetry.exposition import OPENMETRICS, expose
from skerry.telemetry.families import Counter, Family, Gauge, Histogram, Now, Tally
from skerry.telemetry.grouped import GROUP_MIN
from skerry.telemetry.labels import Declared, Labels

F = TypeVar("F", Counter, Tally, Gauge, Histogram)


@dataclass(frozen=True, slots=True)
class RegistryStatistics:
    """A snapshot: how many families there are, and series of counters and histograms."""

    families: int
    series: int


class Registry:
    """The families of one node. Not a global: the node makes one and hands it on."""

    def __init__(self, now: Now | None = None, *, group_min: int = GROUP_MIN) -> None:
        """With `now` it is told when each series began; `group_min` is for `Grouped` counts."""
        self._now = now
        self.group_min = group_min
        self._families: dict[str, Family] = {}
        self._before: list[Callable[[], None]] = []

    def before_exposing(self, settle: Callable[[], None]) -> None:
        """Calls whoever counts in batches, so that what is read is exact."""
        self._before.append(settle)

    def settle(self) -> None:
        """Has whoever counts in batches tell what is not told yet."""
        for settle in self._before:
            settle()

    def counter(self, name: str, meaning: str, labels: Declared = ()) -> Counter:
        """Declares a counter; its name ends without `_total`, which exposition adds."""
        return self._add(Counter(name, meaning, labels, self._now))

    def gauge(
        self,
        name: str,
        meaning: str,
        read: Callable[[], dict[Labels, float]],
        labels: Declared = (),
    ) -> Gauge:
        """Declares a gauge that `read` answers for."""
        return self._add(Gauge(name, meaning, read, labels))

    def tally(
        self,
        name: str,
        meaning: str,
        read: Callable[[], dict[Labels, float]],
        labels: Declared = (),
    ) -> Tally:
        """Declares a counter whose numbers `read` has; named like any counter."""
        return self._add(Tally(name, meaning, read, labels, self._now))

    def histogram(self, name: str, meaning: str, labels: Declared = ()) -> Histogram:
        """Declares a histogram of seconds."""
        return self._add(Histogram(name, meaning, labels, now=self._now))

    def families(self) -> tuple[Family, ...]:
        """All families, by name."""
        return tuple(self._families[name] for name in sorted(self._families))

    def counted(self, name: str) -> dict[Labels, float]:
        """Every series of a counter now; empty for one that nobody has declared."""
        self.settle()
        family = self._families.get(name)
        return family.series() if isinstance(family, Counter | Tally) else {}

    def expose(self, media_type: str = OPENMETRICS) -> str:
        """All families as text, of a media type of `exposition`."""
        return expose(self.settled(), media_type)

    def settled(self) -> Iterator[Family]:
        """All families, by name, once whoever counts in batches has told."""
        self.settle()
        yield from self.families()

    def statistics(self) -> RegistryStatistics:
        """A snapshot."""
        kept = (each for each in self._families.values() if isinstance(each, Counter | Histogram))
        return RegistryStatistics(len(self._families), sum(len(each.series()) for each in kept))

    def _add(self, family: F) -> F:
        if family.name in self._families:
            raise ValueError(f"metric {family.name} is declared twice")
        self._families[family.name] = family
        return family
