"""Registrars' RDAP services over HTTP.

Owns the exchange (RFC 7480, RFC 9082 section 3.1.3): which URL, redirects by the same rules as
everywhere, bodies within bounds. What is said is `trust.core.rdap`'s to read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from skerry.base.clock import Clock
from skerry.base.errors import BadInput
from skerry.telemetry.events import Events
from skerry.telemetry.validation import ValidationFailures
from skerry.trust.core.delegation import Registration
from skerry.trust.core.rdap import (
    ANSWER_BYTES_MAX,
    BOOTSTRAP_BYTES_MAX,
    read_domain,
    service_of,
)
from skerry.trust.watch_ports import RegistrarUnavailable
from skerry.upstream.core.guard import host_of
from skerry.upstream.core.judge import REDIRECTS
from skerry.upstream.core.limits import retry_after_seconds
from skerry.upstream.core.redirect import Hop, follow
from skerry.upstream.metered import read_whole
from skerry.upstream.ports import Dial, Exchange, Transport, TransportError
from skerry.upstream.refusals import Refusals
from skerry.wire.message import Headers

BOOTSTRAP = "https://data.iana.org/rdap/dns.json"
BOOTSTRAP_SECONDS = 86400.0
_HEADERS = Headers(
    (("Accept", "application/rdap+json, application/json"), ("Accept-Encoding", "identity"))
)


class RdapRegistrars:
    """`trust.watch_ports.Registrars` over RDAP."""

    def __init__(
        self,
        transport: Transport,
        *,
        dial: Dial,
        services: Mapping[str, str],
        clock: Clock,
        events: Events,
        failures: ValidationFailures,
        bootstrap: str = BOOTSTRAP,
    ) -> None:
        """`services` are base URLs by domain; others are found by the bootstrap file."""
        self._transport = transport
        self._dial = dial
        self._services = dict(services)
        self._clock = clock
        self._refusals = Refusals(failures, events, "rdap")
        self._bootstrap = bootstrap
        self._list = b""
        self._list_until = 0.0

    async def ask(self, domain: str) -> Registration:
        try:
            base = self._services.get(domain) or await self._find(domain)
            url = f"{base.rstrip('/')}/domain/{domain}"
            return read_domain(await self._get(url, ANSWER_BYTES_MAX), domain)
        except TransportError as error:
            raise RegistrarUnavailable(f"RDAP for {domain}: {error.what}") from error
        except BadInput as error:
            raise RegistrarUnavailable(f"RDAP for {domain} is not usable: {error.what}") from error

    async def _find(self, domain: str) -> str:
        if self._clock.monotonic() >= self._list_until:
            self._list = await self._get(self._bootstrap, BOOTSTRAP_BYTES_MAX)
            self._list_until = self._clock.monotonic() + BOOTSTRAP_SECONDS
        found = service_of(self._list, domain)
        if not found:
            raise RegistrarUnavailable(f"no RDAP service is listed for {domain}")
        return found

    async def _get(self, url: str, bytes_max: int) -> bytes:
        """The body of a 200. Raises TransportError, RegistrarUnavailable."""
        hops = 0
        # Only what the settings name may be inside.
        named = {host_of(each) for each in (*self._services.values(), self._bootstrap)}
        inside = frozenset({host_of(url)} & named)
        while True:
            dial = replace(self._dial, private_hosts=self._dial.private_hosts | inside)
            try:
                exchange = await self._transport.send("GET", url, _HEADERS, dial)
            except TransportError as error:
                self._refusals.dialled(error)
                raise
            location = exchange.headers.get("location")
            if exchange.status not in REDIRECTS or location is None:
                break
            await exchange.close()
            hop = follow(url, location, _HEADERS, private_hosts=inside, hops=hops)
            if not isinstance(hop, Hop):
                self._refusals.redirect(hop.what)
                raise TransportError(hop.trouble, hop.what)
            url, hops = hop.url, hops + 1
        if exchange.status != 200:
            await exchange.close()
            raise self._unavailable(url, exchange)
        return await read_whole(exchange, bytes_max=bytes_max)

    def _unavailable(self, url: str, exchange: Exchange) -> RegistrarUnavailable:
        wait = retry_after_seconds(exchange.headers, self._clock.now())
        what = f"RDAP at {host_of(url)} answered {exchange.status}"
        return RegistrarUnavailable(what, again_seconds=wait)
