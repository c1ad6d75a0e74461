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
from skerry.cdn.core.parts import strong_validator
from skerry.cdn.core.purge import Mode, Names, Target, names_it
from skerry.cdn.ports import EdgeUnusable, Entry
from skerry.cdn.vault.ports import (
    Content,
    Copies,
    Due,
    VaultRefused,
    VaultUnavailable,
)
from skerry.cdn.vault.records import Slices, record_name
from skerry.cdn.vault.sealing import VaultKey
from skerry.cdn.vault.sending import Rule, Sending
from skerry.telemetry.events import Events, Level

PENDING_MAX = 10_000
BATCH = 64
GATHER_SECONDS = 5.0
WORKERS = 2
"""Each holds a part and its sealed form: some 16 MiB while it sends."""
FOR_EVER = 1e18


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
        slices: those of an entry that are on this disk.
    """

    def __init__(
        self,
        *,
        sending: Sending,
        copies: Copies,
        key: VaultKey,
        rules: Callable[[CacheKey], Rule],
        slices: Callable[[Entry], Slices],
        clock: Clock,
        chance: Random,
        events: Events,
        limits: Limits,
    ) -> None:
        self._sending = sending
        self._copies = copies
        self._key = key
        self._rules = rules
        self._slices = slices
        self._clock = clock
        self._chance = chance
        self._events = events
        self._limits = limits
        self._pending: OrderedDict[str, Entry] = OrderedDict()
        self._damage: dict[Digest, Content] = {}
        self._stepping, self._noting = asyncio.Lock(), asyncio.Lock()
        self._trouble = ""
        self._failures = 0
        self._rests_until = 0.0
        self._full = False
        self._sent = self._removed = self._failed = self._dropped = 0
        self.nudged = asyncio.Event()

    def want(self, entry: Entry) -> None:
        """Told of every response that is stored here; at most `PENDING_MAX` wait to be noted."""
        if not (self._rules(entry.key).enters or self._known(entry)):
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
            stored = entry.stored
            if not names_it(target, Names(entry.key, stored.groups, stored.surrogate_keys)):
                continue
            if mode is Mode.HARD:
                del self._pending[name]
            else:
                self._pending[name] = replace(entry, stored=replace(stored, invalidated=True))
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
        if not self._rules(entry.key).enters:
            return None
        try:
            slices = self._slices(entry) if entry.slice_bytes else {}
            here = all(self._sending.is_there(digest) for digest, _ in slices.values())
            return here and self._copies.is_safe(entry)
        except EdgeUnusable:
            return False

    async def note(self) -> None:
        """Puts what was wanted on record; does not wait for what is being sent."""
        async with self._noting:
            while self._pending:
                name, entry = self._pending.popitem(last=False)
                await self._note(name, entry)

    async def step(self) -> None:
        """Does everything that is due now, unless the vault is being left alone."""
        await self.note()
        async with self._stepping:
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
            self._sending.sent_bytes,
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
        slices = self._slices(entry) if entry.slice_bytes else {}
        if found is not None and slices:
            if _another(found[1], entry):
                await self._copies.withdraw([found[1]])  # with its slices: they never mix
            else:
                known_slices = self._copies.slices(found[1])
                slices = {n: each for n, each in slices.items() if known_slices.get(n) != each}
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
            if standing.state is not State.LEAVING and _alike(known, entry) and not slices:
                return
            urgent = (known.digest, known.stored.invalidated) != (
                entry.digest, entry.stored.invalidated
            )  # fmt: skip
            # New slices of an object come in numbers: those of a few seconds are sent together.
            at = now + GATHER_SECONDS if slices and not urgent else now
            standing = outbox.step(standing, Changed(at, urgent=urgent or bool(slices)))
        lifetime = rule.lifetime_seconds or self._limits.lifetime_seconds
        await self._copies.put(name, entry, standing, now + lifetime if lifetime else FOR_EVER)
        for number, (digest, size) in slices.items():
            await self._copies.put_slice(entry, number, digest, size)

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
                    await self._sending.remove(content)
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
                await self._sending.delete(due.record)
                event: outbox.Event = Removed(self._clock.now(), standing.revision)
                self._removed += 1
            elif not await self._sending.send(due.record, due.entry):
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

    async def _clear(self) -> None:
        """Deletes bodies that no copy needs any more."""
        while not self._trouble_now():
            orphans = self._copies.orphans(count_max=BATCH)
            for content in orphans:
                try:
                    await self._sending.remove(content, unless_held=True)
                except (VaultUnavailable, VaultRefused) as error:
                    self._rest(error)
                    return
            if len(orphans) < BATCH:
                return

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


def _another(known: Entry, entry: Entry) -> bool:
    """Whether two objects in slices are not the same representation."""
    mine, other = known.stored, entry.stored
    return (strong_validator(mine.headers), mine.size_bytes, known.slice_bytes) != (
        strong_validator(other.headers), other.size_bytes, entry.slice_bytes,
    )  # fmt: skip


def _alike(known: Entry, entry: Entry) -> bool:
    """Whether two entries of a variant say the same, but for when they were used and judged."""
    return replace(known, as_of=entry.as_of, last_used=entry.last_used) == entry
