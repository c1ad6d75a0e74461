"""The vault of one node: its store, its record and its rooms, made from the settings and joined.

Owns that part of the composition, for `edge`; loaded only on a node that has a vault.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, replace

from skerry.adapters.guarded_way import GuardedWay
from skerry.adapters.obstore_vault import CONNECT_SECONDS, Place, open_vault
from skerry.adapters.resolver import NameResolver
from skerry.adapters.sqlite_vault import VAULT, SqliteCopies
from skerry.app.damage import opened
from skerry.app.settings.schema import Settings
from skerry.app.vault.desk import VaultDesk
from skerry.app.vault.files import ensure_vault_key, key_path, read_credentials
from skerry.base.digest import Digest
from skerry.base.errors import SkerryError
from skerry.cdn.core.purge import Names
from skerry.cdn.core.purge_log import Verdict
from skerry.cdn.core.route import RouteTable
from skerry.cdn.entries import Entries
from skerry.cdn.ports import Entry, Variants
from skerry.cdn.purges import Mark, Purges
from skerry.cdn.vault.assembly import VaultParts, VaultRooms, assemble_vault, rule_of
from skerry.cdn.vault.care import Care
from skerry.cdn.vault.counted import CountedVault
from skerry.cdn.vault.records import Slices
from skerry.cdn.vault.restoring import Restoring
from skerry.cdn.vault.sealing import VaultKey
from skerry.cdn.vault.told import CareParts
from skerry.cdn.vault.upkeep import VaultUpkeep
from skerry.cdn.vault.writeback import Limits
from skerry.registry.assembly import Parts
from skerry.upstream.core.guard import place_of
from skerry.upstream.refusals import Refusals

VAULT_FILE = "vault.sqlite"


def open_vault_rooms(
    parts: Parts,
    settings: Settings,
    *,
    node: str,
    table: Callable[[], RouteTable],
    slices: Callable[[Entry], Slices],
    names: NameResolver,
    ends: AsyncExitStack,
) -> VaultRooms:
    """Opens the record and makes the rooms; dials nothing yet. `node` is the purge book's name.

    Raises VaultKeyError, CredentialsError, VaultRefused, EdgeUnusable.
    """
    given = settings.vault
    key = VaultKey(ensure_vault_key(key_path(given.key_file, settings.node.data_path)))
    place = Place(
        given.url,
        endpoint=given.endpoint,
        region=given.region,
        path_style=given.path_style,
        plain_http=given.plain_http,
        ca_file=given.ca_file,
        proxy_url=_way(parts, settings, names=names, ends=ends),
        credentials=read_credentials(given.url, given.credentials_file, os.environ),
    )
    calls = parts.metrics.counter("skerry_vault_calls", "Calls of the vault's object store.")
    vault = CountedVault(open_vault(place), calls.add)
    ends.push_async_callback(vault.close)
    file, _ = opened(settings.node.data_path / VAULT_FILE, VAULT, parts.events)
    ends.push_async_callback(file.close)
    return assemble_vault(
        VaultParts(
            vault=vault,
            copies=SqliteCopies(file),
            store=parts.store,
            key=key,
            draw=os.urandom,
            table=table,
            node=node,
            clock=parts.clock,
            chance=parts.chance,
            events=parts.events,
            metrics=parts.metrics,
            limits=Limits(given.copies_waiting_max, given.lifetime.public_seconds),
            bytes_per_second=given.bytes_per_second,
            slices=slices,
            rotten=lambda digest: _check(parts, digest),
        )
    )


def _way(parts: Parts, settings: Settings, *, names: NameResolver, ends: AsyncExitStack) -> str:
    """How the store is dialled; "" for one that is not. Its endpoint may be inside, and nothing
    else that it redirects to."""
    given = settings.vault
    if given.url.startswith("file:"):
        return ""
    refusals = Refusals(parts.failures, parts.events, "vault")
    way = GuardedWay(
        names=names,
        nursery=parts.nursery,
        private_hosts=frozenset({place_of(given.endpoint)} - {""}),
        plain_http=given.plain_http,
        connect_seconds=CONNECT_SECONDS,
        refused=refusals.dialled,
    )
    ends.push_async_callback(way.close)
    return way.open()


@dataclass(frozen=True, slots=True)
class EdgeSide:
    """What looking after the copies needs of the edge."""

    variants: Variants
    entries: Entries
    purges: Purges


def open_care(parts: Parts, settings: Settings, vault: VaultRooms, edge: EdgeSide) -> VaultDesk:
    """Verify, repair and restore for the operator, and the loops, begun in the node's nursery."""
    given, purges = settings.vault, edge.purges

    def mark_of(entry: Entry) -> Mark:
        return replace(purges.mark(), purges=entry.as_of)

    def purged(entry: Entry) -> bool:
        stored = entry.stored
        names = Names(entry.key, stored.groups, stored.surrogate_keys)
        return purges.verdict(names, mark_of(entry)) is Verdict.HARD

    made = CareParts(
        vault=vault.parts.vault,
        copies=vault.copies,
        bodies=vault.bodies,
        tier=vault.tier,
        writeback=vault.writeback,
        store=parts.store,
        variants=edge.variants,
        fills=parts.fills,
        key=vault.parts.key,
        rules=lambda key: rule_of(vault.parts.table(), key),
        check=parts.check or parts.store.verify,
        node=purges.node,
        position=lambda: purges.mark().purges,
        purged=purged,
        keep=lambda entry: edge.entries.keep(entry, mark_of(entry)),
        clock=parts.clock,
        chance=parts.chance,
        events=parts.events,
        lifetime_seconds=given.lifetime.public_seconds,
        read_micros_per_gib=given.read_micros_per_gib,
    )
    care = Care(made)
    VaultUpkeep(
        writeback=vault.writeback,
        care=care,
        copies=vault.copies,
        clock=parts.clock,
        events=parts.events,
        verify_seconds=given.verify_period_seconds,
    ).start(parts.nursery)
    path = key_path(given.key_file, settings.node.data_path)
    return VaultDesk(vault, care, Restoring(made, care.heal), url=given.url, key_file=path)


def _check(parts: Parts, digest: Digest) -> None:
    """Has the housekeeper look at a body that read wrong when it was to be sent."""

    async def look() -> None:
        if parts.check is not None:
            with suppress(SkerryError):
                await parts.check(digest)

    parts.nursery.start(look(), name="vault.check")
