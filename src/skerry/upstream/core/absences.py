"""What an upstream said does not exist, remembered for a moment.

Owns who makes way when there is no room: the oldest of whoever has most here, and of that one's
largest group, so that a flood of invented names forgets its own and nobody else's (requirements
D5). Never touches a clock: times are given, in monotonic seconds.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

ABSENCES_MAX = 4096

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True, slots=True)
class _Absence:
    until: float
    what: str
    owner: str
    group: str


class Absences(Generic[K]):
    """Names that are not there; `what` says so, for people."""

    def __init__(self, *, window_seconds: float, entries_max: int = ABSENCES_MAX) -> None:
        self._window_seconds = window_seconds
        self._entries_max = entries_max
        # All live equally long: the order of noting is the order of expiry.
        self._found: OrderedDict[K, _Absence] = OrderedDict()
        self._owners: dict[str, dict[str, OrderedDict[K, None]]] = {}
        self._counts: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._found)

    def find(self, key: K, now: float) -> str | None:
        """What was said of a name, None when nothing was lately."""
        found = self._found.get(key)
        return found.what if found is not None and now < found.until else None

    def note(self, key: K, what: str, *, owner: str, group: str, now: float) -> None:
        """Remembers a name for the window; `owner` caused it, `group` is where it would be."""
        self.forget(key)
        while self._found and next(iter(self._found.values())).until <= now:
            self.forget(next(iter(self._found)))
        self._found[key] = _Absence(now + self._window_seconds, what, owner, group)
        self._owners.setdefault(owner, {}).setdefault(group, OrderedDict())[key] = None
        self._counts[owner] = self._counts.get(owner, 0) + 1
        if len(self._found) > self._entries_max:
            self.forget(self._next_to_go())

    def forget(self, key: K) -> None:
        """The name may be there now."""
        found = self._found.pop(key, None)
        if found is None:
            return
        groups = self._owners[found.owner]
        del groups[found.group][key]
        if not groups[found.group]:
            del groups[found.group]
        self._counts[found.owner] -= 1
        if not self._counts[found.owner]:
            del self._counts[found.owner], self._owners[found.owner]

    def counted(self, group: str, owner: str) -> int:
        """How many names of a group one owner has here."""
        return len(self._owners.get(owner, {}).get(group, ()))

    def _next_to_go(self) -> K:
        owner = max(self._counts, key=lambda each: self._counts[each])
        groups = self._owners[owner]
        largest = max(groups, key=lambda each: len(groups[each]))
        return next(iter(groups[largest]))
