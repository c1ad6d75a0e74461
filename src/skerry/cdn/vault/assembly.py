"""The vault's rooms, made and joined, and the loop that keeps them going.

Owns the order in which they need each other, and when the outbox is worked on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from skerry.base.clock import Clock
from skerry.base.digest import Digest
from skerry.cdn.core.key import CacheKey
from skerry.cdn.core.route import Matched, RouteTable
from skerry.cdn.ports import DataClass, Entry
from skerry.cdn.vault.bodies import Bodies
from skerry.cdn.vault.ports import Copies, Vault
from skerry.cdn.vault.records import Slices
from skerry.cdn.vault.sealing import PART_CHUNKS, Draw, VaultKey
from skerry.cdn.vault.sending import Rule, Sending
from skerry.cdn.vault.tier import VaultTier
from skerry.cdn.vault.writeback import Limits, WriteBack
from skerry.store.ports import Store
from skerry.telemetry.events import Events
from skerry.telemetry.metrics import Registry
from skerry.upstream.core.limits import Pace, pay

UNKNOWN = Rule(DataClass.SENSITIVE, copied=False)


@dataclass(frozen=True, slots=True)
class VaultParts:
    """What the vault tier stands on.

    Attributes:
        table: the routes that hold now.
        node: whose purge log positions are: the book's name.
        slices: those of an entry that are on this disk.
        rotten: told a digest that this disk no longer holds as it was.
        bytes_per_second: what may be sent; 0 for no limit.
    """

    vault: Vault
    copies: Copies
    store: Store
    key: VaultKey
    draw: Draw
    table: Callable[[], RouteTable]
    node: str
    clock: Clock
    chance: Random
    events: Events
    metrics: Registry
    limits: Limits
    bytes_per_second: int = 0
    part_chunks: int = PART_CHUNKS
    slices: Callable[[Entry], Slices] = lambda entry: {}
    rotten: Callable[[Digest], None] = lambda digest: None


@dataclass(frozen=True, slots=True)
class VaultRooms:
    """The vault tier of one node."""

    tier: VaultTier
    writeback: WriteBack
    bodies: Bodies
    copies: Copies
    parts: VaultParts


class Pacer:
    """Waits so long that what is sent keeps to a rate."""

    def __init__(self, bytes_per_second: int, clock: Clock) -> None:
        self._pace = Pace(bytes_per_second)
        self._clock = clock

    async def __call__(self, count: int) -> None:
        """Before `count` bytes are sent."""
        self._pace, wait = pay(self._pace, count, self._clock.monotonic())
        if wait > 0:
            await self._clock.sleep(wait)


def rule_of(table: RouteTable, key: CacheKey) -> Rule:
    """What the settings say of a key; what no route names is sensitive."""
    found = table.match(host=key.host, path=key.path, method="GET")
    if not isinstance(found, Matched):
        return UNKNOWN
    route = found.route
    return Rule(route.policy.data_class, route.vaulted, route.vault_seconds)


def assemble_vault(parts: VaultParts) -> VaultRooms:
    """Makes and joins the rooms; starts nothing."""
    bodies = Bodies(
        vault=parts.vault,
        copies=parts.copies,
        store=parts.store,
        key=parts.key,
        draw=parts.draw,
        now=parts.clock.now,
        pace=Pacer(parts.bytes_per_second, parts.clock),
        part_chunks=parts.part_chunks,
    )

    def rules(key: CacheKey) -> Rule:
        return rule_of(parts.table(), key)

    sending = Sending(
        vault=parts.vault,
        copies=parts.copies,
        bodies=bodies,
        key=parts.key,
        draw=parts.draw,
        rules=rules,
        node=parts.node,
        rotten=parts.rotten,
    )
    writeback = WriteBack(
        sending=sending,
        copies=parts.copies,
        key=parts.key,
        rules=rules,
        slices=parts.slices,
        clock=parts.clock,
        chance=parts.chance,
        events=parts.events,
        limits=parts.limits,
    )
    tier = VaultTier(
        copies=parts.copies,
        bodies=bodies,
        key=parts.key,
        clock=parts.clock,
        classify=lambda key: _class_of(rules(key)),
        damaged=writeback.damaged,
    )
    _gauges(parts, writeback)
    return VaultRooms(tier, writeback, bodies, parts.copies, parts)


def _class_of(rule: Rule) -> DataClass:
    return rule.data_class if rule.copied else DataClass.SENSITIVE


def _gauges(parts: VaultParts, writeback: WriteBack) -> None:
    metrics, copies = parts.metrics, parts.copies

    def standing() -> dict[tuple[str, ...], float]:
        now = copies.statistics()
        return {
            ("there",): now.there_count,
            ("waiting",): now.waiting_count,
            ("leaving",): now.leaving_count,
        }

    metrics.gauge(
        "skerry_vault_copies", "Copies by where they stand: the outbox is waiting and leaving.",
        standing, {"state": ("there", "waiting", "leaving")},
    )  # fmt: skip
    metrics.gauge(
        "skerry_vault_bytes", "Bytes of the bodies whose copies are confirmed, before sealing.",
        lambda: {(): copies.statistics().plain_bytes},
    )  # fmt: skip
    metrics.gauge(
        "skerry_vault_reachable", "1 while the vault takes what is sent, 0 while it does not.",
        lambda: {(): 0 if writeback.statistics().trouble else 1},
    )  # fmt: skip
    metrics.tally(
        "skerry_vault_work", "What was done since start: copies sent, removed, failed, dropped.",
        lambda: {
            ("sent",): writeback.statistics().sent_count,
            ("removed",): writeback.statistics().removed_count,
            ("failed",): writeback.statistics().failed_count,
            ("dropped",): writeback.statistics().dropped_count,
        },
        {"outcome": ("sent", "removed", "failed", "dropped")},
    )  # fmt: skip
