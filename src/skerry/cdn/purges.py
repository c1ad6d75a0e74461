"""Purging and invalidating: in force at once, on record, with a receipt.

Owns what is in force (two logs: the operator's purges, which are durable and numbered, and
invalidations by unsafe requests, which concern only what is here now) and the chain of receipts.
Never decides what a purge names: that is `core.purge`. RFC 9111 section 4.4, RFC 9875.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from skerry.base.clock import Clock
from skerry.cdn.core import receipt as receipts
from skerry.cdn.core.key import CacheKey
from skerry.cdn.core.purge import Mode, Names, Target
from skerry.cdn.core.purge_log import LogStatistics, PurgeLog, Record, Verdict
from skerry.cdn.core.receipt import Receipt, Sign
from skerry.cdn.ports import EdgeUnusable, Entry, PurgeBook, Variants
from skerry.telemetry.events import Events

INVALIDATIONS_MAX = 10_000
"""In force for what is under way; older ones are folded into one over everything under way."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Where both logs stood when something was asked for."""

    purges: int
    invalidations: int


@dataclass(frozen=True, slots=True)
class PurgesStatistics:
    """A snapshot; counts are since start."""

    log: LogStatistics
    purge_count: int
    purged_count: int
    invalidation_count: int


class Purges:
    """Takes purges and tells what they mean for an object."""

    def __init__(
        self, *, variants: Variants, book: PurgeBook, clock: Clock, events: Events, sign: Sign
    ) -> None:
        self._variants = variants
        self._book = book
        self._clock = clock
        self._events = events
        self._sign = sign
        position, vector = book.base()
        self._log = PurgeLog(book.node, position=position, vector=vector)
        for record in book.records():
            self._log.apply(record)
        self._invalidations = PurgeLog("invalidations", rules_max=INVALIDATIONS_MAX)
        self._settled = Mark(0, 0)
        self._unnoted: list[Record] = []
        self._unsettled = False
        self._taking = asyncio.Lock()
        self._counts = {"purge": 0, "purged": 0, "invalidation": 0}
        self.under_way: Callable[[Target], int] = lambda target: 0
        """How many objects that are on their way into the index a target names."""

    def mark(self) -> Mark:
        """To be taken before a request to an origin leaves."""
        return Mark(self._log.position, self._invalidations.position)

    def verdict(self, names: Names, since: Mark) -> Verdict:
        """What was ordered after `since` for an object with these names."""
        found = self._log.verdict(names, as_of=since.purges)
        if found is Verdict.HARD:
            return found
        other = self._invalidations.verdict(names, as_of=since.invalidations)
        return found if other is Verdict.NONE else other

    def written(self, key: CacheKey) -> bool:
        """Whether a write by a client has lately made this URL invalid (section 4.4)."""
        log = self._invalidations
        return log.verdict(Names(key), as_of=log.base[0]) is not Verdict.NONE

    def mark_of(self, entry: Entry) -> Mark:
        """The mark of an entry that the index gave: it already bears what is settled there."""
        return Mark(max(entry.as_of, self._settled.purges), self._settled.invalidations)

    async def purge(self, target: Target, mode: Mode) -> Receipt:
        """In force from the call on; durable and on record when this returns.

        Raises EdgeUnusable when it could not be recorded: it is in force all the same, until a
        restart.
        """
        at = self._clock.now()
        record = self._log.order(target, mode, at_seconds=at)
        self._unnoted.append(record)
        position = self._log.position
        # One after the other: receipts form a chain, and the index settles in order.
        async with self._taking:
            while self._unnoted and self._unnoted[0].sequence <= record.sequence:
                await self._book.note(self._unnoted[0])
                del self._unnoted[0]
            count = self.under_way(target) + await self._settle(target, mode)
            if not self._unsettled:
                self._settled = replace(self._settled, purges=position)
            receipt = receipts.issue(
                self._book.last_receipt(),
                node=self._book.node,
                target=target,
                mode=mode,
                object_count=count,
                at_milliseconds=int(at * 1000),
                sign=self._sign,
            )
            await self._book.keep(receipt)
        self._counts["purge"] += 1
        self._counts["purged"] += count
        self._events.emit("edge.purged", target.kind.value, cause=f"{mode.value}, {count} objects")
        return receipt

    async def invalidate(self, targets: tuple[Target, ...]) -> None:
        """What an unsafe request made invalid: must be validated from now on (section 4.4)."""
        for target in targets:
            self._invalidations.order(target, Mode.SOFT, at_seconds=self._clock.now())
            position = self._invalidations.position
            with suppress(EdgeUnusable):
                await self._settle(target, Mode.SOFT)
            if not self._unsettled:
                latest = max(self._settled.invalidations, position)
                self._settled = replace(self._settled, invalidations=latest)
            self._counts["invalidation"] += 1

    async def _settle(self, target: Target, mode: Mode) -> int:
        """Brings the index up to a purge. One that fails leaves the log to be asked for good."""
        try:
            return await self._variants.purge(target, mode)
        except EdgeUnusable:
            self._unsettled = True
            raise

    def receipts(self, after: int = 0) -> list[bytes]:
        """The lines of the receipts after a sequence number, at most 1,000."""
        return self._book.receipts(after)

    def statistics(self) -> PurgesStatistics:
        counts = self._counts
        return PurgesStatistics(
            self._log.statistics(), counts["purge"], counts["purged"], counts["invalidation"]
        )
