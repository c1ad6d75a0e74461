"""The beat of the ledger: once a second what was counted is written down.

Owns when. What a kill can cost is the counters of one beat; what is noted is kept. A ledger that
takes no writes loses nothing while the node lives: the sums are held, and go in later.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from skerry.base.clock import Clock
from skerry.budget.accounts import Accounts
from skerry.budget.core.periods import DAY_SECONDS, hour_of
from skerry.budget.core.sharing import merged
from skerry.budget.core.usage import Amounts, Dimension, Meter
from skerry.budget.ports import Ledger, LedgerUnusable, MeterBlind, Probe
from skerry.telemetry.events import Events, Level

BEAT_SECONDS = 1.0
BUCKET_SECONDS = 60
LEISURE_SECONDS = 10.0
"""What only the clock has counted is written so often: an idle node leaves the disk alone."""
FOLD_SECONDS = 3600.0
_OF_THE_CLOCK = (Meter.STORE_BYTE_SECONDS, Meter.CPU_MICROSECONDS, Meter.NODE_SECONDS)


@dataclass(frozen=True, slots=True)
class MeteringStatistics:
    """A snapshot. `blind_seconds`: for how long nothing could be counted or written; 0 when all is
    well."""

    beat_count: int
    noted_count: int
    held_rows: int
    blind_seconds: float


class Metering:
    """Takes what was counted to the ledger."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        accounts: Accounts,
        probes: Sequence[Probe],
        settle: Callable[[], None],
        clock: Clock,
        trusted_now: Callable[[], float],
        events: Events,
        minutes_days: int,
    ) -> None:
        """`settle` moves what the fast way has counted to where it is read. `trusted_now` is the
        time that rows are filed under. Rows are kept by the minute for `minutes_days`."""
        self._ledger = ledger
        self._accounts = accounts
        self._probes = tuple(probes)
        self._settle = settle
        self._clock = clock
        self._now = trusted_now
        self._events = events
        self._minutes_seconds = minutes_days * DAY_SECONDS
        self._held: dict[Dimension, Amounts] = {}
        self._beat_at = self._noted_at = self._seen_at = clock.monotonic()
        self._fold_at = clock.monotonic() + FOLD_SECONDS
        self._bucket = 0
        self._beats = self._notes = 0
        self._turn = asyncio.Lock()
        self._blind: set[str] = set()

    def statistics(self) -> MeteringStatistics:
        """A snapshot."""
        blind = self._clock.monotonic() - self._seen_at if self._blind else 0.0
        return MeteringStatistics(self._beats, self._notes, len(self._held), blind)

    async def run(self) -> None:
        """For ever."""
        while True:
            await self._clock.sleep(BEAT_SECONDS)
            await self.beat()

    async def beat(self, *, ending: bool = False) -> None:
        """Counts what there is; `ending` writes it whatever it is."""
        async with self._turn:
            await self._beat(ending=ending)

    async def _beat(self, *, ending: bool) -> None:
        now = self._clock.monotonic()
        elapsed, self._beat_at = now - self._beat_at, now
        self._beats += 1
        self._settle()
        used = self._accounts.take()
        self._held = merged(self._held, used)
        for probe in self._probes:
            try:
                self._held = merged(self._held, probe.read(elapsed, used))
                self._sees(type(probe).__name__)
            except MeterBlind as error:
                self._goes_blind(type(probe).__name__, error.what, error.next_step)
        at = int(self._now())
        bucket = at - at % BUCKET_SECONDS
        due = now - self._noted_at >= LEISURE_SECONDS or bucket != self._bucket
        if self._held and (ending or due or _of_requests(self._held)):
            await self._note(bucket, now)
        if now >= self._fold_at:
            self._fold_at = now + FOLD_SECONDS
            await self._fold(hour_of(at - self._minutes_seconds))
        if not self._blind:
            self._seen_at = now

    async def _fold(self, before: int) -> None:
        try:
            await self._ledger.fold(before)
        except LedgerUnusable as error:
            self._goes_blind("ledger", error.what, error.next_step)

    async def _note(self, bucket: int, now: float) -> None:
        """Who cancels this leaves a write behind that is carried out all the same."""
        held, self._held = self._held, {}
        try:
            await self._ledger.note(bucket, held)
        except LedgerUnusable as error:
            self._held = merged(held, self._held)
            self._goes_blind("ledger", error.what, error.next_step)
            return
        self._notes += 1
        self._noted_at, self._bucket = now, bucket
        self._sees("ledger")

    def _goes_blind(self, what: str, cause: str, next_step: str) -> None:
        if what in self._blind:
            return
        self._blind.add(what)
        self._events.emit(
            "budget.blind",
            what,
            cause=cause,
            next_step=next_step or "the rung that holds is kept until it counts again",
            level=Level.WARNING,
        )

    def _sees(self, what: str) -> None:
        if what in self._blind:
            self._blind.discard(what)
            self._events.emit("budget.sees", what, cause="it counts again")


def _of_requests(held: dict[Dimension, Amounts]) -> bool:
    """Whether there is more than the clock has counted."""
    return any(
        value
        for each in held.values()
        for meter, value in zip(Meter, each.values, strict=True)
        if meter not in _OF_THE_CLOCK
    )
