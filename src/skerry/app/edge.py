"""The edge of one node: its file, its origins and its rooms, made from the settings and joined.

Owns that part of the composition, for `node`. Holds no policy.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from skerry.adapters.sqlite_edge_file import EdgeFile
from skerry.adapters.sqlite_purge_book import SqlitePurgeBook
from skerry.adapters.sqlite_variants import SqliteVariants
from skerry.app.edge_desk import EdgeDesk
from skerry.app.node_key import ensure_key
from skerry.app.outside import Outside
from skerry.app.settings import Settings, SiteSettings
from skerry.app.wiring import servers_of, sites_of
from skerry.cdn.assembly import EdgeParts, EdgeRooms, assemble_edge
from skerry.cdn.backed import BackedVariants
from skerry.cdn.core.route import build
from skerry.cdn.ports import Origin, Variants
from skerry.registry.assembly import Parts
from skerry.upstream.origin import OriginClient
from skerry.upstream.ports import Exchange
from skerry.upstream.sources import Upstream
from skerry.wire.message import Headers, Interim

if TYPE_CHECKING:
    from skerry.app.vault_desk import VaultDesk
    from skerry.cdn.vault.assembly import VaultRooms

EDGE_FILE = "edge.sqlite"


@dataclass(frozen=True, slots=True)
class OpenEdge:
    """The rooms, and the desk of their operator."""

    rooms: EdgeRooms
    desk: EdgeDesk
    vault: VaultDesk | None = None


def open_edge(
    parts: Parts, outside: Outside, settings: Settings, *, ends: AsyncExitStack
) -> OpenEdge:
    """Opens what the edge keeps, and makes its rooms; `ends` gets what must be closed.

    Raises EdgeUnusable, NodeKeyError.
    """
    key = ensure_key(settings.node.data_path)
    file = EdgeFile(settings.node.data_path / EDGE_FILE)
    ends.push_async_callback(file.close)
    book = SqlitePurgeBook(file)
    clients = {site.name: _client(site, parts, outside) for site in settings.sites}
    sites = sites_of(settings)
    variants: Variants = SqliteVariants(file)
    vault: VaultRooms | None = None
    if settings.vault.used:
        # Late: a node without a vault saves the time and the memory.
        from skerry.app.vault import open_vault_rooms

        vault = open_vault_rooms(
            parts, settings, node=book.node, table=lambda: rooms.front.table, ends=ends
        )
        variants = BackedVariants(variants, vault.writeback)
    rooms = assemble_edge(
        EdgeParts(
            store=parts.store,
            variants=variants,
            book=book,
            fills=parts.fills,
            origins=_origins(settings, clients),
            clock=parts.clock,
            events=parts.events,
            metrics=parts.metrics,
            nursery=parts.nursery,
            node_name=settings.node.name,
            loop_id=parts.node_id,
            chance=parts.chance,
            sign=key.sign,
            admits=parts.admits,
            backing=vault.writeback if vault else None,
            tiers=lambda entries, purges: (vault.tier,) if vault else (),
        ),
        sites,
    )
    ends.push_async_callback(rooms.inventory.flush)
    desk = EdgeDesk(
        table=build(sites),
        purges=rooms.purges,
        book=book,
        servers=lambda: {name: each.statistics().sources for name, each in clients.items()},
        key=key,
        changed=parts.changed,
    )
    if vault is None:
        return OpenEdge(rooms, desk)
    from skerry.app.vault import EdgeSide, open_care

    side = EdgeSide(variants, rooms.entries, rooms.purges)
    return OpenEdge(rooms, desk, open_care(parts, settings, vault, side))


def _origins(settings: Settings, clients: Mapping[str, OriginClient]) -> dict[str, Origin]:
    return {
        site.name: clients[site.name] if site.preserve_host else OwnHost(clients[site.name])
        for site in settings.sites
    }


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


def _client(site: SiteSettings, parts: Parts, outside: Outside) -> OriginClient:
    return OriginClient(
        Upstream(site.name, servers_of(site)),
        transport=outside.transport,
        clock=parts.clock,
        events=parts.events,
        metrics=outside.metrics,
        rng=parts.chance,
    )
