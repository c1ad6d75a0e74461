"""Counts of sensitive traffic, shown in groups only.

Owns the threshold (requirements S2, E5): what is counted for a sensitive class reaches the
metrics when `group_min` requests of the same kind are together, and then all of it at once. Nobody
who reads every sample learns that one came, how large its answer was or how long it took.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

GROUP_MIN = 10
"""Requests that are shown together."""


@dataclass(slots=True)
class Group:
    """What waits to be shown."""

    requests: int = 0
    body_bytes: int = 0
    seconds: list[float] = field(default_factory=list)


Show = Callable[[tuple[str, ...], Group], None]


@dataclass(frozen=True, slots=True)
class GroupedStatistics:
    """A snapshot: requests that are counted and not shown yet."""

    waiting_count: int


class Grouped:
    """Holds counts back until they stand for many."""

    def __init__(self, show: Show, *, group_min: int) -> None:
        self._show = show
        self._group_min = group_min
        self._waiting: dict[tuple[str, ...], Group] = {}

    def count(
        self,
        key: tuple[str, ...],
        *,
        requests: int,
        body_bytes: int,
        seconds: Sequence[float] = (),
    ) -> None:
        """Counts some; `key` is of closed vocabularies."""
        group = self._waiting.setdefault(key, Group())
        group.requests += requests
        group.body_bytes += body_bytes
        group.seconds.extend(seconds)
        # Without groups what leaves after its request was counted waits for no other one.
        if group.requests >= self._group_min or self._group_min <= 1:
            del self._waiting[key]
            self._show(key, group)

    def statistics(self) -> GroupedStatistics:
        """A snapshot."""
        return GroupedStatistics(sum(each.requests for each in self._waiting.values()))
