"""A whole edge with a vault behind it, over memory twins."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from random import Random

from skerry.adapters.sqlite_edge_file import EdgeFile
from skerry.adapters.sqlite_file import SqliteFile
from skerry.adapters.sqlite_vault import VAULT, SqliteCopies
from skerry.base.digest import Digest, digest_of
from skerry.cdn.core.purge import Mode, Names, by_prefix
from skerry.cdn.core.purge_log import Verdict
from skerry.cdn.core.route import Route
from skerry.cdn.ports import Entry
from skerry.cdn.purges import Mark
from skerry.cdn.vault.assembly import VaultParts, VaultRooms, assemble_vault, rule_of
from skerry.cdn.vault.care import Care
from skerry.cdn.vault.ports import Vault
from skerry.cdn.vault.restoring import Restoring
from skerry.cdn.vault.sealing import VaultKey
from skerry.cdn.vault.testing import MemoryVault
from skerry.cdn.vault.told import CareParts, Told
from skerry.cdn.vault.writeback import Limits
from skerry.store.testing import MemoryStore
from tests.cdn.world import World

KEY = VaultKey(bytes(range(32)))


class Vaulted:
    """An edge and its vault. `start` makes another node of what the first left behind."""

    def __init__(
        self,
        *routes: Route,
        vault: Vault | None = None,
        limits: Limits | None = None,
        part_chunks: int = 16,
        slice_bytes: int | None = None,
    ) -> None:
        self.memory = MemoryVault()
        self.vault: Vault = vault or self.memory
        self.routes = routes
        self.limits = limits or Limits()
        self.part_chunks = part_chunks
        self.slice_bytes = slice_bytes
        self.chance = Random(11)
        self.edge_file, self.vault_file = EdgeFile(None), SqliteFile(None, VAULT)
        self.rooms: VaultRooms
        self.start()

    def start(self, *, wiped: bool = False, store: MemoryStore | None = None) -> World:
        """The node anew: after a crash with what was durable, `wiped` with nothing."""
        if wiped:
            self.edge_file, self.vault_file = EdgeFile(None), SqliteFile(None, VAULT)
        kept = None if wiped or not hasattr(self, "world") else self.world.store
        self.world = World(
            file=self.edge_file,
            store=store or kept,
            clock=self.world.clock if hasattr(self, "world") else None,
            routes=self.routes,
            slice_bytes=self.slice_bytes,
            make_vault=self._make,
        )
        return self.world

    def _make(self, world: World) -> VaultRooms:
        self.rooms = assemble_vault(
            VaultParts(
                vault=self.vault,
                copies=SqliteCopies(self.vault_file),
                store=world.store,
                key=KEY,
                draw=self.chance.randbytes,
                table=lambda: world.rooms.front.table,
                node=world.book.node,
                clock=world.clock,
                chance=self.chance,
                events=world.events,
                metrics=world.metrics,
                limits=self.limits,
                slices=world.variants.slices,
                part_chunks=self.part_chunks,
            )
        )
        return self.rooms

    @property
    def care(self) -> Care:
        return Care(self.care_parts())

    @property
    def restoring(self) -> Restoring:
        return Restoring(self.care_parts(), self.care.heal)

    def care_parts(self) -> CareParts:
        world, rooms = self.world, self.rooms
        purges = world.rooms.purges

        def mark_of(entry: Entry) -> Mark:
            return replace(purges.mark(), purges=entry.as_of)

        def purged(entry: Entry) -> bool:
            names = Names(entry.key, entry.stored.groups, entry.stored.surrogate_keys)
            return purges.verdict(names, mark_of(entry)) is Verdict.HARD

        async def check(digest: Digest) -> bool:
            return await world.store.verify(digest)

        return CareParts(
            vault=self.vault,
            copies=rooms.copies,
            bodies=rooms.bodies,
            tier=rooms.tier,
            writeback=rooms.writeback,
            store=world.store,
            variants=world.variants,
            fills=world.fills,
            key=KEY,
            rules=lambda key: rule_of(world.rooms.front.table, key),
            check=check,
            node=purges.node,
            position=lambda: purges.mark().purges,
            purged=purged,
            keep=lambda entry: world.rooms.entries.keep(entry, mark_of(entry)),
            clock=world.clock,
            chance=self.chance,
            events=world.events,
            read_micros_per_gib=90_000,
        )

    async def told(self, lines: AsyncIterator[Told]) -> list[Told]:
        """Every line of what care tells."""
        return [line async for line in lines]

    async def fill(self, target: str, body: bytes, *fields: str) -> None:
        """Has the node store a page and send its copy."""
        self.world.page(target, body, *fields)
        status, got, _ = await self.world.get(target)
        assert (status, got) == (200, body)
        await self.world.settle()
        await self.rooms.writeback.step()

    async def evict(self, target: str, body: bytes) -> None:
        """What eviction does: the entry is forgotten, then the bytes go."""
        for entry in list(self.world.variants.all()):
            if entry.key.target == target:
                await self.world.variants.remove([entry])
        await self.world.store.delete(digest_of(body))

    async def purge(self, path: str, mode: Mode = Mode.HARD) -> int:
        target = by_prefix(scheme="http", authority="www.example.org", path=path)
        ordered = await self.world.rooms.purges.purge(target, mode)
        return ordered.receipt.object_count

    async def wait_for(self, ready: Callable[[], bool], seconds_max: float = 5000.0) -> None:
        """Moves the clock and works the outbox until something is so."""
        spent = 0.0
        while not ready():
            assert spent < seconds_max, self.rooms.writeback.statistics()
            self.world.clock.advance(5.0)
            spent += 5.0
            await self.rooms.writeback.step()

    async def close(self) -> None:
        await self.world.close()
