"""The watch over domains, from its settings.

Owns that part of the composition, and the route through which people see it. Loaded only when a
domain is watched.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

from skerry.adapters.delegation_dns import AuthorityDns
from skerry.adapters.dns_lookup import LateResolution
from skerry.adapters.rdap import RdapRegistrars
from skerry.adapters.watch_file import WatchFile
from skerry.app.settings.checks.watch import policy_of
from skerry.app.settings.watch import DomainWatchSettings
from skerry.telemetry.labels import Named
from skerry.telemetry.metrics import Registry
from skerry.trust.core.delegation import Aspect
from skerry.trust.core.domain_state import FILE_BYTES_MAX
from skerry.trust.delegation_watch import DelegationWatch, Watched
from skerry.trust.ports import NamePins
from skerry.trust.watch_ports import Zone
from skerry.upstream.ports import Dial, Transport

if TYPE_CHECKING:
    from skerry.app.site import Site

FIND_SECONDS = 3.0

DOMAINS = Named("domains of the settings")


class OwnResolver:
    """`adapters.delegation_dns.Finder` over the node's resolver."""

    def __init__(self, lookup: LateResolution) -> None:
        self._lookup = lookup

    async def name_servers(self, zone: str) -> tuple[str, ...]:
        resolution = await self._lookup.ready()
        import dns.name

        from skerry.trust.core.names.values import Kind

        given = await resolution.resolve(
            dns.name.from_text(zone), Kind.NS, within_seconds=FIND_SECONDS
        )
        answer = given.answer
        if answer is None or given.rcode:
            return ()
        return tuple(
            record.target.to_text().lower().rstrip(".")
            for rrset in answer.answer
            if rrset.rdtype == Kind.NS
            for record in rrset
        )

    async def addresses(self, host: str) -> tuple[str, ...]:
        found: list[str] = []
        for kind in ("A", "AAAA"):
            looked = await self._lookup.look(
                host, kind, within_seconds=FIND_SECONDS, stale_after_seconds=FIND_SECONDS
            )
            found += looked.addresses
        return tuple(found)


def open_watch(
    node: Site, pins: NamePins, lookup: LateResolution, transport: Transport
) -> DelegationWatch:
    """Makes it; `start` begins. Raises WatchUnusable, BadPolicy, BadInput, OSError."""
    dns = node.settings.dns
    watch = DelegationWatch(
        [_watched(each) for each in dns.watch],
        authorities=AuthorityDns(OwnResolver(lookup), clock=node.clock, chance=node.chance),
        registrars=RdapRegistrars(
            transport,
            dial=Dial(connect_seconds=3.0, first_byte_seconds=10.0),
            services={each.domain: each.rdap for each in dns.watch if each.rdap},
            clock=node.clock,
            events=node.events,
            failures=node.failures,
        ),
        book=WatchFile(node.settings.node.data_path),
        pins=pins,
        clock=node.clock,
        now=node.high_water.now,
        events=node.events,
        failures=node.failures,
        nursery=node.nursery,
        chance=node.chance,
        every_seconds=dns.watch_every_seconds,
        registrar_seconds=dns.registrar_every_seconds,
    )
    node.horizon.add(watch.expiries)
    _gauges(node.metrics, watch)
    return watch


def _watched(settings: DomainWatchSettings) -> Watched:
    return Watched(
        zone=Zone(settings.domain, settings.parents, settings.servers),
        read=_reader(Path(settings.state_file)),
        policy=policy_of(settings),
        near_seconds=settings.expiry_near_seconds,
        registrar=settings.registrar,
    )


def _reader(path: Path) -> Callable[[], Awaitable[bytes]]:
    def read() -> bytes:
        with path.open("rb") as file:
            return file.read(FILE_BYTES_MAX + 1)

    return lambda: asyncio.to_thread(read)


def _gauges(metrics: Registry, watch: DelegationWatch) -> None:
    metrics.gauge(
        "skerry_domain_drift",
        "1 for each aspect of a watched domain that is not as its owners signed.",
        lambda: {
            (name, drift.aspect): 1.0
            for name, domain in watch.domains.items()
            for drift in domain.statistics().drifts
        },
        {"domain": DOMAINS, "aspect": Aspect},
    )
    metrics.gauge(
        "skerry_domain_heard_timestamp_seconds",
        "When the name servers of a watched domain last said anything, since 1970; 0 for never.",
        lambda: {(name,): domain.statistics().heard_at for name, domain in watch.domains.items()},
        {"domain": DOMAINS},
    )
