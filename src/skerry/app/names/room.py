"""How this node resolves names, from its settings.

Owns which hosts it cannot do without and which may be inside. Holds no policy of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import ip_address
from typing import TYPE_CHECKING

from skerry.adapters.dns_lookup import LateResolution, Plan
from skerry.adapters.resolv_conf import ResolvConfFile
from skerry.adapters.resolver import LastGood, NameResolver
from skerry.app.names.desk import NamesDesk
from skerry.app.settings.addresses import split_address
from skerry.app.settings.checks.dns import anchors_text
from skerry.app.settings.schema import Settings
from skerry.telemetry.horizon import Expires, Expiry
from skerry.trust.core.names.servers import Server, read_server
from skerry.trust.ports import NamePins
from skerry.upstream.core.guard import host_of, literal

if TYPE_CHECKING:
    from skerry.app.site import Site


def open_names(node: Site, pins: NamePins) -> NameResolver:
    """The resolver of a node; closed with it. Raises OSError."""
    settings = node.settings
    servers = tuple(read_server(text) for text in settings.dns.servers)
    resolv_conf = ResolvConfFile()
    lookup = LateResolution(
        lambda: servers or _others(resolv_conf.read().servers, settings.dns.listen),
        plan_of(settings),
        clock=node.clock,
        nursery=node.nursery,
        events=node.events,
        failures=node.failures,
    )
    hosts = frozenset(needed_hosts(settings))
    resolver = NameResolver(
        clock=node.clock,
        nursery=node.nursery,
        lookup=lookup,
        search=not servers,
        last_good=LastGood(pins, hosts, settings.dns.stale_seconds),
    )
    node.ends.callback(lookup.close)
    _gauges(node, resolver, pins)
    node.horizon.add(lambda: _signed(pins, hosts))
    return resolver


async def listen(node: Site, names: NameResolver, pins: NamePins) -> NamesDesk:
    """Opens the site's own resolver, where the settings want one; what an operator sees of names.

    Raises DnsDoorError.
    """
    if node.settings.dns.listen:
        # Late: it takes dnspython.
        from skerry.app.names.site_resolver import open_site_resolver

        await open_site_resolver(node, names, pins)
    return NamesDesk(names, pins)


def plan_of(settings: Settings) -> Plan:
    """What the resolver is told. Raises OSError, BadInput."""
    dns = settings.dns
    anchors: str | None = None
    if dns.trust_anchor_file:
        anchors = anchors_text(dns.trust_anchor_file)
    return Plan(
        ca_file=dns.ca_file,
        anchors=None if dns.dnssec == "off" else anchors or "",
        opportune=dns.dnssec == "auto",
        unsigned=dns.private_names,
        hosts=tuple(sorted({*needed_hosts(settings), *_own_hosts(settings)})),
        domains=dns.private_names,
        stale_seconds=dns.stale_seconds,
    )


def needed_hosts(settings: Settings) -> Iterator[str]:
    """The names of everything that the settings send this node to."""
    for upstream in settings.upstreams:
        for source in upstream.sources:
            yield from _hosts((source.url, *source.realms, source.proxy or ""))
    for site in settings.sites:
        yield from _hosts((*site.origins, *site.redirect_origins))
    yield from _hosts(sibling.url for sibling in settings.siblings)
    yield from _hosts((settings.vault.endpoint,))


def _own_hosts(settings: Settings) -> Iterator[str]:
    """Names that are this site's own, or that it is sent on to."""
    for upstream in settings.upstreams:
        for source in upstream.sources:
            yield from _hosts(source.redirect_hosts)
    for site in settings.sites:
        yield from (host.removeprefix("*.") for host in site.hosts)
    yield from (each.name for each in settings.dns.local)


def _others(servers: tuple[Server, ...], listen: tuple[str, ...]) -> tuple[Server, ...]:
    """Without this node itself: a machine may well ask its own resolver."""
    own = {split_address(each) for each in listen}
    ports = {port for _, port in own}
    return tuple(
        each
        for each in servers
        if (each.address, each.port) not in own
        and not (each.port in ports and ip_address(each.address).is_loopback)
    )


def _hosts(places: Iterable[str]) -> Iterator[str]:
    for place in places:
        host = host_of(place)
        if host and literal(host) is None:
            yield host


def _signed(pins: NamePins, hosts: frozenset[str]) -> Iterator[Expiry]:
    for pin in pins.state().pins:
        if pin.name in hosts and pin.secure and pin.signed_until is not None:
            yield Expiry(Expires.DNS_SIGNATURE, pin.name, pin.signed_until)


def _gauges(node: Site, resolver: NameResolver, pins: NamePins) -> None:
    def questions() -> dict[tuple[str, ...], float]:
        own, loaded = resolver.statistics(), resolver.lookup.loaded
        found: dict[tuple[str, ...], float] = {("last_good",): own.last_good}
        if loaded is not None:
            below = loaded.statistics()
            found |= {
                ("asked",): below.asked,
                ("from_cache",): below.from_cache,
                ("stale",): below.stale,
                ("failed",): below.failed,
            }
        return found

    def verdicts() -> dict[tuple[str, ...], float]:
        loaded = resolver.lookup.loaded
        if loaded is None:
            return {}
        below = loaded.statistics()
        return {
            ("secure",): below.secure,
            ("insecure",): below.insecure,
            ("bogus",): below.bogus,
            ("indeterminate",): below.indeterminate,
        }

    node.metrics.tally(
        "skerry_dns_questions",
        "Questions for names since start, by how they were answered.",
        questions,
        {"how": ("asked", "from_cache", "stale", "failed", "last_good")},
    )
    node.metrics.tally(
        "skerry_dns_verdicts",
        "Answers of name servers since start, by what their signatures say of them.",
        verdicts,
        {"security": ("secure", "insecure", "bogus", "indeterminate")},
    )
    node.metrics.gauge(
        "skerry_dns_held_names",
        "Names of which nothing new is believed.",
        lambda: {(): float(len(pins.state().holds))},
    )
