"""Purges on their way to the disk: noted, settled in the index, receipted, in their order.

Owns the queue behind the purge log. What is in it is in force already; when its turn has come the
record is durable first, then the index is brought up to it, then the receipt is kept. Many at once
share the disk's syncs. Goes on whoever leaves: a purge that was ordered is carried out. Never
decides what a purge names, and never judges an object.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from skerry.aio.tasks import Nursery
from skerry.base.chain import Sign
from skerry.cdn.core import receipt as receipts
from skerry.cdn.core.purge import Target
from skerry.cdn.core.purge_log import PurgeLog, Record
from skerry.cdn.core.receipt import Receipt
from skerry.cdn.ports import EdgeUnusable, PurgeBook, Variants
from skerry.telemetry.events import Events, Level

RECORDS_MAX = 50_000
"""Kept for siblings that were out of reach; beyond it the older half is folded into the base."""
BATCH_MAX = 100


class Job:
    """One purge, or one adopted number (`record` is None), that is in force and not settled yet.

    `noted` is set once it would survive the loss of power, `done` with its receipt.
    """

    def __init__(
        self, position: int, record: Record | None, *, growing: int, vector: Mapping[str, int]
    ) -> None:
        self.position = position
        self.record = record
        self.growing = growing
        self.vector = dict(vector)
        self.renew()

    def renew(self) -> None:
        """Another try."""
        loop = asyncio.get_running_loop()
        self.noted: asyncio.Future[None] = loop.create_future()
        self.done: asyncio.Future[Receipt | None] = loop.create_future()

    def fail(self, error: EdgeUnusable) -> None:
        """Tells whoever waits; nobody has to."""
        for future in (self.noted, self.done):
            if not future.done():
                future.set_exception(error)
                future.exception()


@dataclass(frozen=True, slots=True)
class PurgeWorkStatistics:
    """A snapshot; counts are since start. `unsettled`: the index could not be brought up to a
    purge, and every entry goes on being judged by the log."""

    waiting_count: int
    purge_count: int
    learned_count: int
    purged_count: int
    unsettled: bool


class PurgeWork:
    """The queue. `settled` is the position up to which the index bears every purge."""

    def __init__(
        self,
        *,
        log: PurgeLog,
        variants: Variants,
        book: PurgeBook,
        nursery: Nursery,
        events: Events,
        sign: Sign,
    ) -> None:
        self.settled, self.vector = book.base()
        for record in book.records():
            log.apply(record)
        self.vector = log.vector
        self._log = log
        self._variants = variants
        self._book = book
        self._nursery = nursery
        self._events = events
        self._sign = sign
        self._queue: deque[Job] = deque()
        self._running = False
        self._unsettled = False
        self._purges = self._learned = self._purged = 0
        self.under_way: Callable[[Target], int] = lambda target: 0
        """How many objects that are on their way into the index a target names."""
        self.noted: Callable[[], None] = lambda: None
        """Called when `vector`, which says what is durable here, has grown."""

    def take(self, record: Record | None) -> Job:
        """What the log has just put in force (None: a number it adopted)."""
        growing = self.under_way(record.target) if record is not None else 0
        job = Job(self._log.position, record, growing=growing, vector=self._log.base[1])
        self._queue.append(job)
        self.go_on()
        return job

    def go_on(self) -> None:
        """Works on what is queued, unless that is being done: also what failed before."""
        if self._queue and not self._running:
            self._running = True
            self._nursery.start(self._run(), name="edge.purges")

    async def all_noted(self) -> None:
        """Waits until everything taken so far is durable. Raises EdgeUnusable."""
        if self._queue:
            self.go_on()
            await asyncio.shield(self._queue[-1].noted)

    def statistics(self) -> PurgeWorkStatistics:
        return PurgeWorkStatistics(
            len(self._queue), self._purges, self._learned, self._purged, self._unsettled
        )

    async def _run(self) -> None:
        try:
            while self._queue:
                batch = self._batch()
                try:
                    await self._note(batch)
                except EdgeUnusable as error:
                    # In force all the same, until a restart; first in line for the next try.
                    for job in self._queue:
                        job.fail(error)
                        job.renew()
                    return
                await self._settle(batch)
        finally:
            self._running = False

    def _batch(self) -> list[Job]:
        batch: list[Job] = []
        for job in self._queue:
            if job.record is None or len(batch) == BATCH_MAX:
                return batch or [job]
            batch.append(job)
        return batch

    async def _note(self, batch: list[Job]) -> None:
        records = [job.record for job in batch if job.record is not None]
        if records:
            await self._book.note(records)
            for record in records:
                self.vector[record.node] = record.sequence
        else:
            # Forgotten before the base moves: a crash between leaves an empty index, no purged one.
            await self._variants.clear()
            await self._book.fold(batch[0].position, batch[0].vector)
            self.vector.update(batch[0].vector)
        for job in batch:
            job.noted.set_result(None)
        self.noted()

    async def _settle(self, batch: list[Job]) -> None:
        """The index, then the receipts; one that fails leaves the log to be asked for good."""
        last, kept = self._book.last_receipt(), list[tuple[Job, Receipt]]()
        for job in batch:
            record, count = job.record, 0
            try:
                if record is not None:
                    count = job.growing + await self._variants.purge(record.target, record.mode)
            except EdgeUnusable as error:
                self._unsettled = True
                job.fail(error)
                continue
            if not self._unsettled:
                self.settled = job.position
            if record is not None:
                last = self._receipt(last, record, count)
                kept.append((job, last))
        try:
            await self._book.keep([receipt for _, receipt in kept])
        except EdgeUnusable as error:
            for job, _ in kept:
                job.fail(error)
        for job, receipt in kept:
            if not job.done.done():
                job.done.set_result(receipt)
                self._tell(receipt)
        for job in batch:
            self._queue.popleft()
            if not job.done.done():
                job.done.set_result(None)
        await self._fold()

    async def _fold(self) -> None:
        """Forgets the older half of too many records: every entry bears those purges already."""
        if self._log.statistics().record_count <= RECORDS_MAX or self._unsettled:
            return
        self._log.forget(self.settled - RECORDS_MAX // 2)
        try:
            await self._book.fold(*self._log.base)
        except EdgeUnusable:
            return  # the longer log is as right; the next purge tries again

    def _receipt(self, last: Receipt | None, record: Record, count: int) -> Receipt:
        own = record.node == self._book.node
        return receipts.issue(
            last,
            node=self._book.node,
            target=record.target,
            mode=record.mode,
            object_count=count,
            at_milliseconds=round(record.at_seconds * 1000),
            ordered_by="" if own else record.node,
            sign=self._sign,
        )

    def _tell(self, receipt: Receipt) -> None:
        count, by = receipt.object_count, receipt.ordered_by
        self._purges += not by
        self._learned += bool(by)
        self._purged += count
        cause = f"{receipt.mode.value}, {count} objects" + (f", ordered by {by}" if by else "")
        self._events.emit("edge.purged", receipt.target.kind.value, cause=cause, level=Level.INFO)
