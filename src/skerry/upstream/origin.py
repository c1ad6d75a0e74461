"""The origin servers of one site: any request, any answer, body by body.

Owns the order of the servers, what speaks against their health, and when a request may be tried
at another one. Never reads, judges or stores an answer, follows no redirect, holds no credential
and no header rules: those are the HTTP cache's. RFC 9110 section 9.2.2.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from dataclasses import dataclass
from random import Random

from skerry.base.clock import Clock
from skerry.base.errors import Party, SkerryError
from skerry.telemetry.events import Events
from skerry.upstream.core.guard import origin_of
from skerry.upstream.core.limits import streams_events
from skerry.upstream.gate import Gate, Lease, SourceStatistics
from skerry.upstream.measures import UpstreamMetrics
from skerry.upstream.metered import Metered
from skerry.upstream.ports import (
    Cause,
    Exchange,
    Fetch,
    Transport,
    TransportError,
    Trouble,
    Unavailable,
)
from skerry.upstream.sources import Upstream
from skerry.wire.message import NO_HEADERS, Headers, Interim

RETRY_AFTER_SECONDS = 5

IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
NOT_SENT = frozenset(
    {
        Trouble.DNS,
        Trouble.REFUSED,
        Trouble.CONNECT_TIMEOUT,
        Trouble.TLS,
        Trouble.BREAKER_OPEN,
        Trouble.RATE_LIMITED,
        Trouble.BUDGET,
        Trouble.FORBIDDEN_ADDRESS,
    }
)
"""Troubles after which the server has seen nothing of the request."""
OF_THE_REQUEST = frozenset({501, 505})
"""5xx that speak of what was asked, not of the server."""


class BadTarget(SkerryError):
    """A target that no server can be asked for: malformed, or too long."""

    party = Party.CLIENT


@dataclass(frozen=True, slots=True)
class OriginStatistics:
    """One site's servers as they are now."""

    name: str
    reachable: bool
    retry_after_seconds: int
    sources: tuple[SourceStatistics, ...]


class OriginClient:
    """Sends requests of one site to its servers."""

    def __init__(
        self,
        site: Upstream,
        *,
        transport: Transport,
        clock: Clock,
        events: Events,
        metrics: UpstreamMetrics,
        rng: Random,
        before: OriginClient | None = None,
    ) -> None:
        """`before` is the site as it was: servers that stay as they were keep what is known."""
        self.site = site
        self._transport = transport
        self._clock = clock
        kept = {gate.source: gate for gate in before.gates} if before else {}
        self.gates: tuple[Gate, ...] = tuple(
            kept.get(source)
            or Gate(
                source,
                upstream=site.name,
                clock=clock,
                events=events,
                metrics=metrics,
                rng=rng,
            )
            for source in site.sources
        )
        self._dials = {gate: gate.source.content_dial for gate in self.gates}

    @property
    def name(self) -> str:
        """The site's."""
        return self.site.name

    async def send(
        self,
        method: str,
        target: str,
        headers: Headers = NO_HEADERS,
        body: AsyncIterator[bytes] | None = None,
        interim: Interim | None = None,
    ) -> Metered:
        """The head of the first answer, whatever its status; `interim` takes those before it.

        `target` is path and query as sent; `Host` in `headers` is the server's own unless given.
        The next server is asked only when that cannot do the thing twice: nothing of the body was
        taken, and the method is idempotent or the request was not sent. Raises Unavailable,
        BadTarget, and whatever `body` raises. Close the answer.
        """
        outgoing = None if body is None else _Outgoing(body)
        causes: list[Cause] = []
        # The gate of a server that is left alone refuses at once; one whose time has come is asked
        # in its turn, or nobody would ever learn that it is back.
        for gate in self.gates:
            url, _ = gate.source.locate(Fetch(method, target))
            if not target.startswith("/") or origin_of(url) is None:
                # Before the gate: what a client makes up must not speak against a server.
                raise BadTarget("the target is no path that can be asked for")
            try:
                return await self._send(gate, method, url, headers, outgoing, interim)
            except TransportError as error:
                causes.append(Cause(gate.source.name, error.trouble, error.what))
                if not _may_go_on(method, error.trouble, outgoing):
                    break
        raise Unavailable(
            self.site.name, tuple(causes), retry_after_seconds=self.retry_after_seconds()
        )

    def reachable(self) -> bool:
        """Whether some server would be asked now."""
        return any(gate.refusal() is None for gate in self.gates)

    def retry_after_seconds(self) -> int:
        """When trying again may help: the first moment a server will be asked."""
        soonest = min((gate.refused_seconds() for gate in self.gates), default=0.0)
        return max(1, math.ceil(soonest)) if soonest > 0 else RETRY_AFTER_SECONDS

    def statistics(self) -> OriginStatistics:
        """A snapshot."""
        return OriginStatistics(
            self.site.name,
            self.reachable(),
            self.retry_after_seconds(),
            tuple(gate.statistics() for gate in self.gates),
        )

    async def _send(
        self,
        gate: Gate,
        method: str,
        url: str,
        headers: Headers,
        body: _Outgoing | None,
        interim: Interim | None,
    ) -> Metered:
        dial = self._dials[gate]
        lease = await gate.admit(patience_seconds=dial.connect_seconds + dial.first_byte_seconds)
        try:
            asked_at = self._clock.monotonic()
            # The transport cannot wait for 100, and frames bodies itself.
            switches = _asks_to_switch(headers)
            unsent = () if switches else ("Upgrade",)
            sent = headers.without("Expect", "Transfer-Encoding", *unsent)
            exchange = await self._transport.send(method, url, sent, dial, body or b"", interim)
            if exchange.status == 101 and not switches:
                await exchange.close()
                raise TransportError(Trouble.PROTOCOL, "switched protocols unasked")
        except TransportError as error:
            gate.refusals.dialled(error)
            if body is not None and body.unfinished:
                # Who uploads slowly enough makes any server hang up.
                lease.passed(error.trouble)
            else:
                lease.failed(error.trouble, error.what)
            lease.close()
            raise
        except BaseException:
            lease.close()
            raise
        gate.metrics.first_byte.observe(self._clock.monotonic() - asked_at, *gate.labels)
        self._weigh(method, exchange, lease)
        # A stream of events is a trickle by nature.
        stall_seconds = math.inf if streams_events(exchange.headers) else dial.stall_seconds
        return Metered(
            exchange, gate=gate, lease=lease, clock=self._clock, stall_seconds=stall_seconds
        )

    def _weigh(self, method: str, exchange: Exchange, lease: Lease) -> None:
        """What a head says about its server. Cut and stalled bodies speak for themselves later."""
        status = exchange.status
        if status >= 500 and status not in OF_THE_REQUEST:
            if len(self.gates) > 1:
                lease.failed(Trouble.SERVER_ERROR, f"answered {status}")
            else:
                # One broken page must not close a site that has nowhere else to go.
                lease.passed(Trouble.SERVER_ERROR)
        elif method == "HEAD" or status in (101, 204, 304):
            lease.succeeded()  # there is no body whose end could say so


class _Outgoing:
    """A request's body on its way: remembers whether any of it was taken, and all."""

    def __init__(self, body: AsyncIterator[bytes]) -> None:
        self._body = body
        self.begun = False
        self._ended = False

    @property
    def unfinished(self) -> bool:
        """Whether the server was given some of it and waits for the rest."""
        return self.begun and not self._ended

    def __aiter__(self) -> _Outgoing:
        return self

    async def __anext__(self) -> bytes:
        self.begun = True
        try:
            return await anext(self._body)
        except StopAsyncIteration:
            self._ended = True
            raise


def _may_go_on(method: str, trouble: Trouble, body: _Outgoing | None) -> bool:
    if body is not None and body.begun:
        return False
    return method in IDEMPOTENT or trouble in NOT_SENT


def _asks_to_switch(headers: Headers) -> bool:
    return "Upgrade" in headers and "upgrade" in headers.joined("Connection").lower()
