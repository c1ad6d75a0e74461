"""Makes the telemetry bundles of a node, one after the other.

Owns when one is due, what goes in and that nothing is counted twice or lost: over kill -9 at most
the last second. Never sends one; the form is `core.bundles`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from skerry.base.chain import Sign
from skerry.base.clock import Clock
from skerry.base.errors import SkerryError
from skerry.telemetry.core.bundles import EVENTS_MAX, Bundle, Contents, Row, issue, read
from skerry.telemetry.core.incidents import Incident
from skerry.telemetry.core.pending import Pending, taken_up
from skerry.telemetry.events import Event
from skerry.telemetry.families import Counter, Family, Histogram, Tally
from skerry.telemetry.metrics import Registry
from skerry.telemetry.ports import BundleBook, IncidentBook

BEAT_SECONDS = 1.0
MICRO = 1_000_000


class CountsKept(Protocol):
    """Where counts survive the death of the process: `adapters.counts_file`."""

    def write(self, of: int, counts: Mapping[str, int]) -> None:
        """Raises OSError."""

    def read(self) -> tuple[int, dict[str, int]]:
        """Of which bundle, and the counts."""


@dataclass(frozen=True, slots=True)
class BundlingStatistics:
    """A snapshot. `due_seconds` until the next one; `failed_count`: bundles that could not be
    written and are tried again."""

    last_sequence: int
    due_seconds: float
    failed_count: int


class Bundling:
    """The bundles of one node."""

    def __init__(
        self,
        *,
        node: str,
        sign: Sign,
        book: BundleBook,
        incidents: IncidentBook,
        counts: CountsKept,
        metrics: Registry,
        clock: Clock,
        every_seconds: float,
        made: Callable[[], None] = lambda: None,
    ) -> None:
        """`made` is called after each."""
        self._node = node
        self._sign = sign
        self._book = book
        self._incidents = incidents
        self._counts = counts
        self._metrics = metrics
        self._clock = clock
        self._every_seconds = every_seconds
        self._made = made
        self._last: Bundle | None = None
        self._events_until = 0
        self._pending = Pending()
        self._began_at = clock.now()
        self._due = clock.monotonic()
        self._failed = 0

    async def open(self) -> None:
        """Takes up where the life before ended. Raises TelemetryUnusable."""
        kept = self._book.last()
        if kept is not None:
            self._last = read(kept.line)
            self._events_until = kept.events_until
            self._began_at = self._last.contents.ended_at_milliseconds / 1000
        elif before := self._book.events_after(0, count_max=1)[0]:
            self._began_at = min(self._began_at, before[0].at)  # the first bundle tells of it
        of, left = await asyncio.to_thread(self._counts.read)
        sequence = self._last.sequence if self._last else 0
        self._pending = taken_up(left, of=of, last_sequence=sequence)
        self._due = self._clock.monotonic() + self._left_seconds()

    def _left_seconds(self) -> float:
        """Until the next one is due: lives that are short put none off."""
        passed = max(0.0, self._clock.now() - self._began_at)
        return max(0.0, self._every_seconds - passed)

    async def run(self) -> None:
        """For ever."""
        while True:
            await self._clock.sleep(BEAT_SECONDS)
            await self.beat()

    async def beat(self) -> None:
        """Keeps what was counted; a bundle when one is due."""
        now = self._clock.monotonic()  # a clock that is set puts no bundle off
        if now >= self._due:
            try:
                await self.cut()
            except SkerryError:
                self._failed += 1  # the disk: it is told by the store, and this is tried again
                self._due = now + min(60.0, self._every_seconds)
        await self._keep()

    async def cut(self) -> Bundle:
        """Makes a bundle of all since the last one. Raises TelemetryUnusable."""
        counts, now = counts_of(self._metrics), self._clock.now()
        # The newest first: an event that comes between the two is told, not passed over.
        newest = self._book.newest_event()
        events, until = self._book.events_after(self._events_until, count_max=EVENTS_MAX)
        began_at = min(self._began_at, now)
        contents = Contents(
            _milliseconds(began_at),
            _milliseconds(now),
            counters=self._pending.rise(counts),
            events=[_event(each) for each in events],
            incidents=[_incident(each) for each in self._incidents.incidents(since=began_at)],
            left_out_count=max(0, newest - until),
        )
        bundle = issue(self._last, contents, node=self._node, sign=self._sign)
        await self._book.add(bundle.sequence, bundle.line, max(newest, until))
        self._last, self._events_until = bundle, max(newest, until)
        self._pending = self._pending.bundled(bundle.sequence, counts)
        self._began_at, self._due = now, self._clock.monotonic() + self._every_seconds
        self._made()
        return bundle

    async def _keep(self) -> None:
        rise = self._pending.rise(counts_of(self._metrics))
        try:
            await asyncio.to_thread(self._counts.write, self._pending.sequence, rise)
        except OSError:
            self._failed += 1

    async def end(self) -> None:
        """Keeps what was counted to the end: the next life bundles it."""
        await self._keep()

    def statistics(self) -> BundlingStatistics:
        """A snapshot."""
        sequence = self._last.sequence if self._last else 0
        left = max(0.0, self._due - self._clock.monotonic())
        return BundlingStatistics(sequence, left, self._failed)


def counts_of(metrics: Registry) -> dict[str, int]:
    """Every counter and histogram of a node by its sample's name; seconds in millionths."""
    found: dict[str, int] = {}
    for family in metrics.settled():
        if isinstance(family, Counter | Tally):
            for labels, value in family.series().items():
                found[_named(family, f"{family.name}_total", labels)] = int(value)
        elif isinstance(family, Histogram):
            for labels, each in family.series().items():
                found[_named(family, f"{family.name}_count", labels)] = each.count
                micro = f"{family.name.removesuffix('_seconds')}_microseconds_sum"
                found[_named(family, micro, labels)] = int(each.sum * MICRO)
    return found


def _named(family: Family, name: str, labels: tuple[str, ...]) -> str:
    pairs = ",".join(
        f'{label}="{value}"' for label, value in zip(family.labels, labels, strict=True)
    )
    return f"{name}{{{pairs}}}" if pairs else name


def _event(event: Event) -> Row:
    return {
        "at_milliseconds": _milliseconds(event.at),
        "cause": event.cause,
        "kind": event.kind,
        "level": event.level.value,
        "next_step": event.next_step,
        "subject": event.subject,
    }


def _incident(incident: Incident) -> Row:
    row: dict[str, str | int] = {
        "began_at_milliseconds": _milliseconds(incident.began_at),
        "interrupted_milliseconds": _milliseconds(incident.interrupted_seconds),
        "lost": incident.lost.value,
        "noticed_at_milliseconds": _milliseconds(incident.noticed_at),
        "number": incident.number,
        "origin": incident.origin.value,
        "what": incident.what,
    }
    for name, at in (("good_at", incident.good_at), ("back_at", incident.back_at)):
        if at is not None:
            row[f"{name}_milliseconds"] = _milliseconds(at)
    return row


def _milliseconds(seconds: float) -> int:
    return max(0, round(seconds * 1000))
