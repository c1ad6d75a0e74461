"""What a node remembers of what happened: its events, its incidents, its signs of life.

Owns which file they are in, what is looked at for incidents, and the routes that tell of them. A
record that cannot be opened never keeps a node from serving.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from skerry.adapters.sqlite_telemetry import SqliteTelemetry
from skerry.aio.tasks import Nursery
from skerry.app.admin.replies import Routes, json_answer, since_of
from skerry.app.settings.telemetry import TelemetrySettings
from skerry.app.telemetry.drills_file import DrillsFile
from skerry.app.telemetry.rollbacks import watch_releases
from skerry.app.telemetry.veil import Veil
from skerry.base.clock import Clock
from skerry.base.digest import Digest
from skerry.base.errors import SkerryError
from skerry.telemetry.core.incidents import Incident, Indicator, Lost, Measure, Objective
from skerry.telemetry.events import Events, Level
from skerry.telemetry.incident_watch import IncidentWatch, Seen
from skerry.telemetry.metrics import Registry
from skerry.telemetry.ports import Beat, TelemetryUnusable
from skerry.upstream.gate import SourceStatistics
from skerry.wire.message import Answer, Request

if TYPE_CHECKING:  # a node without sites does not load the edge
    from skerry.app.edge.room import OpenEdge
    from skerry.app.site import Ground, Site
    from skerry.registry.assembly import Parts, RegistryRooms

FILE = "telemetry.sqlite"
BEAT_SECONDS = 5.0
"""A life that ends unseen is noticed at the next start, to so many seconds."""


@dataclass(frozen=True, slots=True)
class IncidentList:
    """The answer of GET /api/v1/incidents, oldest first."""

    incidents: tuple[Incident, ...]
    objectives: tuple[Indicator, ...]


@dataclass(frozen=True, slots=True)
class Looked:
    """What is looked at each second.

    Attributes:
        upstreams, sites: the sources of each, by name.
        writable: whether the disk takes bytes.
        not_ready: why what is here cannot be served, "" when it can.
        late: how many answers from what is here came late, since the start.
    """

    upstreams: Callable[[], Mapping[str, Sequence[SourceStatistics]]]
    sites: Callable[[], Mapping[str, Sequence[SourceStatistics]]]
    writable: Callable[[], bool]
    not_ready: Callable[[], str]
    late: Callable[[], int]


class TelemetryRoom:
    """The record of one node."""

    def __init__(
        self,
        book: SqliteTelemetry,
        *,
        node: str,
        settings: TelemetrySettings,
        clock: Clock,
        events: Events,
        metrics: Registry,
        nursery: Nursery,
        drills: DrillsFile,
        looked: Looked,
    ) -> None:
        self._book = book
        self._node = node
        self._clock = clock
        self._events = events
        self._nursery = nursery
        self._drills = drills
        self._looked = looked
        self._late = 0
        self._started_at = clock.now()
        self.watch = IncidentWatch(
            book=book,
            events=events,
            metrics=metrics,
            clock=clock,
            objectives=objectives_of(settings),
            outside=self._outside,
            fault=self._fault,
        )

    @property
    def routes(self) -> Routes:
        """What the admin door answers here."""
        return {"/api/v1/incidents": {"GET": self._list}}

    async def began(self) -> None:
        """The doors are open: the node serves. What the life before left is taken up."""
        before = self._book.last_beat()
        try:
            self.watch.recall()
            if before is not None and not before.ended:
                await self.watch.record(self._lost_life(before))
            await self._book.beat(Beat(self._clock.now(), ended=False))
        except SkerryError as error:
            self._events.emit(
                "telemetry.unusable",
                FILE,
                cause=error.what,
                next_step=error.next_step,
                level=Level.ERROR,
            )
        watch_releases(self._events, self._nursery, self.watch.record)
        self._nursery.start(self.watch.run(), name="incidents")
        self._nursery.start(self._beat(), name="beat")

    def _lost_life(self, before: Beat) -> Incident:
        now = self._clock.now()
        self._events.emit(
            "node.lost",
            self._node,
            cause="the life before did not end by itself: it was killed, or the power went",
            next_step="if nobody did that, see what the system's log says of memory and crashes",
            level=Level.WARNING,
        )
        began_at = min(before.at, now)
        return Incident(
            Lost.NODE,
            self._node,
            began_at,
            min(self._started_at, now),
            good_at=now,
            back_at=now,
            interrupted_seconds=now - began_at,
            cause="killed, or without power",
        )

    async def _beat(self) -> None:
        while True:
            await self._clock.sleep(BEAT_SECONDS)
            try:
                await self._book.beat(Beat(self._clock.now(), ended=False))
                await self.take_drills()
            except TelemetryUnusable:
                continue  # the next one may be written again; the store tells of the disk

    async def take_drills(self) -> None:
        """Takes what drills have written since the last time. Raises TelemetryUnusable."""
        for incident in await asyncio.to_thread(self._drills.read_new):
            await self.watch.record(incident)

    async def end(self) -> None:
        """The last sign of life."""
        with suppress(SkerryError):  # the next start will call this end a loss: not the reverse
            await self._book.beat(Beat(self._clock.now(), ended=True))

    # what is looked at

    def _outside(self) -> Iterable[Seen]:
        for lost, sources in (
            (Lost.UPSTREAM, self._looked.upstreams()),
            (Lost.SITE, self._looked.sites()),
        ):
            for name, found in sources.items():
                yield seen(lost, name, found)
        yield Seen(Lost.DISK, "store", not self._looked.writable(), cause="it takes no bytes")

    def _fault(self) -> str:
        late, self._late = self._late, self._looked.late()
        if self._late > late:
            return "answers from what is here came late"
        return self._looked.not_ready()

    # what is told

    async def _list(self, request: Request) -> Answer:
        since = since_of(request)
        await self.take_drills()
        found = tuple(self.watch.incidents(since=since))
        return json_answer(IncidentList(found, self.watch.indicators()))


def seen(lost: Lost, name: str, sources: Sequence[SourceStatistics]) -> Seen:
    """How something with several sources is: silent when all are, answering when one is known to.

    A source that nobody has asked since the start says neither.
    """
    if sources and all(each.breaker != "closed" for each in sources):
        failing = [each.failing_since for each in sources if each.failing_since is not None]
        cause = next((each.last_trouble for each in sources if each.last_trouble), "")
        # Lost from the moment on that the last of them failed.
        return Seen(lost, name, True, max(failing, default=None), cause)
    heard = any(each.breaker == "closed" and each.last_success_at for each in sources)
    return Seen(lost, name, False if heard else None)


def objectives_of(settings: TelemetrySettings) -> tuple[Objective, ...]:
    """What recovery is held to."""
    wanted, share = settings.objectives, settings.objectives.share
    return (
        Objective(Lost.UPSTREAM, Measure.INTERRUPTED, wanted.interrupted_seconds, share),
        Objective(Lost.SITE, Measure.INTERRUPTED, wanted.interrupted_seconds, share),
        Objective(Lost.UPSTREAM, Measure.LOCAL_SERVICE, wanted.local_service_seconds, share),
        Objective(Lost.NODE, Measure.LOCAL_SERVICE, wanted.node_seconds, share),
        Objective(Lost.DISK, Measure.LOCAL_SERVICE, wanted.disk_seconds, share),
        Objective(Lost.RELEASE, Measure.ROLLBACK, wanted.rollback_seconds, share),
    )


def open_book(data_dir: Path, settings: TelemetrySettings, events: Events) -> SqliteTelemetry:
    """The record; a new one where the old one cannot be read, in memory where none can be made."""
    path = data_dir / FILE
    bounds = (settings.events_keep_seconds, settings.events_bytes_max)
    try:
        return _opened(path, *bounds)
    except TelemetryUnusable as error:
        trouble = error
    aside = path.with_name(f"{FILE}.unreadable-{int(time.time())}")
    step = f"the old one is kept as {aside.name}"
    try:
        for each in (path, *(path.with_name(f"{FILE}{end}") for end in ("-wal", "-shm"))):
            if each.exists():
                each.rename(aside if each == path else each.with_name(f"{aside.name}{each.suffix}"))
        book = _opened(path, *bounds)
    except (OSError, TelemetryUnusable):
        step = "until it can be written, events are forgotten at the end of this life"
        book = _opened(None, *bounds)
    events.emit("telemetry.unusable", FILE, cause=trouble.what, next_step=step, level=Level.ERROR)
    return book


def _opened(path: Path | None, keep_seconds: float, bytes_max: int) -> SqliteTelemetry:
    return SqliteTelemetry(path, keep_seconds=keep_seconds, bytes_max=bytes_max)


def open_record(
    node: Site,
    ground: Ground,
    rooms: RegistryRooms,
    edge: OpenEdge | None,
    not_ready: Callable[[], str],
) -> TelemetryRoom:
    """The record of a node whose rooms are open; `began` starts its looks."""
    parts = ground.parts

    def upstreams() -> dict[str, Sequence[SourceStatistics]]:
        return {name: remote.client.statistics().sources for name, remote in parts.remotes.items()}

    def late() -> int:
        return rooms.front.meters.late() + (edge.rooms.front.meters.late() if edge else 0)

    room = TelemetryRoom(
        ground.book,
        node=node.settings.node.name,
        settings=node.settings.telemetry,
        clock=node.clock,
        events=node.events,
        metrics=node.metrics,
        nursery=node.nursery,
        drills=DrillsFile(node.settings.node.data_path),
        looked=Looked(
            upstreams=upstreams,
            sites=edge.desk.servers if edge else dict,
            writable=lambda: parts.store.statistics().writable,
            not_ready=not_ready,
            late=late,
        ),
    )
    node.events.veil = _veil(parts)
    node.ends.push_async_callback(room.end)
    return room


def _veil(parts: Parts) -> Veil:
    private = frozenset(name for name, remote in parts.remotes.items() if remote.private)

    def is_public(digest: str) -> bool:
        holders = parts.catalog.holders(Digest.parse(digest))
        return any(holder.upstream not in private for holder in holders)

    return Veil(private, is_public=is_public)
