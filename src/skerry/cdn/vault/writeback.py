"""What is stored here gets a copy in the vault, behind everybody's back and until it is there.

Owns who is sent when: the outbox's work, its bounds, the rest after a failure, what leaves. Every
copy is judged by its route at the moment it is sent, not only when it was queued. Never answers a
client and never holds one up: without the vault the node serves as before.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random

from skerry.aio.each import each
from skerry.base.clock import Clock
from skerry.base.digest import Digest
from skerry.base.errors import SkerryError
from skerry.cdn.core import outbox
from skerry.cdn.core.key import CacheKey
from skerry.cdn.core.outbox import Changed, Confirmed, Failed, Removed, Standing, State
from skerry.cdn.core.purge import Mode, Target
from skerry.cdn.ports import DataClass, EdgeUnusable, Entry
from skerry.cdn.vault.bodies import Bodies
from skerry.cdn.vault.ports import (
    Content,
    Copies,
    Due,
    NotPublic,
    Offer,
    Vault,
    VaultRefused,
    VaultUnavailable,
)
from skerry.cdn.vault.records import Record, record_name, write
from skerry.cdn.vault.sealing import META_BYTES_MAX, Draw, VaultKey, seal_header
from skerry.store.ports import BlobMissing, DigestMismatch
from skerry.telemetry.events import Events, Level

PENDING_MAX = 10_000
BATCH = 64
WORKERS = 2
"""Each holds a part and its sealed form: some 16 MiB while it sends."""
FOR_EVER = 1e18


@dataclass(frozen=True, slots=True)
class Rule:
    """What the settings say of a key: its class, whether it may be copied, and for how long."""

    data_class: DataClass
    copied: bool
    lifetime_seconds: float | None = None

    @property
    def enters(self) -> bool:
        """Whether a copy may be in the vault: unknown class means sensitive."""
        return self.copied and self.data_class is DataClass.PUBLIC


@dataclass(frozen=True, slots=True)
class Limits:
    """Copies that may wait, and how long one is kept by default; None for ever."""

    waiting_max: int = 100_000
    lifetime_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class WriteBackStatistics:
    """A snapshot; counts are since start. `trouble` is why the vault is left alone, "" if not."""

    pending_count: int
    sent_count: int
    sent_bytes: int
    removed_count: int
    failed_count: int
    dropped_count: int
    trouble: str


class WriteBack:
    """The outbox of one node at work.

    Args:
        rules: what holds for a key now.
        node: whose purge log positions are.
        rotten: told a digest that this disk no longer holds as it was; must not block.
    """

    def __init__(
        self,
        *,
        vault: Vault,
        copies: Copies,
        bodies: Bodies,
        key: VaultKey,
        draw: Draw,
        rules: Callable[[CacheKey], Rule],
        node: str,
        clock: Clock,
        chance: Random,
        events: Events,
        limits: Limits | None = None,
        rotten: Callable[[Digest], None] = lambda digest: None,
    ) -> None:
        self._vault = vault
        self._copies = copies
        self._bodies = bodies
        self._key = key
        self._draw = draw
        self._rules = rules
        self._node = node
        self._clock = clock
        self._chance = chance
        self._events = events
        self._limits = limits or Limits()
        self._rotten = rotten
        self._pending: OrderedDict[str, Entry] = OrderedDict()
        self._damage: dict[Digest, Content] = {}
        self._bodies_busy: dict[Digest, asyncio.Lock] = {}
        self._stepping = asyncio.Lock()
        self._trouble = ""
        self._failures = 0
        self._rests_until = 0.0
        self._full = False
        self._sent = self._removed = self._failed = self._dropped = 0
        self.nudged = asyncio.Event()

    def want(self, entry: Entry) -> None:
        """Told of every response that is stored here; at most `PENDING_MAX` wait to be noted."""
        if entry.slice_bytes or not (self._rules(entry.key).enters or self._known(entry)):
            return
        name = record_name(self._key, entry)
        self._pending[name] = entry
        self._pending.move_to_end(name)
        if len(self._pending) > PENDING_MAX:
            self._pending.popitem(last=False)
            self._dropped += 1  # a later look at the whole index finds it
        self.nudged.set()

    def damaged(self, content: Content) -> None:
        """Told of a body in the vault that is not what was sent."""
        self._damage[content.digest] = content
        self.nudged.set()

    async def purge(self, target: Target, mode: Mode) -> int:
        """Durable when this returns: HARD copies are to be deleted, SOFT ones are marked."""
        for name, entry in list(self._pending.items()):
            await self._note(name, entry)
        count = await self._copies.purge(target, mode)
        self.nudged.set()
        return count

    async def clear(self) -> None:
        """Everything counts as purged: every copy is to be deleted."""
        self._pending.clear()
        await self._copies.clear()
        self.nudged.set()

    def safe(self, entry: Entry) -> bool | None:
        """Whether the entry's body is safely in the vault; None when it does not go there."""
        if entry.slice_bytes or not self._rules(entry.key).enters:
            return None
        try:
            return self._copies.is_safe(entry)
        except EdgeUnusable:
            return False

    async def step(self) -> None:
        """Does everything that is due now, unless the vault is being left alone."""
        async with self._stepping:
            while self._pending:
                name, entry = self._pending.popitem(last=False)
                await self._note(name, entry)
            if self._clock.monotonic() < self._rests_until:
                return
            await self._mend()
            tried: set[tuple[str, int]] = set()
            while not self._trouble_now():
                due = self._copies.due(self._clock.now(), count_max=BATCH)
                due = [one for one in due if (one.record, one.standing.revision) not in tried]
                if not due:
                    break
                tried |= {(one.record, one.standing.revision) for one in due}
                await each(due, self._work, at_once=WORKERS)
            await self._clear()

    async def expire(self) -> int:
        """Withdraws what is past its time, and what its route no longer lets in; how many."""
        expired = self._copies.expired(self._clock.now(), count_max=BATCH)
        if expired:
            await self._copies.withdraw(expired)
            self.nudged.set()
        return len(expired)

    def statistics(self) -> WriteBackStatistics:
        return WriteBackStatistics(
            len(self._pending),
            self._sent,
            self._bodies.sent_bytes,
            self._removed,
            self._failed,
            self._dropped,
            self._trouble,
        )

    def _known(self, entry: Entry) -> bool:
        try:
            return self._copies.standing_of(entry) is not None
        except EdgeUnusable:
            return False

    async def _note(self, name: str, entry: Entry) -> None:
        self._pending.pop(name, None)
        rule, now = self._rules(entry.key), self._clock.now()
        found = self._copies.standing_of(entry)
        if not rule.enters:
            if found is not None:
                await self._copies.withdraw([found[1]])
            return
        if found is None:
            if self._is_full():
                return
            standing = Standing(due_at=now)
        else:
            standing, known = found
            if standing.state is not State.LEAVING and _alike(known, entry):
                return
            urgent = (known.digest, known.stored.invalidated) != (
                entry.digest, entry.stored.invalidated
            )  # fmt: skip
            standing = outbox.step(standing, Changed(now, urgent))
        lifetime = rule.lifetime_seconds or self._limits.lifetime_seconds
        await self._copies.put(name, entry, standing, now + lifetime if lifetime else FOR_EVER)

    def _is_full(self) -> bool:
        full = self._copies.statistics().waiting_count >= self._limits.waiting_max
        if full:
            self._dropped += 1
        if full and not self._full:
            self._events.emit(
                "vault.outbox_full",
                "vault",
                cause=f"{self._limits.waiting_max} copies wait",
                next_step="see why with skerry vault status; the rest is sent when there is room",
                level=Level.WARNING,
            )
        self._full = full
        return full

    async def _mend(self) -> None:
        """Damaged bodies are deleted, so that they can be sent again under their name."""
        while self._damage:
            digest, content = next(iter(self._damage.items()))
            known = self._copies.content(digest)
            if known is not None and known.header == content.header:
                try:
                    async with self._body(digest):
                        await self._bodies.remove(content)
                except (VaultUnavailable, VaultRefused) as error:
                    self._rest(error)
                    return
                self._events.emit(
                    "vault.damaged",
                    str(digest),
                    cause="what lies in the vault is not what was sent",
                    next_step="it is sent again from this disk, if it is here",
                    level=Level.ERROR,
                )
                await self._copies.send_again(digest, self._clock.now())
            self._damage.pop(digest, None)

    async def _work(self, due: Due) -> None:
        if self._trouble_now():
            return
        standing = due.standing
        try:
            if due.entry is None or standing.state is State.LEAVING:
                await self._vault.delete(due.record)
                event: outbox.Event = Removed(self._clock.now(), standing.revision)
                self._removed += 1
            elif not await self._send(due.record, due.entry):
                return
            else:
                event = Confirmed(self._clock.now(), standing.revision)
                self._sent += 1
        except (VaultUnavailable, VaultRefused) as error:
            self._rest(error)
            event = Failed(self._clock.now(), self._chance.random())
        except SkerryError as error:
            self._told(error)
            event = Failed(self._clock.now(), self._chance.random())
        else:
            self._recovered()
        after = outbox.step(standing, event)
        if after.state is State.GONE:
            await self._copies.forget(due.record)
        else:
            await self._copies.move(due.record, after)

    async def _send(self, name: str, entry: Entry) -> bool:
        """The body, then the record; whether both are there. One that may not go is withdrawn."""
        if not self._rules(entry.key).enters:
            await self._copies.withdraw([entry])
            return False
        try:
            if entry.digest is not None:
                async with self._body(entry.digest):
                    await self._bodies.send(entry.digest, lambda: self._class_of(entry.key))
            await self._send_record(name, entry)
        except DigestMismatch:
            self._rotten(entry.digest)  # type: ignore[arg-type]
            await self._copies.withdraw([entry])
            return False
        except (BlobMissing, NotPublic):
            await self._copies.withdraw([entry])
            return False
        return True

    async def _send_record(self, name: str, entry: Entry) -> None:
        data_class = self._class_of(entry.key)
        record = Record(entry, data_class, self._node, self._copies.slices(entry))
        meta = write(record)
        if len(meta) > META_BYTES_MAX:
            raise BlobMissing("an entry is too long for the vault")
        sealed = seal_header(self._key, name, meta, draw=self._draw)
        await self._vault.put(Offer(name, sealed.sealed, data_class), replace=True)

    async def _clear(self) -> None:
        """Deletes bodies that no copy needs any more."""
        while not self._trouble_now():
            orphans = self._copies.orphans(count_max=BATCH)
            for content in orphans:
                async with self._body(content.digest):
                    if self._copies.holds(content.digest):
                        continue
                    try:
                        await self._bodies.remove(content)
                    except (VaultUnavailable, VaultRefused) as error:
                        self._rest(error)
                        return
            if len(orphans) < BATCH:
                return

    def _class_of(self, key: CacheKey) -> DataClass:
        rule = self._rules(key)
        return rule.data_class if rule.copied else DataClass.SENSITIVE

    def _body(self, digest: Digest) -> asyncio.Lock:
        """One at a time for each body; a lock nobody waits for is forgotten."""
        for other in [d for d, lock in self._bodies_busy.items() if not lock.locked()]:
            del self._bodies_busy[other]
        return self._bodies_busy.setdefault(digest, asyncio.Lock())

    def _trouble_now(self) -> bool:
        return self._clock.monotonic() < self._rests_until

    def _rest(self, error: SkerryError) -> None:
        """Leaves the vault alone for a while; told once for each outage."""
        self._failed += 1
        if self._trouble_now():
            return  # another worker has said so
        wait = outbox.backoff_seconds(self._failures, self._chance.random())
        self._failures += 1
        self._rests_until = self._clock.monotonic() + wait
        if not self._trouble:
            self._events.emit(
                "vault.unavailable",
                "vault",
                cause=error.what,
                next_step=error.next_step,
                level=Level.WARNING,
            )
        self._trouble = error.what

    def _recovered(self) -> None:
        if self._trouble:
            self._events.emit("vault.available", "vault", cause="it takes copies again")
        self._trouble, self._failures = "", 0

    def _told(self, error: SkerryError) -> None:
        self._failed += 1
        self._events.emit(
            "vault.not_sent",
            "vault",
            cause=error.what,
            next_step=error.next_step,
            level=Level.WARNING,
        )


def _alike(known: Entry, entry: Entry) -> bool:
    """Whether two entries of a variant say the same, but for when they were used and judged."""
    return replace(known, as_of=entry.as_of, last_used=entry.last_used) == entry
