"""The doors that clients come to, in one process or in several.

Owns how they are made, and the workers that open them too, where there are any. Without workers
it is two doors and nothing else: no socket of its own, no process, nothing loaded.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from skerry.adapters.http_hot_way import HotFields
from skerry.adapters.http_server import Door
from skerry.adapters.http_server_metrics import DoorMetrics
from skerry.adapters.http_server_state import DoorLimits
from skerry.adapters.http_server_tls import CertificateNews, TlsNames
from skerry.aio.each import each
from skerry.aio.tasks import Crash
from skerry.app.doors.behind import Behind, told_by_proxies
from skerry.app.doors.public_door import Listening, PublicDoor
from skerry.app.settings.addresses import split_address
from skerry.base.clock import Clock
from skerry.telemetry.events import Events
from skerry.telemetry.horizon import Expires, Expiry
from skerry.telemetry.metrics import Registry
from skerry.wire.forwarded import Trusted
from skerry.wire.message import Handler

if TYPE_CHECKING:
    from skerry.app.doors.workers import Workers, WorkersStatistics


class PublicDoors:
    """The public doors of one node."""

    def __init__(
        self,
        processes: int,
        *,
        limits: DoorLimits,
        clock: Clock,
        metrics: DoorMetrics,
        tell_certificates: Callable[[CertificateNews], None] = lambda news: None,
        trusted: Trusted | None = None,
    ) -> None:
        """`processes` is `[node] workers`, this one included; `limits` are of one door in one;
        `trusted` are the proxies in front of the doors."""
        self._processes = processes
        proxies = tuple(map(str, trusted.networks)) if trusted else ()
        self._limits = replace(limits, proxies=proxies)
        self._clock = clock
        self._metrics = metrics
        self._tell_certificates = tell_certificates
        self._trusted = trusted
        self._doors: list[PublicDoor] = []
        self._workers: Workers | None = None

    def make(
        self,
        front: Handler,
        *,
        name: str,
        address: str,
        hot_fields: HotFields | None = None,
        plain_refusals: bool = False,
        tls: TlsNames | None = None,
    ) -> Door:
        """One more door, before `open`. Raises DoorError."""
        host, port = split_address(address)
        hot_fields = hot_fields or HotFields()
        if self._trusted:
            front, hot_fields = Behind(front, self._trusted), told_by_proxies(hot_fields)
        mine: Listening = ()
        sockets: list[Listening] = []
        if self._processes > 1:
            from skerry.adapters.worker_sockets import listen

            mine, *sockets = listen(name, host, port, count=self._processes)
        door = Door(
            front,
            name=name,
            host=host,
            port=port,
            clock=self._clock,
            metrics=self._metrics,
            limits=self._limits,
            hot_fields=hot_fields,
            plain_refusals=plain_refusals,
            tls=tls,
            sockets=mine,
            tell_certificates=self._tell_certificates,
        )
        made = PublicDoor(front, door, hot_fields, plain_refusals, sockets)
        self._doors.append(made)
        return door

    async def open(self, *, events: Events, metrics: Registry, on_crash: Crash) -> None:
        """Opens them all, in all processes. Raises DoorError, WorkerError; `close` then, too."""
        for public in self._doors:
            await public.door.open()
        if self._processes == 1:
            return
        from skerry.app.doors.workers import Workers

        self._workers = Workers(
            self._doors,
            count=self._processes - 1,
            limits=self._limits,
            clock=self._clock,
            events=events,
            metrics=metrics,
            door_metrics=self._metrics,
            on_crash=on_crash,
        )
        await self._workers.start()

    async def close(self, drain_seconds: float) -> None:
        """Takes no new connection, lets answers under way end, and ends the workers."""
        for sockets in (sockets for public in self._doors for sockets in public.sockets):
            for listening in sockets:
                listening.close()
        closings: list[Callable[[float], Awaitable[None]]]
        closings = [public.door.close for public in self._doors]
        if self._workers is not None:
            closings.append(self._workers.close)
        # All at once: a supervisor waits for one drain, not for one after the other.
        await each(closings, lambda close: close(drain_seconds), at_once=len(closings))

    def use_certificates(self, names: Mapping[str, TlsNames]) -> None:
        """Shows others at doors with TLS, by the door's name. Raises CertificateError."""
        for number, public in enumerate(self._doors):
            wanted = names.get(public.door.name)
            if wanted is None or public.door.tls is None or public.door.tls == wanted:
                continue
            public.door.use_certificates(wanted)
            if self._workers is not None:
                self._workers.use_certificates(number, wanted)

    def forget(self, about: str) -> None:
        """No door in any process gives a ready answer made of this, from this call on."""
        if self._workers is not None:
            self._workers.forget(about)
        for public in self._doors:
            public.door.hot.forget(about)

    def forget_all(self) -> None:
        """No door in any process gives a ready answer from before this call."""
        if self._workers is not None:
            self._workers.forget_all()
        for public in self._doors:
            public.door.hot.forget_all()

    def processes(self) -> tuple[int, int]:
        """How many there are to be, this one included, and how many serve now."""
        found = self.workers()
        serving = sum(worker.serving for worker in found.workers) if found else 0
        return self._processes, 1 + serving

    def expiries(self) -> tuple[Expiry, ...]:
        """The certificates that the doors show."""
        return tuple(
            Expiry(Expires.TLS_CERTIFICATE, f"{file} ({public.door.name} door)", at)
            for public in self._doors
            for file, at in public.door.certificate_ends().items()
        )

    def workers(self) -> WorkersStatistics | None:
        """A snapshot; None where there are none."""
        return None if self._workers is None else self._workers.statistics()
