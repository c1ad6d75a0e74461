"""From settings to the values that rooms are made of.

Owns the translation only; starts nothing and opens nothing.
"""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import urlsplit

from skerry.adapters.http_server_tls import Pair, TlsNames
from skerry.app.settings.checks.between import read_password
from skerry.app.settings.schema import (
    RouteSettings,
    Settings,
    SiblingSettings,
    SiteSettings,
    SourceSettings,
    UpstreamSettings,
)
from skerry.cdn.core.route import Route, Site
from skerry.cdn.ports import ClientAddress, DataClass, RoutePolicy
from skerry.registry.core.freshness import TagWindow
from skerry.registry.core.names import NameTable, UpstreamName
from skerry.upstream.ports import Dial, Fetch
from skerry.upstream.sources import Source, SourceKind, Upstream

_MACHINES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm/v7", "riscv64": "riscv64"}


def own_platform() -> str:
    """`os/arch[/variant]` of this machine, as image indexes name it."""
    machine = platform.machine()
    return f"linux/{_MACHINES.get(machine, machine)}"


def name_table(settings: Settings) -> NameTable:
    """Every name the node answers to. Raises BadInput when two upstreams share one."""
    upstreams = tuple(
        UpstreamName(upstream.name, upstream.aliases, upstream.bare_names)
        for upstream in settings.upstreams
    )
    local = settings.registry.local
    return NameTable(upstreams, local.namespaces if local.enabled else ())


def tag_windows(settings: Settings) -> tuple[TagWindow, ...]:
    """The configured windows in order."""
    windows = settings.registry.tag_windows
    return tuple(TagWindow(window.pattern, window.window_seconds) for window in windows)


def upstream_of(settings: UpstreamSettings) -> Upstream:
    """One upstream with its sources in order. Reads password files; raises SettingsError."""
    return Upstream(
        name=settings.name,
        sources=tuple(_source(source) for source in settings.sources),
        aliases=settings.aliases,
        bare_names=settings.bare_names,
        private=settings.private,
    )


def siblings_of(settings: Settings, upstream: UpstreamSettings) -> tuple[Source, ...]:
    """The other nodes of the site, as sources of one upstream."""
    return tuple(_sibling(sibling, upstream.name) for sibling in settings.siblings)


def sites_of(settings: Settings) -> tuple[Site, ...]:
    """The virtual hosts of the edge; each asks the origin of its own name."""
    return tuple(
        Site(site.name, site.hosts, tuple(_route(site, route) for route in site.routes))
        for site in settings.sites
    )


def registry_tls(settings: Settings) -> TlsNames | None:
    """What the registry's door shows; None when it speaks http."""
    doors = settings.doors
    if not doors.cert_file:
        return None
    pair = Pair(doors.cert_file, doors.key_file)
    return TlsNames((pair,), client_ca_file=doors.client_ca_file)


def edge_tls(settings: Settings) -> TlsNames | None:
    """What the edge's TLS door shows; the first site's that has one is for unknown names."""
    pairs: list[Pair] = []
    hosts: list[tuple[str, int]] = []
    for site in settings.sites:
        if site.cert_file:
            pair = Pair(site.cert_file, site.key_file)
            if pair not in pairs:
                pairs.append(pair)
            hosts += [(host.lower().rstrip("."), pairs.index(pair)) for host in site.hosts]
    return TlsNames(tuple(pairs), tuple(hosts)) if pairs else None


def servers_of(site: SiteSettings, urls: tuple[str, ...]) -> tuple[Source, ...]:
    """Servers in order, asked as the site says."""
    dial = Dial(
        connect_seconds=site.connect_seconds,
        first_byte_seconds=site.first_byte_seconds,
        stall_seconds=site.stall_seconds,
        ca_file=site.ca_file or None,
        connections_max=site.connections_max,
    )
    return tuple(
        Source(
            name=urlsplit(url).netloc,
            url=url,
            kind=SourceKind.ORIGIN,
            dial=dial,
            requests_per_minute=site.requests_per_minute,
        )
        for url in urls
    )


def _route(site: SiteSettings, settings: RouteSettings) -> Route:
    return Route(
        prefix=settings.prefix,
        origin=site.name,
        policy=RoutePolicy(
            data_class=DataClass(settings.data_class),
            fresh_seconds=settings.fresh_seconds,
            stale_if_error_seconds=settings.stale_if_error_seconds,
            stale_while_revalidate_seconds=settings.stale_while_revalidate_seconds,
            store_cookies=settings.store_cookies,
            query_allow=settings.query,
            client_address=ClientAddress(site.client_address),
        ),
        slice_bytes=settings.slice_bytes,
        methods=frozenset(settings.methods),
        tells_key=settings.tell_key,
        vaulted=settings.vault is not False,
        vault_seconds=settings.vault_lifetime_seconds,
        upgrades=frozenset(name.lower() for name in settings.upgrades),
        upgrade_idle_seconds=settings.upgrade_idle_seconds,
    )


def _source(settings: SourceSettings) -> Source:
    return Source(
        name=settings.name,
        url=settings.url,
        kind=SourceKind(settings.kind),
        username=settings.username or None,
        password=read_password(settings) or None,
        realms=settings.realms,
        redirect_hosts=settings.redirect_hosts,
        dial=Dial(
            connect_seconds=settings.connect_seconds,
            first_byte_seconds=settings.first_byte_seconds,
            stall_seconds=settings.stall_seconds,
            ca_file=settings.ca_file or None,
            proxy=settings.proxy,
            connections_max=settings.connections_max,
        ),
        requests_per_minute=settings.requests_per_minute,
        bytes_per_second=settings.bytes_per_second,
        rewrite=_below(settings.prefix) if settings.prefix else None,
    )


def _sibling(settings: SiblingSettings, upstream: str) -> Source:
    return Source(
        name=settings.name,
        url=settings.url,
        kind=SourceKind.SIBLING,
        dial=Dial(ca_file=settings.ca_file or None, connect_seconds=0.5, first_byte_seconds=1.0),
        rewrite=_below(upstream),
    )


def _below(prefix: str) -> Callable[[Fetch], Fetch]:
    """Names the same content under a prefix, as a mirror of many registries does."""

    def rewrite(fetch: Fetch) -> Fetch:
        path = f"/v2/{prefix.strip('/')}/{fetch.path.removeprefix('/v2/')}"
        scope = fetch.scope.replace("repository:", f"repository:{prefix.strip('/')}/", 1)
        return replace(fetch, path=path, scope=scope)

    return rewrite
