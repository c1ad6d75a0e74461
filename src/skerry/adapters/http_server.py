"""One listening door of the node: HTTP/1.1 over uvicorn's parts, in a loop that already runs.

Owns the listening socket, its connections' end, and the door's numbers. Never handles signals,
configures logging or starts a loop: the node does. RFC 9110, RFC 9112.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Callable, Mapping, Sequence
from email.utils import formatdate
from functools import partial

from uvicorn.config import Config
from uvicorn.server import ServerState

from skerry.adapters.http_asgi import FullWay
from skerry.adapters.http_hot import HotTable
from skerry.adapters.http_hot_way import HotFields
from skerry.adapters.http_server_connection import DoorConnection
from skerry.adapters.http_server_metrics import DoorMetrics, DoorStatistics
from skerry.adapters.http_server_silence import sweep
from skerry.adapters.http_server_state import DoorLimits, DoorState
from skerry.adapters.http_server_tls import CertificateNews, Certificates, TlsNames
from skerry.aio.tasks import Nursery
from skerry.base.clock import Clock
from skerry.base.errors import Party, SkerryError
from skerry.wire.forwarded import Trusted
from skerry.wire.message import Handler

BEAT_SECONDS = 1.0
"""How often the date moves on and silence is looked for."""

CLOCK_STEP_SECONDS = 1.0
"""What the clock may gain or lose between two beats before it counts as set."""

TLS_HANDSHAKE_SECONDS = 10.0

BACKLOG = 2048
"""Connections the kernel keeps for us until they are taken."""

_log = logging.getLogger("skerry.http")


class DoorError(SkerryError):
    """A door cannot be opened."""

    party = Party.OPERATOR


class Door:
    """Serves one handler on one address.

    `hot.forget_all` empties the table of ready answers; whoever changes what an answer would be
    calls it.
    """

    def __init__(
        self,
        handler: Handler,
        *,
        name: str,
        host: str,
        port: int,
        clock: Clock,
        metrics: DoorMetrics | None = None,
        limits: DoorLimits | None = None,
        hot_fields: HotFields | None = None,
        tls: TlsNames | None = None,
        plain_refusals: bool = False,
        sockets: Sequence[socket.socket] = (),
        hot: HotTable | None = None,
        tell_certificates: Callable[[CertificateNews], None] = lambda news: None,
    ) -> None:
        """`sockets` listen already and are used instead of an address; the door owns them.

        A door with `tls` speaks TLS alone; what is to be known of its certificates goes to
        `tell_certificates`.
        """
        self.name = name
        limits = limits or DoorLimits()
        self.hot = HotTable(files_max=limits.hot_files_max) if hot is None else hot
        self._sockets = sockets
        self._host, self._port = host, port
        self._clock = clock
        self._metrics = metrics
        self.tls = tls
        self._tell_certificates = tell_certificates
        self._nursery = Nursery(on_crash=_crashed)
        self._state = DoorState(
            limits=limits,
            hot=self.hot,
            hot_fields=hot_fields or HotFields(),
            nursery=self._nursery,
            monotonic=clock.monotonic,
            tick=clock.monotonic(),
            date=_date(clock),
            proxies=Trusted(limits.proxies),
            plain_refusals=plain_refusals,
        )
        self._config = Config(
            FullWay(handler),
            http=DoorConnection,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
        )
        self._server_state = ServerState()
        self._servers: list[asyncio.Server] = []
        self._counted: DoorStatistics | None = None
        self._clock_gap = clock.now() - clock.monotonic()

    @property
    def port(self) -> int:
        """The port listened on, also when 0 was asked for; 0 before `open`."""
        return self._port

    @property
    def scheme(self) -> str:
        """http or https."""
        return "https" if self.tls else "http"

    async def open(self) -> None:
        """Listens. Raises DoorError, and CertificateError when a certificate cannot be used."""
        self._config.load()
        if self.tls is not None:
            self._state.certificates = Certificates(
                self.tls, clock=self._clock, tell=self._tell_certificates
            )
        if self._sockets:
            for listening in self._sockets:
                await self.serve(listening)
        else:
            try:
                await self.serve(None)
            except OSError as error:
                raise cannot_listen(error, self.name, f"{self._host}:{self._port}") from error
        self._port = self._servers[0].sockets[0].getsockname()[1]
        if self._metrics is not None:
            self._metrics.add(self)
        self._nursery.start(self._beat(), name=f"door.{self.name}.beat")

    async def serve(self, listening: socket.socket | None) -> asyncio.Server:
        """Takes connections from one more socket, None for the door's own address.

        The server that is returned owns the socket, and may be closed before the door is.
        """
        certificates = self._state.certificates
        context = certificates.context if certificates else None
        create = partial(
            asyncio.get_running_loop().create_server,
            lambda: DoorConnection(
                config=self._config, server_state=self._server_state, state=self._state
            ),
            ssl=context,
            ssl_handshake_timeout=TLS_HANDSHAKE_SECONDS if context else None,
            backlog=BACKLOG,
        )
        if listening is None:
            server = await create(host=self._host, port=self._port)
        else:
            server = await create(sock=listening)
        self._servers.append(server)
        return server

    def certificate_ends(self) -> Mapping[str, float]:
        """When each certificate it shows ends, by file, in seconds since the epoch."""
        shown = self._state.certificates
        return shown.statistics().expires_at if shown is not None else {}

    def use_certificates(self, names: TlsNames) -> None:
        """Shows others in handshakes from now on. Raises CertificateError, changing nothing.

        Connections go on as they are; ready answers are judged by the new names as well.
        """
        if self._state.certificates is not None:
            self._state.certificates.use(names)
            self.tls = names

    async def close(self, drain_seconds: float = 0.0) -> None:
        """Takes no new connection, lets answers under way end, then resets what is left."""
        state = self._state
        state.closing = True
        for server in self._servers:
            server.close()
        for connection in list(state.connections):
            connection.shutdown()
        if state.connections and drain_seconds > 0:
            state.emptied.clear()
            deadline = self._nursery.start(self._deadline(drain_seconds), name="door.drain")
            await state.emptied.wait()
            deadline.cancel()
        for connection in list(state.connections):
            connection.outlet.abort()
        await self._nursery.close()
        self.hot.forget_all()  # its files are closed
        self.settle()

    def statistics(self) -> DoorStatistics:
        """A snapshot."""
        traffic = self._state.traffic
        return DoorStatistics(
            name=self.name,
            connections=len(self._state.connections),
            running=sum(
                connection.active is not None and not connection.active.response_complete
                for connection in self._state.connections
            ),
            sending=traffic.sending_count,
            tunnels=traffic.tunnel_count,
            full=traffic.full_count,
            failed=traffic.failed_count,
            refused=traffic.refused.total(),
            refused_for=dict(traffic.refused),
            aborted=traffic.aborted_count,
            left=traffic.left_count,
            sent_bytes=traffic.sent_bytes,
            hot=self.hot.statistics(),
        )

    def settle(self) -> None:
        """Moves the fast way's plain numbers to handlers and metrics: it tells nobody per request.

        Called at each beat, and before metrics are read.
        """
        self.hot.tell()
        if self._metrics is None:
            return
        now = self.statistics()
        self._metrics.count(now, self._counted)
        self._counted = now

    async def _beat(self) -> None:
        while True:
            self._state.tick = self._clock.monotonic()
            date = _date(self._clock)
            if date != self._state.date:
                self._state.date = date
            self._watch_clock()
            if self._state.certificates is not None:
                self._state.certificates.check()
            for connection in list(self._state.connections):
                sweep(connection)
            self.settle()
            await self._clock.sleep(BEAT_SECONDS)

    def _watch_clock(self) -> None:
        """Forgets all when the clock was set, or stood still with the machine: handlers judge
        freshness by it, the table only by what has passed since."""
        gap = self._clock.now() - self._clock.monotonic()
        if abs(gap - self._clock_gap) > CLOCK_STEP_SECONDS:
            self.hot.forget_all()
        self._clock_gap = gap

    async def _deadline(self, seconds: float) -> None:
        await self._clock.sleep(seconds)
        self._state.emptied.set()


def cannot_listen(error: OSError, name: str, where: str) -> DoorError:
    """What to tell of an address that cannot be had."""
    if error.errno == errno.EADDRINUSE:
        return DoorError(
            f"door {name}: {where} is taken by another program",
            next_step=f"stop it (`ss -ltnp` names it) or set [doors] {name}",
        )
    return DoorError(
        f"door {name}: cannot listen on {where}: {error.strerror or error}",
        next_step=f"set [doors] {name} to an address of this machine",
    )


def _date(clock: Clock) -> bytes:
    return formatdate(clock.now(), usegmt=True).encode()


def _crashed(name: str, error: BaseException) -> None:
    _log.error("%s crashed", name, exc_info=error)
