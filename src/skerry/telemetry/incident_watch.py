"""Watches what may be lost, and keeps a record of each time that it was.

Owns the looks, once a second, and the book's order. When something counts as lost is
`core.outages`, what an incident says `core.incidents`. Asks nobody outside: it looks at what the
node knows by itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from skerry.base.clock import Clock
from skerry.base.errors import SkerryError
from skerry.base.units import format_seconds
from skerry.telemetry.core.incidents import (
    Incident,
    Indicator,
    Lost,
    Measure,
    Objective,
    Origin,
    begun,
    indicators,
    sampled,
)
from skerry.telemetry.core.outages import Answers, Began, Outage, Silent, State, step
from skerry.telemetry.events import Events, Level
from skerry.telemetry.metrics import Registry
from skerry.telemetry.ports import IncidentBook

LOOK_SECONDS = 1.0
STOOD_STILL_SECONDS = 3.0
"""Between two looks: the loop served nobody meanwhile."""
SHOWN_SECONDS = 90 * 86400.0
"""So old an incident still counts for the shares."""

KIND = {"lost": Lost, "origin": Origin}
_NEXT_STEPS = {
    Lost.UPSTREAM: "what is here is served; see `skerry status` for which source fails and how",
    Lost.SITE: "what is stored is served; see `skerry status` for which server fails and how",
    Lost.DISK: "what is here is served, nothing is added; free space or mend the disk",
}


@dataclass(frozen=True, slots=True)
class Seen:
    """One thing outside as it is now.

    Attributes:
        silent: None while nobody has asked it since the start.
        failing_since: when it failed first, in seconds since the epoch; None for now.
    """

    lost: Lost
    what: str
    silent: bool | None
    failing_since: float | None = None
    cause: str = ""


@dataclass(frozen=True, slots=True)
class WatchStatistics:
    """A snapshot. `fault`: why service here is not good now, "" when it is."""

    open: tuple[Incident, ...]
    fault: str
    unrecorded_count: int


class IncidentWatch:
    """The incidents of one node."""

    def __init__(
        self,
        *,
        book: IncidentBook,
        events: Events,
        metrics: Registry,
        clock: Clock,
        objectives: Sequence[Objective],
        outside: Callable[[], Iterable[Seen]],
        fault: Callable[[], str],
    ) -> None:
        """`outside` tells how everything is now; `fault` why service here is not good, or ""."""
        self._book = book
        self._events = events
        self._clock = clock
        self._objectives = objectives
        self._outside = outside
        self._look_fault = fault
        self._fault = ""
        self._outages: dict[tuple[Lost, str], Outage] = {}
        self._open: dict[tuple[Lost, str], Incident] = {}
        self._looked_at: float | None = None
        self._unrecorded = 0
        self._counted: Counter[tuple[str, ...]] = Counter()
        self._kept: Counter[tuple[str, ...]] = Counter()
        self._show(metrics)
        self._seconds = metrics.histogram(
            "skerry_incident_recovery_seconds",
            "How long what an objective bounds took, per incident that is over.",
            {**KIND, "measure": Measure},
        )

    def _show(self, metrics: Registry) -> None:
        metrics.tally(
            "skerry_incidents", "Incidents that are over, all on record.",
            lambda: dict(self._counted), KIND,
        )  # fmt: skip
        metrics.tally(
            "skerry_incidents_recovered",
            "Those by what their objective bounds, and whether it was within its time.",
            lambda: dict(self._kept),
            {**KIND, "measure": Measure, "within": ("yes", "no")},
        )
        metrics.gauge(
            "skerry_incidents_open",
            "Things that are lost now.",
            lambda: {
                (lost.value,): sum(each.lost is lost for each in self._open.values())
                for lost in Lost
            },
            {"lost": Lost},
        )
        metrics.gauge(
            "skerry_local_service_good",
            "1 while this node serves well what it has, 0 while it does not.",
            lambda: {(): float(not self._fault)},
        )

    def recall(self) -> None:
        """Takes up what the life before left: open incidents go on. Raises TelemetryUnusable."""
        for incident in self._book.incidents():
            key = (incident.lost, incident.what)
            if not incident.open:
                self._count(incident)
            elif incident.lost in _NEXT_STEPS:
                self._open[key] = incident
                self._outages[key] = Outage(State.LOST, began_at=incident.began_at)

    async def run(self) -> None:
        """For ever."""
        while True:
            await self._clock.sleep(LOOK_SECONDS)
            await self.look()

    async def look(self) -> None:
        """One look at everything."""
        now, at = self._clock.monotonic(), self._clock.now()
        passed = 0.0 if self._looked_at is None else now - self._looked_at
        self._looked_at = now
        self._fault = self._look_fault()
        if passed > STOOD_STILL_SECONDS:
            self._fault = self._fault or f"the node stood still for {format_seconds(passed)}"
        for key, incident in list(self._open.items()):
            changed = sampled(incident, good=not self._fault, at=at, passed_seconds=passed)
            if changed != incident:
                self._open[key] = await self._put(changed)
        for seen in self._outside():
            await self._judge(seen, now, at)

    async def _judge(self, seen: Seen, now: float, at: float) -> None:
        if seen.silent is None:
            return
        key = (seen.lost, seen.what)
        since = at if seen.failing_since is None else seen.failing_since
        event = Silent(at, since, seen.cause) if seen.silent else Answers(at)
        self._outages[key], commands = step(self._outages.get(key, Outage()), event, now)
        for command in commands:
            if isinstance(command, Began):
                await self._began(key, command, at)
            else:
                await self._ended(key, command.back_at)

    async def _began(self, key: tuple[Lost, str], began: Began, at: float) -> None:
        lost, what = key
        incident = Incident(lost, what, began.began_at, at, cause=began.cause)
        self._open[key] = await self._put(begun(incident, good=not self._fault))
        self._events.emit(
            "outage.began",
            f"{lost.value} {what}",
            cause=began.cause or "it does not answer",
            next_step=_NEXT_STEPS[lost],
            level=Level.WARNING,
        )

    async def _ended(self, key: tuple[Lost, str], back_at: float) -> None:
        incident = self._open.pop(key, None)
        if incident is None:
            return
        done = replace(
            incident,
            back_at=back_at,
            good_at=incident.good_at if incident.good_at is not None else back_at,
        )
        self._count(await self._put(done))
        interrupted = format_seconds(done.interrupted_seconds)
        self._events.emit(
            "outage.ended",
            f"{done.lost.value} {done.what}",
            cause=f"it answers again after {format_seconds(back_at - done.began_at)}; service here"
            f" was interrupted for {interrupted}",
        )

    async def record(self, incident: Incident) -> bool:
        """One that is over, from a drill or from the start; False when it is on record already."""
        same = (incident.origin, incident.lost, incident.what, incident.began_at)
        for each in self._book.incidents(since=incident.began_at):
            if (each.origin, each.lost, each.what, each.began_at) == same:
                return False
        self._count(await self._put(incident))
        return True

    def incidents(self, *, since: float = 0.0) -> Sequence[Incident]:
        """Those on record that began since then, oldest first. Raises TelemetryUnusable."""
        return self._book.incidents(since=since)

    def indicators(self) -> tuple[Indicator, ...]:
        """How the objectives are met, by what is on record. Raises TelemetryUnusable."""
        since = self._clock.now() - SHOWN_SECONDS
        done = [each for each in self._book.incidents(since=since) if not each.open]
        return indicators(done, self._objectives)

    def statistics(self) -> WatchStatistics:
        """A snapshot."""
        return WatchStatistics(tuple(self._open.values()), self._fault, self._unrecorded)

    async def _put(self, incident: Incident) -> Incident:
        try:
            return await self._book.put(incident)
        except SkerryError:
            self._unrecorded += 1  # a full disk is an incident too, and must not end the watch
            return incident

    def _count(self, incident: Incident) -> None:
        kind = (incident.lost.value, incident.origin.value)
        self._counted[kind] += 1
        for objective in self._objectives:
            seconds = incident.seconds(objective.measure)
            if objective.lost is not incident.lost or seconds is None:
                continue
            within = "yes" if seconds <= objective.within_seconds else "no"
            self._kept[(*kind, objective.measure.value, within)] += 1
            self._seconds.observe(seconds, *kind, objective.measure.value)
