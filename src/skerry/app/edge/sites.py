"""The sites of the edge while the node runs: their origins, and a new table of them.

Owns what a reload keeps: an origin that is described as before stays the same object, with its
breakers and what is known of its servers. Never touches a request under way.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from skerry.aio.tasks import Nursery
from skerry.app.misses import miss_rules
from skerry.app.outside import Outside
from skerry.app.settings.schema import Settings, SiteSettings
from skerry.app.wiring import servers_of, sites_of
from skerry.cdn.assembly import EdgeRooms
from skerry.cdn.core.moved import origin_of
from skerry.cdn.core.route import RouteTable, build
from skerry.cdn.following import Following
from skerry.cdn.ports import Origin, Variants
from skerry.cdn.reclassing import drop_what_is_not_public
from skerry.registry.assembly import Parts
from skerry.upstream.gate import SourceStatistics
from skerry.upstream.misses import Misses
from skerry.upstream.origin import OriginClient
from skerry.upstream.ports import Exchange
from skerry.upstream.sources import Upstream
from skerry.wire.message import Headers, Interim


class OwnHost:
    """`cdn.ports.Origin` whose servers are sent their own host, not the one that was asked for."""

    def __init__(self, origin: OriginClient) -> None:
        self._origin = origin

    @property
    def name(self) -> str:
        """The site's."""
        return self._origin.name

    async def send(
        self,
        method: str,
        target: str,
        headers: Headers,
        body: AsyncIterator[bytes] | None = None,
        interim: Interim | None = None,
    ) -> Exchange:
        """See `Origin`."""
        return await self._origin.send(method, target, headers.without("Host"), body, interim)

    def reachable(self) -> bool:
        """See `Origin`."""
        return self._origin.reachable()


Clients = dict[str, OriginClient]
"""By the site's name, those of its redirects by that and their URL."""


class SiteOrigins:
    """The origins of all sites. `by_site` is the one mapping that the rooms look into."""

    def __init__(self, parts: Parts, outside: Outside, sites: Iterable[SiteSettings]) -> None:
        self._parts = parts
        self._outside = outside
        self._clients: Clients = {}
        self.by_site: dict[str, Origin] = {}
        self.misses = Misses({}, clock=parts.clock, events=parts.events, meters=outside.miss_meters)
        sites = tuple(sites)
        self.use(sites, self.plan(sites))

    def plan(self, sites: Iterable[SiteSettings]) -> Clients:
        """The clients for other sites; those of unchanged servers are the ones in use."""
        planned: Clients = {}
        for site in sites:
            planned[site.name] = self._client(site, site.name, site.origins)
            for url in site.redirect_origins:
                planned[_led_to(site, url)] = self._client(site, _led_to(site, url), (url,))
        return planned

    def use(self, sites: Iterable[SiteSettings], clients: Clients) -> None:
        """Takes planned clients, for requests from now on."""
        sites = tuple(sites)
        self._clients = clients
        self.misses.use(miss_rules(sites))
        self.by_site.clear()
        for site in sites:
            client = clients[site.name]
            origin: Origin = client if site.preserve_host else OwnHost(client)
            if site.redirect_origins:
                elsewhere = {
                    origin_of(url) or url: clients[_led_to(site, url)]
                    for url in site.redirect_origins
                }
                origin = Following(origin, elsewhere)
            self.by_site[site.name] = origin

    def servers(self) -> Mapping[str, Sequence[SourceStatistics]]:
        """How the servers of each site are."""
        return {name: each.statistics().sources for name, each in self._clients.items()}

    def _client(self, site: SiteSettings, key: str, urls: tuple[str, ...]) -> OriginClient:
        before = self._clients.get(key)
        upstream = Upstream(site.name, servers_of(site, urls))
        if before is not None and before.site == upstream:
            return before
        return OriginClient(
            upstream,
            transport=self._outside.transport,
            clock=self._parts.clock,
            events=self._parts.events,
            metrics=self._outside.metrics,
            rng=self._parts.chance,
            before=before,
        )


def _led_to(site: SiteSettings, url: str) -> str:
    return f"{site.name}, redirects to {url}"


@dataclass(frozen=True, slots=True)
class SitesChanged:
    """What a reload changed, by the sites' names."""

    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]


class EdgeReload:
    """Puts other sites in the place of those in use."""

    def __init__(
        self,
        rooms: EdgeRooms,
        origins: SiteOrigins,
        variants: Variants,
        *,
        changed: Callable[[], None],
        nursery: Nursery,
    ) -> None:
        self._rooms = rooms
        self._origins = origins
        self._variants = variants
        self._changed = changed
        self._nursery = nursery
        self.reclassing: asyncio.Task[int] | None = None

    def check(self, new: Settings) -> None:
        """Raises BadInput for sites that `use` would refuse."""
        build(sites_of(new))

    def use(self, old: Settings, new: Settings) -> SitesChanged:
        """Takes the sites of other settings, from the next request on; all of it or nothing.

        What is stored of routes that are not public any more is not served from now on, and goes
        from the index behind this call. Raises BadInput.
        """
        told = difference(old.sites, new.sites)
        if old.sites == new.sites:
            return told
        self.check(new)
        # No await from here on: a request finds the old table and its origins, or the new ones.
        self._origins.use(new.sites, self._origins.plan(new.sites))
        self._rooms.front.use(sites_of(new))
        work = self._reclass(self._rooms.front.table)
        self.reclassing = self._nursery.start(work, name="edge.reclass")
        return told

    async def _reclass(self, table: RouteTable) -> int:
        dropped = await drop_what_is_not_public(self._variants, table)
        self._changed()  # another reload may have made it public again, and ready, meanwhile
        return dropped


def difference(old: Sequence[SiteSettings], new: Sequence[SiteSettings]) -> SitesChanged:
    """What became of each site."""
    before = {site.name: site for site in old}
    after = {site.name: site for site in new}
    return SitesChanged(
        added=tuple(name for name in after if name not in before),
        changed=tuple(n for n, site in after.items() if n in before and before[n] != site),
        removed=tuple(name for name in before if name not in after),
    )
