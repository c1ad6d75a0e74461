"""Purging and invalidating: in force at once, on record, with a receipt.

Owns what is in force: the operator's purges and those of siblings, which are durable and numbered,
and invalidations by unsafe requests, which concern only what is here now. Never decides what a
purge names: that is `core.purge`; `purge_work` brings it to the disk. RFC 9111 section 4.4,
RFC 9875.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from skerry.aio.tasks import Nursery
from skerry.base.chain import Sign
from skerry.base.clock import Clock
from skerry.cdn.core.key import CacheKey, key_digest
from skerry.cdn.core.purge import Kind, Mode, Names, Target
from skerry.cdn.core.purge_log import LogStatistics, Missed, PurgeLog, Took, Verdict
from skerry.cdn.core.receipt import Receipt
from skerry.cdn.ports import EdgeUnusable, Entry, PurgeBook, ReadyAnswers, Variants
from skerry.cdn.purge_work import Job, PurgeWork, PurgeWorkStatistics
from skerry.telemetry.events import Events, Level

INVALIDATIONS_MAX = 10_000
"""In force for what is under way; older ones are folded into one over everything under way."""
ORDERED_MAX = 1000
"""Own purges of this run that are remembered, should the log prove to be an old copy."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Where both logs stood when something was asked for."""

    purges: int
    invalidations: int


@dataclass(frozen=True, slots=True)
class Ordered:
    """A purge on record: the number that siblings confirm, and its receipt."""

    sequence: int
    receipt: Receipt


@dataclass(frozen=True, slots=True)
class PurgesStatistics:
    """A snapshot; counts are since start."""

    log: LogStatistics
    work: PurgeWorkStatistics
    invalidation_count: int


class Purges:
    """Takes purges and tells what they mean for an object."""

    def __init__(
        self,
        *,
        variants: Variants,
        book: PurgeBook,
        clock: Clock,
        nursery: Nursery,
        events: Events,
        sign: Sign,
        ready: ReadyAnswers,
    ) -> None:
        self._variants = variants
        self._book = book
        self._clock = clock
        self._events = events
        self._ready = ready
        position, vector = book.base()
        self._log = PurgeLog(book.node, position=position, vector=vector)
        self.work = PurgeWork(
            log=self._log,
            variants=variants,
            book=book,
            nursery=nursery,
            events=events,
            sign=sign,
        )
        self._invalidations = PurgeLog("invalidations", rules_max=INVALIDATIONS_MAX)
        self._settled_invalidations = 0
        self._unsettled = False
        self._ordered: deque[tuple[Target, Mode]] = deque(maxlen=ORDERED_MAX)
        self._invalidated = 0

    @property
    def node(self) -> str:
        """This node's name in the purge log."""
        return self._log.node

    @property
    def vector(self) -> dict[str, int]:
        """The last purge of every node that is in force here."""
        return self._log.vector

    @property
    def durable(self) -> dict[str, int]:
        """The same, as far as it would survive the loss of power."""
        return dict(self.work.vector)

    def mark(self) -> Mark:
        """To be taken before a request to an origin leaves."""
        return Mark(self._log.position, self._invalidations.position)

    def verdict(self, names: Names, since: Mark) -> Verdict:
        """What was ordered after `since` for an object with these names."""
        found = self._log.verdict(names, as_of=since.purges)
        if found is Verdict.HARD:
            return found
        other = self._invalidations.verdict(names, as_of=since.invalidations)
        # A write never does more than that, also where many of them were folded into one.
        return found if other is Verdict.NONE else Verdict.SOFT

    def written(self, key: CacheKey) -> bool:
        """Whether a write by a client has lately made this URL invalid (section 4.4)."""
        log = self._invalidations
        return log.verdict(Names(key), as_of=log.base[0]) is not Verdict.NONE

    def mark_of(self, entry: Entry) -> Mark:
        """The mark of an entry that the index gave: it already bears what is settled there."""
        return Mark(max(entry.as_of, self.work.settled), self._settled_invalidations)

    async def purge(self, target: Target, mode: Mode) -> Ordered:
        """In force from the call on; durable and on record when this returns.

        Raises EdgeUnusable when it could not be recorded: it is in force all the same, until a
        restart, and is recorded as soon as that works again. A caller that leaves stops nothing.
        """
        self._ordered.append((target, mode))
        sequence, job = self._order(target, mode)
        self._forget_ready(target)
        receipt = await asyncio.shield(job.done)
        if receipt is None:
            raise EdgeUnusable("the purge is in force, but there is no receipt of it")
        return Ordered(sequence, receipt)

    async def learn(self, missed: Missed) -> bool:
        """Puts what siblings know in force, at once; durable when this returns. Whether any of it
        was news. Raises EdgeUnusable when it could not be kept: it is in force all the same."""
        news = self._catch_up_with_itself(missed)
        for node, sequence in missed.adopt.items():
            if self._log.adopt(node, sequence):
                self._tell_of_adoption(node)
                news = True
        for record in missed.records:
            if self._log.apply(record) is Took.APPLIED:
                self.work.take(record)
                news = True
        if news:
            self._ready.forget_all()
        await self.work.all_noted()
        return news

    def missed(self, vector: Mapping[str, int]) -> Missed:
        """What one who knows `vector` has not heard of."""
        return self._log.since(vector)

    async def invalidate(self, targets: tuple[Target, ...]) -> None:
        """What an unsafe request made invalid: must be validated from now on (section 4.4)."""
        for target in targets:
            self._invalidations.order(target, Mode.SOFT, at_seconds=self._clock.now())
            position = self._invalidations.position
            self._forget_ready(target)
            try:
                await self._variants.purge(target, Mode.SOFT)
            except EdgeUnusable:
                self._unsettled = True
            if not self._unsettled:
                self._settled_invalidations = max(self._settled_invalidations, position)
            self._invalidated += 1

    def receipts(self, after: int = 0) -> list[bytes]:
        """The lines of the receipts after a sequence number, at most 1,000."""
        return self._book.receipts(after)

    def statistics(self) -> PurgesStatistics:
        return PurgesStatistics(self._log.statistics(), self.work.statistics(), self._invalidated)

    def _order(self, target: Target, mode: Mode) -> tuple[int, Job]:
        at = round(self._clock.now() * 1000) / 1000
        record = self._log.order(target, mode, at_seconds=at)
        return record.sequence, self.work.take(record)

    def _forget_ready(self, target: Target) -> None:
        """Something has come into force: ready answers may be wrong."""
        if target.kind is Kind.URL:
            self._ready.forget(key_digest(target.scope + target.value))
        else:
            self._ready.forget_all()

    def _tell_of_adoption(self, node: str) -> None:
        self.work.take(None)
        self._events.emit(
            "edge.purges_missed",
            node,
            cause="this node was away for more purges than are kept: all it held counts as purged",
            next_step="nothing; the cache fills again",
            level=Level.WARNING,
        )

    def _catch_up_with_itself(self, missed: Missed) -> bool:
        """A sibling knows purges of ours that we do not: our log is an older copy of itself.

        What we ordered since bears numbers that were taken, and went unheard: it is ordered again,
        behind them.
        """
        numbers = [record.sequence for record in missed.records if record.node == self.node]
        ahead = max([missed.adopt.get(self.node, 0), *numbers])
        if not self._ordered or ahead <= self._log.vector.get(self.node, 0):
            return False
        self._log.adopt(self.node, ahead)
        self._tell_of_adoption(self.node)
        for target, mode in self._ordered:
            self._order(target, mode)
        return True
