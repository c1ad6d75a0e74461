"""The edge of one node: its file, its origins and its rooms, made from the settings and joined.

Owns that part of the composition, for `node`. Holds no policy.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from skerry.adapters.http_hot_way import HotFields
from skerry.adapters.resolver import NameResolver
from skerry.adapters.sqlite_purge_book import SqlitePurgeBook
from skerry.adapters.sqlite_variants import SqliteVariants
from skerry.app.doors.mounted import Mounted
from skerry.app.edge.desk import EdgeDesk
from skerry.app.edge.file import WatchedFile
from skerry.app.edge.sites import EdgeReload, SiteOrigins
from skerry.app.outside import Outside
from skerry.app.prewarm_desk import PrewarmDesk
from skerry.app.settings.schema import Settings
from skerry.app.siblings import sibling_parts
from skerry.app.trust.node_key import NodeKey, ensure_key
from skerry.app.wiring import sites_of
from skerry.cdn.assembly import EdgeParts, EdgeRooms, assemble_edge
from skerry.cdn.backed import BackedVariants
from skerry.cdn.core.route import RouteTable
from skerry.cdn.ports import EdgeUnusable, Entry, PurgeBook, ReadyAnswers, Variants
from skerry.cdn.repeatable import DECISIVE, MOOT
from skerry.cdn.sibling_assembly import SiblingParts
from skerry.cdn.sibling_link import BASE
from skerry.cdn.steward import Steward
from skerry.registry.assembly import Parts
from skerry.telemetry.events import Level
from skerry.telemetry.validation import Cause
from skerry.wire.message import Handler

if TYPE_CHECKING:
    from skerry.app.vault.desk import VaultDesk
    from skerry.cdn.vault.assembly import VaultRooms
    from skerry.cdn.vault.records import Slices

EDGE_FILE = "edge.sqlite"


@dataclass(frozen=True, slots=True)
class OpenEdge:
    """The rooms, the desk of their operator, and what changes their sites."""

    rooms: EdgeRooms
    desk: EdgeDesk
    reload: EdgeReload
    watched: WatchedFile
    variants: Variants
    vault: VaultDesk | None = None

    async def keep_up(self) -> None:
        """Writes noted uses and what could not be written before; tells of a damaged file."""
        await self.rooms.inventory.flush()
        self.rooms.purges.work.go_on()
        self.watched.tell()

    def beside(self, front: Handler) -> Handler:
        """The registry's front, with the siblings' door below its own path."""
        door = self.rooms.siblings.door
        return front if door is None else Mounted(front, prefix=f"{BASE}/", below=door)


def open_edge(
    parts: Parts,
    outside: Outside,
    settings: Settings,
    *,
    ready: ReadyAnswers,
    ends: AsyncExitStack,
    steward: Steward,
) -> OpenEdge:
    """Opens what the edge keeps, and makes its rooms; `ends` gets what must be closed.

    Raises EdgeUnusable, NodeKeyError, BadInput.
    """
    key = ensure_key(settings.node.data_path)
    watched = WatchedFile(settings.node.data_path / EDGE_FILE, parts.events)
    file = watched.file
    ends.push_async_callback(file.close)
    book = SqlitePurgeBook(file)
    origins = SiteOrigins(parts, outside, settings.sites)
    variants: Variants = SqliteVariants(file)
    vault = _vault(
        parts, settings, book.node, table=lambda: rooms.front.table, slices=variants.slices,
        names=outside.names, ends=ends,
    )  # fmt: skip
    if vault is not None:
        variants = BackedVariants(variants, vault.writeback)
    rooms = assemble_edge(
        EdgeParts(
            store=parts.store,
            variants=variants,
            book=book,
            fills=parts.fills,
            origins=origins.by_site,
            misses=origins.misses,
            clock=parts.clock,
            events=parts.events,
            metrics=parts.metrics,
            nursery=parts.nursery,
            node_name=settings.node.name,
            loop_id=parts.node_id,
            chance=parts.chance,
            sign=key.sign,
            ready=ready,
            admits=parts.admits,
            backing=vault.writeback if vault else None,
            deeper=vault.tier if vault else None,
            tiers=lambda entries, purges: (vault.tier,) if vault else (),
            prewarm_bytes_per_second=settings.prewarm.bytes_per_second,
            prewarm_share=settings.prewarm.share_beside_visitors,
            siblings=_siblings(parts, outside, settings, key),
            steward=steward,
        ),
        sites_of(settings),
    )
    ends.push_async_callback(rooms.inventory.flush)
    desk = _desk(settings, rooms, book, key, origins)
    reload = EdgeReload(rooms, origins, variants, changed=parts.changed, nursery=parts.nursery)
    care = None if vault is None else _care(parts, settings, vault, variants, rooms)
    return OpenEdge(rooms, desk, reload, watched, variants, care)


def _siblings(
    parts: Parts, outside: Outside, settings: Settings, key: NodeKey
) -> SiblingParts | None:
    refused = partial(parts.failures.failed, Cause.SIBLING_REFUSED)
    return sibling_parts(settings.siblings, key=key, transport=outside.transport, refused=refused)


def _desk(
    settings: Settings, rooms: EdgeRooms, book: PurgeBook, key: NodeKey, origins: SiteOrigins
) -> EdgeDesk:
    return EdgeDesk(
        table=lambda: rooms.front.table,
        purges=rooms.purges,
        book=book,
        servers=origins.servers,
        spending=origins.misses.statistics,
        key=key,
        prewarm=PrewarmDesk(rooms.prewarm, price_per_gb_micro=settings.prewarm.price_per_gb_micro),
        confirm=rooms.siblings.siblings.confirm,
    )


def _care(
    parts: Parts, settings: Settings, vault: VaultRooms, variants: Variants, rooms: EdgeRooms
) -> VaultDesk:
    from skerry.app.vault.room import EdgeSide, open_care

    side = EdgeSide(variants, rooms.entries, rooms.purges)
    return open_care(parts, settings, vault, side)


def _vault(
    parts: Parts,
    settings: Settings,
    node: str,
    *,
    table: Callable[[], RouteTable],
    slices: Callable[[Entry], Slices],
    names: NameResolver,
    ends: AsyncExitStack,
) -> VaultRooms | None:
    """Late: a node without a vault saves the time and the memory."""
    if not settings.vault.used:
        return None
    from skerry.app.vault.room import open_vault_rooms

    try:
        return open_vault_rooms(
            parts, settings, node=node, table=table, slices=slices, names=names, ends=ends
        )
    except EdgeUnusable as error:
        # Copies are for the long term: without their record the sites are served all the same.
        parts.events.emit(
            "vault.off",
            "vault",
            cause=error.what,
            next_step=error.next_step,
            level=Level.ERROR,
        )
        return None


def hot_fields() -> HotFields:
    """Which requests of the edge's doors may take the fast way."""
    return HotFields(
        harmless=None,
        decisive=frozenset(name.encode() for name in DECISIVE),
        ranges=True,
        moot={name.encode(): other.encode() for name, other in MOOT.items()},
    )
