"""The ladders of a node and its tenants, while it runs.

Owns when they are looked at, and that where they stand survives a restart. What a rung means is
`core.ladder`'s; whoever serves asks `hold`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from skerry.base.clock import Clock
from skerry.base.errors import SkerryError
from skerry.budget.core import ladder as machine
from skerry.budget.core.forecast import burn
from skerry.budget.core.ladder import FREE, Hold, Ladder, Rung, RungTold, Sight, Steps
from skerry.budget.core.limits import WHOLE, Limit, spent_of
from skerry.budget.core.money import format_money
from skerry.budget.core.periods import Every, Period, period_of
from skerry.budget.core.plan import Owner
from skerry.budget.core.warming import Warming, judge
from skerry.budget.ports import Ledger, LedgerUnusable
from skerry.budget.spending import Spending
from skerry.telemetry.alarms import Alarm, Alarms
from skerry.telemetry.events import Events, Level

LOOK_SECONDS = 10.0
NOTE = "ladders"

MEANS: Mapping[Rung, str] = {
    Rung.NONE: "nothing is held back",
    Rung.NOTICE: "nothing is held back yet",
    Rung.NO_WARMING: "nothing is fetched before somebody asks",
    Rung.LONGER_FRESH: "what is stored is believed longer",
    Rung.SHED_LOW: "what is of low priority and not here gets 503",
    Rung.CACHED_ONLY: "only what is here is served, but for what is protected",
}


SPEND_LESS = "see `skerry costs`; raise budget.amount, or wait for the next period"
MEND_LEDGER = "see what the events say of the ledger and its disk; it goes on by itself"


@dataclass(frozen=True, slots=True)
class LadderStatistics:
    """Where one budget stands. `means` says what the rung does; `burn` is the share of the budget
    spent over the share of the period passed, in millionths; `warming_paused`: it is above 1;
    `metered`: what is spent has been read since the start."""

    scope: str
    period: str
    amount_micro: int
    spent_micro: int
    rung: int
    name: str
    means: str
    blind: bool
    burn: int = 0
    warming_paused: bool = False
    metered: bool = True
    period_seconds: int = 0


class Ladders:
    """All of them."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        spending: Spending,
        limits: Sequence[Limit],
        steps: Steps,
        every: Every,
        clock: Clock,
        trusted_now: Callable[[], float],
        blind: Callable[[], bool],
        events: Events,
        alarms: Alarms,
        changed: Callable[[], None],
    ) -> None:
        """`blind` says that usage cannot be counted now; `changed` is called when something is
        held back, or is not any more."""
        self._ledger = ledger
        self._spending = spending
        self._limits = {limit.scope: limit for limit in limits}
        self._steps = steps
        self._every = every
        self._clock = clock
        self._now = trusted_now
        self._blind = blind
        self._events = events
        self._alarms = alarms
        self._changed = changed
        self._looking = asyncio.Lock()
        self._spent: dict[str, int] = {}
        self._warming = {scope: Warming() for scope in self._limits}
        self._stand = {scope: Ladder() for scope in self._limits} | self._recalled()

    def statistics(self) -> tuple[LadderStatistics, ...]:
        """A snapshot, the node's own first."""
        period_seconds = period_of(int(self._now()), self._every).seconds
        return tuple(
            LadderStatistics(
                scope,
                stand.period,
                self._limits[scope].amount_micro,
                self._spent.get(scope, 0),
                int(stand.rung),
                stand.rung.name.lower(),
                MEANS[stand.rung],
                stand.sight is Sight.BLIND,
                self._warming[scope].burn,
                self._warming[scope].paused,
                scope in self._spent,
                period_seconds,
            )
            for scope, stand in self._stand.items()
        )

    def told(self) -> tuple[RungTold, ...]:
        """What each has entered in the periods that are remembered."""
        return tuple(
            each for scope, stand in self._stand.items() for each in machine.told_of(scope, stand)
        )

    def rung(self, tenant: str = "") -> Rung:
        """The rung that holds for a tenant: its own or the node's, whichever is higher."""
        held = [self._stand[scope].rung for scope in (WHOLE, tenant) if scope in self._stand]
        return max(held, default=Rung.NONE)

    def hold(self, owner: Owner) -> Hold:
        """What is held back of an owner's routes. Costs next to nothing."""
        return machine.hold(owner, self.rung(owner.tenant)) if self._stand else FREE

    def may_warm(self, tenant: str = "") -> bool:
        """Whether something of a tenant may be fetched before somebody asks."""
        return self.rung(tenant) < Rung.NO_WARMING

    def warming_paused(self, tenant: str = "") -> bool:
        """Whether money goes faster than time, of a tenant or of the node: warming waits."""
        return any(self._warming[each].paused for each in (WHOLE, tenant) if each in self._warming)

    async def run(self) -> None:
        """For ever; at once when there is no budget."""
        while self._stand:
            await self.look()
            await self._clock.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Compares what is spent with what may be. One look after the other: an older sum that is
        read late would undo what a newer one has decided."""
        async with self._looking:
            await self._look()

    async def _look(self) -> None:
        period = period_of(int(self._now()), self._every)
        spent = None if self._blind() else await self._read(period)
        before = dict(self._stand)
        for scope, limit in self._limits.items():
            event: machine.Event = machine.Lost()
            if spent is not None:
                self._spent[scope] = spent_of(scope, spent)
                share = machine.share_of(self._spent[scope], limit.amount_micro)
                event = machine.Metered(period.name, share)
                self._judge_warming(scope, period, share)
            self._stand[scope], commands = machine.step(self._stand[scope], event, self._steps)
            for command in commands:
                await self._perform(scope, command)
        if self._stand != before:
            await self._keep()
            self._changed()

    def _judge_warming(self, scope: str, period: Period, share: int) -> None:
        """By burn; while the meter is blind it stays as it is."""
        passed = int(self._now()) - period.start
        rate = burn(
            self._spent[scope],
            self._limits[scope].amount_micro,
            passed_seconds=passed,
            period_seconds=period.seconds,
        )
        before = self._warming[scope]
        after = self._warming[scope] = judge(before, burn=rate, share=share)
        if after.paused and not before.paused:
            tenths = rate // 100_000
            why = f"the budget burns at {tenths // 10}.{tenths % 10}: it ends before the period"
            self._tell("budget.warming_paused", scope, why)
        elif before.paused and not after.paused:
            self._calm("budget.warming_resumed", scope, "money goes slower than time again")

    async def _read(self, period: Period) -> Mapping[str, int] | None:
        try:
            return await asyncio.to_thread(self._spending.spent, period, int(self._now()))
        except SkerryError:
            return None

    async def _perform(self, scope: str, command: machine.Command) -> None:
        match command:
            case machine.Entered(rung):
                self._tell("budget.rung", scope, f"{rung.name.lower()}: {MEANS[rung]}")
            case machine.Left(rung):
                below = MEANS[Rung(rung - 1)]
                self._calm("budget.rung_left", scope, f"{rung.name.lower()} is over: {below}")
            case machine.WentBlind():
                kept = self._stand[scope].rung.name.lower()
                why = f"what is spent cannot be read; until it can, the rung stays: {kept}"
                self._tell("budget.meter_blind", scope, why, step=MEND_LEDGER)
            case machine.Sees():
                self._calm("budget.meter_sees", scope, "what is spent is known again")
            case machine.Alarm(rung, name):
                await self._alarms.sound(self._alarm(scope, rung, name))

    def _alarm(self, scope: str, rung: Rung, period: str) -> Alarm:
        limit = self._limits[scope]
        currency = self._spending.currency
        spent = format_money(self._spent[scope], currency)
        amount = format_money(limit.amount_micro, currency)
        return Alarm(
            key=f"budget/{scope}/{period}/{rung.name.lower()}",
            kind="budget.rung",
            subject=scope,
            level=Level.WARNING if rung < Rung.SHED_LOW else Level.ERROR,
            what=f"{spent} of {amount} are spent in {period}: {MEANS[rung]}",
            next_step="skerry costs shows what for; raise the amount, or wait for the next period",
            at=self._now(),
        )

    def _tell(self, kind: str, scope: str, cause: str, *, step: str = SPEND_LESS) -> None:
        self._events.emit(kind, scope, cause=cause, next_step=step, level=Level.WARNING)

    def _calm(self, kind: str, scope: str, cause: str) -> None:
        """What needs nobody: something is over."""
        self._events.emit(kind, scope, cause=cause)

    async def _keep(self) -> None:
        text = msgspec.json.encode(self._stand).decode()
        try:
            await self._ledger.keep(NOTE, text)
        except LedgerUnusable as error:
            step = error.next_step or MEND_LEDGER
            self._tell("budget.not_kept", "ladders", error.what, step=step)

    def _recalled(self) -> dict[str, Ladder]:
        """Where they stood when the node ended; what cannot be read stood nowhere."""
        try:
            text = self._ledger.noted(NOTE)
            kept = msgspec.json.decode(text or "{}", type=dict[str, Ladder])
        except (msgspec.DecodeError, msgspec.ValidationError, LedgerUnusable):
            return {}
        return {scope: stand for scope, stand in kept.items() if scope in self._limits}
