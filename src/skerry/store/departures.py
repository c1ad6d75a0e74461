"""What left the store to make room: its name, when, why, and when it was last used.

Owns a bounded memory of it, one for each kind, so that a flood of pages pushes out no image. The
whole name is for whoever may ask the node, as long as it runs; what is written down goes through
the veil (requirements S2). What was never stored, since it is sensitive, never comes here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from skerry.store.housekeeping import EvictedFor

REMEMBERED_MAX = 2000
"""Of each kind, the latest."""
IMAGE, OBJECT = "registry", "edge"
"""The kinds: the owners of what went."""
NEXT_STEP = {
    IMAGE: "pull it again, or skerry warm; keep it with skerry pin, or raise store.budget",
    OBJECT: "it is fetched again when somebody asks; raise store.budget to keep more",
}


@dataclass(frozen=True, slots=True)
class Departure:
    """One name that is no longer here.

    Attributes:
        at, last_used: seconds since the epoch.
        kind: `registry` for an image, `edge` for a stored response.
        why: what the room was for, in words.
        size_bytes: of what it held; what others share of it stayed.
    """

    at: float
    kind: str
    name: str
    cause: EvictedFor
    why: str
    last_used: float
    size_bytes: int

    @property
    def next_step(self) -> str:
        """What to do about it."""
        return NEXT_STEP.get(self.kind, "")


class DepartureBook(Protocol):
    """Keeps departures, bounded as `Departures` is; the oldest go."""

    def keep(self, departures: Sequence[Departure]) -> None:
        """Writes them down within a moment. Never waits, never raises."""

    def kept(self) -> list[Departure]:
        """The latest, oldest first. Raises SkerryError."""


def plain_name(departure: Departure) -> str:
    """A name without the query of a URL: those may hold anything."""
    name = departure.name
    return name.partition("?")[0] + "?(a query)" if "?" in name else name


class Departures:
    """The latest of them."""

    def __init__(self) -> None:
        self._rings: dict[str, deque[Departure]] = {}
        self._book: DepartureBook | None = None
        self._veil: Callable[[str], str] = lambda name: name

    def note(self, departures: Sequence[Departure]) -> None:
        """Remembers these, oldest first."""
        self._add(departures)
        if self._book is not None:
            told: list[Departure] = []
            for kind in {each.kind for each in departures}:
                latest = [each for each in departures if each.kind == kind][-REMEMBERED_MAX:]
                told += [replace(each, name=self._veil(plain_name(each))) for each in latest]
            self._book.keep(told)

    def keep_in(self, book: DepartureBook, *, veil: Callable[[str], str]) -> None:
        """Has them outlive this life, and recalls the lives before. Raises SkerryError."""
        self._book, self._veil = book, veil
        self._add(book.kept())

    def find(self, wanted: str, *, kind: str = "", count_max: int = 50) -> list[Departure]:
        """Those whose name holds a text, the latest first."""
        wanted = wanted.lower()
        found = [
            each
            for known, ring in self._rings.items()
            if kind in ("", known)
            for each in ring
            if wanted in each.name.lower()
        ]
        return sorted(found, key=lambda each: -each.at)[:count_max]

    def _add(self, departures: Sequence[Departure]) -> None:
        for each in departures:
            self._rings.setdefault(each.kind, deque(maxlen=REMEMBERED_MAX)).append(each)
