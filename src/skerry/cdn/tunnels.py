"""Connections that speak another protocol than HTTP with the origin, WebSocket above all.

Owns the switch (a request with `Upgrade` on a route that allows it), the bytes both ways, and the
end: either side's, silence, or the node's. Never looks into the bytes, never stores. A switched
connection takes none of a site's `connections_max`. RFC 9110 section 7.8.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum

from skerry.aio.tasks import Nursery
from skerry.base.clock import Clock
from skerry.cdn.admission import Admitted
from skerry.cdn.core.forwarding import for_one
from skerry.cdn.core.hops import end_to_end
from skerry.cdn.passing import hints, passed
from skerry.cdn.ports import Origin
from skerry.telemetry.labels import Labels
from skerry.telemetry.metrics import Registry
from skerry.upstream.ports import Cause, TransportError, Trouble, Unavailable
from skerry.wire.message import Answer, BodyAborted, Duplex

TUNNELS_MAX = 2000
"""Of one site at once."""
HALF_SECONDS = 60.0
"""How long the other side may be silent once one has ended its half."""


class End(StrEnum):
    """How a switched connection came to its end. Bounded: a metric label."""

    FINISHED = "finished"
    CUT = "cut"
    SILENT = "silent"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class TunnelsStatistics:
    """A snapshot: connections now, by site."""

    open: dict[str, int]


class Tunnels:
    """Opens and carries switched connections."""

    def __init__(self, *, clock: Clock, nursery: Nursery, metrics: Registry, hop: str) -> None:
        self._clock = clock
        self._nursery = nursery
        self._hop = hop
        self._open: Counter[str] = Counter()
        metrics.gauge(
            "skerry_edge_tunnels", "Connections switched to another protocol", self._count
        )
        self._ended = metrics.counter(
            "skerry_edge_tunnels_ended", "Switched connections by their end", {"end": End}
        )
        self._bytes = metrics.counter(
            "skerry_edge_tunnel_bytes",
            "Bytes of switched connections",
            {"to": ("client", "origin")},
        )

    async def open(self, admitted: Admitted, origin: Origin, protocols: str) -> Answer:
        """The origin's 101 with its tunnel, or its other answer. Raises Unavailable."""
        if self._open[origin.name] >= TUNNELS_MAX:
            raise _unavailable(origin, Trouble.BUDGET, f"all {TUNNELS_MAX} tunnels are in use")
        request = admitted.request
        headers = for_one(request, admitted.route.policy, hop=self._hop).without("Expect")
        asked = headers.with_fields(("Connection", "upgrade"), ("Upgrade", protocols))
        exchange = await origin.send("GET", admitted.target, asked, None, hints(request))
        if exchange.status != 101:
            return await passed(request, exchange)
        chosen = exchange.headers.joined("Upgrade")
        server = exchange.switched()
        await exchange.close()
        if server is None:
            raise _unavailable(origin, Trouble.PROTOCOL, "switched protocols without a connection")
        if not _offered(chosen, protocols):
            await server.close()
            raise _unavailable(origin, Trouble.PROTOCOL, "switched to what was not offered")
        fields = end_to_end(exchange.headers).without("Content-Length").with_fields(
            ("Connection", "upgrade"), ("Upgrade", chosen)
        )  # fmt: skip
        idle_seconds = admitted.route.upgrade_idle_seconds

        async def tunnel(client: Duplex) -> None:
            await self._carry(origin.name, client, server, idle_seconds)

        return Answer(101, fields, tunnel=tunnel)

    def statistics(self) -> TunnelsStatistics:
        """A snapshot."""
        return TunnelsStatistics({name: count for name, count in self._open.items() if count})

    async def _carry(self, site: str, client: Duplex, server: Duplex, idle_seconds: float) -> None:
        """Until both halves have ended, one is cut, or nothing moves."""
        self._open[site] += 1
        life = _Life(self._clock)
        ways = {
            self._nursery.start(self._way(client, server, "origin", life), name="tunnel.up"),
            self._nursery.start(self._way(server, client, "client", life), name="tunnel.down"),
        }
        watch = self._nursery.start(life.silence(idle_seconds), name="tunnel.watch")
        end, left = End.STOPPED, set(ways)
        try:
            while left and not watch.done():
                done, _ = await asyncio.wait({*left, watch}, return_when="FIRST_COMPLETED")
                left -= done
                if any(not way.result() for way in done & ways):
                    end = End.CUT
                    break
            else:
                end = End.SILENT if left else End.FINISHED
        finally:
            self._open[site] -= 1
            self._ended.add(1, end)
            for task in (*ways, watch):
                task.cancel()
            await client.close()
            await server.close()

    async def _way(self, source: Duplex, sink: Duplex, to: str, life: _Life) -> bool:
        """Carries one direction; whether it came to a clean end."""
        try:
            async for chunk in source.chunks():
                life.moved()
                await sink.write(chunk)
                self._bytes.add(len(chunk), to)
                life.moved()
            await sink.finish()
            life.halved()
        except (BodyAborted, TransportError):
            return False
        return True

    def _count(self) -> dict[Labels, float]:
        return {(): self._open.total()}


class _Life:
    """When bytes last moved, either way: a heartbeat behind a NAT is life, too."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._moved_at = clock.monotonic()
        self._half = False

    def moved(self) -> None:
        self._moved_at = self._clock.monotonic()

    def halved(self) -> None:
        """One side has said its last: who has left for good looks the same."""
        self.moved()
        self._half = True

    async def silence(self, seconds: float) -> None:
        """Returns once nothing has moved for so long, or shorter once one half has ended."""
        while (left := self._moved_at + seconds - self._clock.monotonic()) > 0:
            await self._clock.sleep(min(left, HALF_SECONDS))
            if self._half:
                seconds = min(seconds, HALF_SECONDS)


def _offered(chosen: str, protocols: str) -> bool:
    """Whether an origin took one of what was offered."""
    offered = {name.strip().lower() for name in protocols.split(",")}
    taken = {name.strip().lower() for name in chosen.split(",")}
    return taken <= offered


def _unavailable(origin: Origin, trouble: Trouble, what: str) -> Unavailable:
    return Unavailable(origin.name, (Cause(origin.name, trouble, what),), retry_after_seconds=5)
