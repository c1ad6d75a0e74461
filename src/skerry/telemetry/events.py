"""What happened, for people: cause and next step, newest last.

Owns a bounded ring and the structured log line of each event. Never holds a secret: callers pass
names, digests, counts and reasons, never headers, tokens or URLs with a query.
"""

from __future__ import annotations

import json
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from skerry.telemetry.labels import Named

if TYPE_CHECKING:
    from skerry.telemetry.ports import EventBook

EVENTS_MAX = 2000
HISTORY_MAX = 5000
TEXT_CHARS_MAX = 2000
"""Of each of an event's texts: the ring's memory and a line of the log have a bound."""
KIND_BURST = 100
"""Events of one kind that are written down at once."""
KIND_SECONDS = 6.0
"""After those one more in so many seconds."""

KINDS = Named("kinds of events")

_log = logging.getLogger("skerry.events")


class Level(StrEnum):
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened.

    Attributes:
        at: seconds since the epoch.
        kind: dotted and bounded, e.g. `tag.moved`, `breaker.opened`, `blob.quarantined`.
        subject: what it happened to.
        cause: why.
        next_step: what the operator may do; "" when nothing.
    """

    at: float
    kind: str
    subject: str
    cause: str = ""
    next_step: str = ""
    level: Level = Level.INFO


@dataclass(slots=True)
class _Allowance:
    """How many events of one kind may be written down now."""

    left: float
    at: float
    unsaid: int = 0

    def take(self, now: float) -> int | None:
        """How many went unsaid before this one; None when this one does, too."""
        gained = max(0.0, now - self.at) / KIND_SECONDS
        self.left, self.at = min(float(KIND_BURST), self.left + gained), now
        if self.left < 1:
            self.unsaid += 1
            return None
        self.left -= 1
        unsaid, self.unsaid = self.unsaid, 0
        return unsaid


@dataclass(frozen=True, slots=True)
class EventsStatistics:
    """A snapshot: events in memory, and all since the start."""

    kept_count: int
    emitted_count: int


class Events:
    """The node's recent events; `count` is told the kind of each."""

    def __init__(self, now: Callable[[], float], *, count: Callable[[str], None] | None = None):
        self._now = now
        self._count = count
        self._allowances: dict[str, _Allowance] = {}
        self._ring: deque[Event] = deque(maxlen=EVENTS_MAX)
        self._book: EventBook | None = None
        self.veil: Callable[[Event], Event] = lambda event: event
        """What may be written down of an event; whoever may ask the node is told all of it."""
        self._counts: dict[str, int] = {}
        self._hearers: list[Callable[[Event], None]] = []

    def listen(self, hear: Callable[[Event], None]) -> None:
        """Has somebody hear of every event that is written down; `hear` returns at once."""
        self._hearers.append(hear)

    def emit(
        self,
        kind: str,
        subject: str,
        *,
        cause: str = "",
        next_step: str = "",
        level: Level = Level.INFO,
    ) -> None:
        """Records an event and logs it as one JSON line.

        Every one is counted. Of a kind that comes in floods only some are written down, the next
        one says how many were not: what matters must not be washed out of the ring, and whoever
        can cause an event must not fill the disk with its log lines.
        """
        now = self._now()
        self._counts[kind] = self._counts.get(kind, 0) + 1
        if self._count is not None:
            self._count(kind)
        allowance = self._allowances.setdefault(kind, _Allowance(KIND_BURST, now))
        unsaid = allowance.take(now)
        if unsaid is None:
            return
        if unsaid:
            cause += f" (and {unsaid} more of the kind since the last one told)"
        event = Event(now, kind, _told(subject), _told(cause), _told(next_step), level)
        self._ring.append(event)
        told = self.veil(event)
        if self._book is not None:
            self._book.keep(told)
        _log.log(_LEVELS[level], "%s", json.dumps(asdict(told)))
        for hear in self._hearers:
            hear(told)

    def recent(self, kind: str | None = None) -> tuple[Event, ...]:
        """Oldest first; of one kind if given."""
        return tuple(event for event in self._ring if kind is None or event.kind == kind)

    def keep_in(self, book: EventBook) -> None:
        """Has events outlive this life: also those that were told before now."""
        for event in self._ring:
            book.keep(self.veil(event))
        self._book = book

    def history(self, since: float, kind: str = "", count_max: int = HISTORY_MAX) -> list[Event]:
        """The newest since a time, oldest first, with those of the lives before; `kind` is whole
        or its first words. Raises TelemetryUnusable."""
        ring = tuple(self._ring)  # at once: this is also asked in threads
        recent = [e for e in ring if e.at >= since and _is_of(e, kind)]
        oldest = ring[0].at if ring else self._now() + 1
        if self._book is None or since >= oldest or len(recent) >= count_max:
            return recent[-count_max:]
        left = count_max - len(recent)
        before = self._book.history(since=since, until=oldest, kind=kind, count_max=left)
        return [*before, *recent]

    def counts(self) -> dict[str, int]:
        """How often each kind has happened since start."""
        return dict(self._counts)

    def statistics(self) -> EventsStatistics:
        """A snapshot."""
        return EventsStatistics(len(self._ring), sum(self._counts.values()))


def _told(text: str) -> str:
    """A text as it can be kept: others may have written it, of any length, and with halves of
    characters (JSON can) that no file and no message takes."""
    whole = text if len(text) <= TEXT_CHARS_MAX else f"{text[:TEXT_CHARS_MAX]}..."
    return whole if whole.isascii() else whole.encode("utf-8", "replace").decode()


def _is_of(event: Event, kind: str) -> bool:
    return not kind or event.kind == kind or event.kind.startswith(f"{kind}.")


_LEVELS = {Level.INFO: logging.INFO, Level.WARNING: logging.WARNING, Level.ERROR: logging.ERROR}
