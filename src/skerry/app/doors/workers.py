"""The workers of a node: how many there are, and what happens when one dies.

Owns their places. Never answers a request. A worker that dies
is started again, and until the new one serves the main process takes the connections that come to
its socket, so that nobody waits for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from skerry.adapters.http_server_metrics import DoorMetrics
from skerry.adapters.http_server_state import DoorLimits
from skerry.adapters.http_server_tls import TlsNames
from skerry.adapters.worker_line import PACKET_BYTES_MAX
from skerry.adapters.worker_orders import OrderPage
from skerry.adapters.worker_packets import DoorSetup, Setup
from skerry.adapters.worker_process import WorkerProcess, WorkerStatistics
from skerry.aio.tasks import Crash, Nursery
from skerry.app.doors import worker
from skerry.app.doors.public_door import PublicDoor
from skerry.base.clock import Clock
from skerry.base.errors import Party, SkerryError
from skerry.telemetry.events import Events, Level
from skerry.telemetry.metrics import Registry

OPEN_SECONDS_MAX = 30.0
RESTART_SECONDS = 0.1
RESTART_SECONDS_MAX = 10.0
STEADY_SECONDS = 30.0
"""After a life so long the next wait is the shortest again."""

GRACE_SECONDS = 2.0
"""After the drain; then a worker is killed."""


class WorkerError(SkerryError):
    """A worker cannot be started."""

    party = Party.NODE


@dataclass(frozen=True, slots=True)
class WorkersStatistics:
    """A snapshot. `restart_count` since start."""

    workers: tuple[WorkerStatistics, ...]
    restart_count: int


@dataclass(slots=True)
class _Place:
    """What stays when one worker dies and the next one comes."""

    number: int
    opened: asyncio.Future[None]
    worker: WorkerProcess | None = None
    stand_ins: list[asyncio.Server] = field(default_factory=list)

    def take_over(self) -> None:
        """The worker serves: what the main process has accepted meanwhile stays with it."""
        for server in self.stand_ins:
            server.close()
        self.stand_ins.clear()
        if not self.opened.done():
            self.opened.set_result(None)


class Workers:
    """All workers of a node. What is forgotten here is forgotten in all of them at once."""

    def __init__(
        self,
        doors: Sequence[PublicDoor],
        *,
        count: int,
        limits: DoorLimits,
        clock: Clock,
        events: Events,
        metrics: Registry,
        door_metrics: DoorMetrics,
        on_crash: Crash,
    ) -> None:
        """`count` is of the processes besides this one."""
        self._doors = doors
        self._limits = limits
        self._clock = clock
        self._events = events
        self._door_metrics = door_metrics
        self._page = OrderPage()
        self._room = bytearray(PACKET_BYTES_MAX)
        self._nursery = Nursery(on_crash=on_crash)
        loop = asyncio.get_running_loop()
        self._places = [_Place(number, loop.create_future()) for number in range(1, count + 1)]
        self._restarts = metrics.counter(
            "skerry_worker_restarts", "Workers that died and were started again."
        )
        metrics.gauge(
            "skerry_workers",
            "Processes that serve the public doors, the main one included.",
            lambda: {(): 1 + sum(each.serving for each in self._living())},
        )
        self._keepers: list[asyncio.Task[None]] = []
        self._closing = False

    async def start(self) -> None:
        """Starts every worker; returns when all of them serve. Raises WorkerError."""
        self._keepers = [
            self._nursery.start(self._keep(place), name="worker.keep") for place in self._places
        ]
        await asyncio.wait([place.opened for place in self._places])
        failures = [error for place in self._places if (error := place.opened.exception())]
        if failures:
            raise failures[0]

    async def close(self, drain_seconds: float) -> None:
        """Lets answers under way end, then ends every worker: none is left when it returns."""
        if self._closing:
            return
        self._closing = True
        for each in self._living():
            each.stop(drain_seconds)
        for place, keeper in zip(self._places, self._keepers, strict=True):
            if place.worker is None:
                keeper.cancel()
        if self._keepers:
            await asyncio.wait(self._keepers, timeout=drain_seconds + GRACE_SECONDS)
        await self._nursery.close()
        self._page.close()

    def forget_all(self) -> None:
        """No worker answers from what it has ready now, from this call on."""
        self._order(None)

    def forget(self, about: str) -> None:
        """The same for what was made of one thing (`wire.message.Hot.about`)."""
        self._order(about)

    def statistics(self) -> WorkersStatistics:
        """A snapshot."""
        found = tuple(each.statistics() for each in self._living())
        return WorkersStatistics(found, int(self._restarts.total()))

    def use_certificates(self, door: int, names: TlsNames) -> None:
        """Has every worker show others at a door, soon; one that is born later has them anyway."""
        for each in self._living():
            each.use_certificates(door, names)

    def _order(self, about: str | None) -> None:
        self._page.rise()
        for each in self._living():
            each.owe(about)

    async def _keep(self, place: _Place) -> None:
        """Fills one place for as long as the node runs."""
        wait = RESTART_SECONDS
        while not self._closing:
            born = self._clock.monotonic()
            cause = await self._live(place)
            if self._closing:
                return
            if not place.opened.done():
                error = WorkerError(
                    f"worker {place.number} did not start: {cause}",
                    next_step="see the log above; [node] workers = 1 starts none",
                )
                place.opened.set_exception(error)
                return
            self._restarts.add()
            self._events.emit(
                "worker.ended",
                f"worker {place.number}",
                cause=cause,
                next_step="it is started again; if that repeats, look at the log and the memory",
                level=Level.WARNING,
            )
            if not place.stand_ins:  # the one before it may never have served
                await self._stand_in(place)
            steady = self._clock.monotonic() - born >= STEADY_SECONDS
            wait = RESTART_SECONDS if steady else min(wait * 2, RESTART_SECONDS_MAX)
            await self._clock.sleep(wait)

    async def _live(self, place: _Place) -> str:
        process = WorkerProcess(
            place.number,
            program=worker.__name__,
            fronts=[door.front for door in self._doors],
            sockets=[one for door in self._doors for one in door.sockets[place.number - 1]],
            page=self._page,
            metrics=self._door_metrics,
            room=self._room,
        )
        doors = tuple(
            DoorSetup(
                each.door.name,
                each.hot_fields,
                each.plain_refusals,
                each.door.tls,
                len(each.sockets[place.number - 1]),
            )
            for each in self._doors
        )
        place.worker = process
        try:
            return await process.live(
                Setup(0, doors, self._limits), opened=place.take_over, seconds_max=OPEN_SECONDS_MAX
            )
        finally:
            place.worker = None

    async def _stand_in(self, place: _Place) -> None:
        """Takes the connections that come to a place whose worker is gone."""
        for each in self._doors:
            for listening in each.sockets[place.number - 1]:
                place.stand_ins.append(await each.door.serve(listening.dup()))

    def _living(self) -> list[WorkerProcess]:
        return [place.worker for place in self._places if place.worker is not None]
