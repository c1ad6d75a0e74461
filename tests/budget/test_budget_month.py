"""A month in virtual time: spikes, a blind meter, a clock that jumps, and the month after it.

The world is honest about what the ladder can do: hits cost little, what comes from outside costs
much, and a refused miss costs nothing.
"""

from __future__ import annotations

import asyncio
import random
import re
import threading
from collections import Counter
from datetime import UTC, datetime

import pytest

from skerry.adapters.sqlite_ledger import SqliteLedger
from skerry.base.clock import ManualClock
from skerry.budget.bookkeeping import Bookkeeping
from skerry.budget.core.ladder import Rung, Steps
from skerry.budget.core.limits import WHOLE, Limit
from skerry.budget.core.money import MICRO
from skerry.budget.core.periods import Every, Period, hour_of, month_of
from skerry.budget.core.plan import Owner, Priority
from skerry.budget.core.prices import read_sheet
from skerry.budget.core.timekeeping import begin, tick
from skerry.budget.core.trial import Rules, climb
from skerry.budget.core.usage import Amounts, Dimension, Meter
from skerry.budget.ladders import Ladders
from skerry.budget.spending import Spending
from skerry.telemetry.alarms import Alarm
from skerry.telemetry.events import Events, Level

STEP_SECONDS = 1800
START = int(datetime(2026, 6, 1, tzinfo=UTC).timestamp())
AMOUNT = 100 * MICRO
HEAD = '[[price]]\ncurrency = "EUR"\nvalid_from = 2026-01-01\n'
SHEET = read_sheet(
    f'{HEAD}meter = "ingress"\nprice = "0.10"\nunit = "GB"\nperiod = "use"\n'
    f'{HEAD}meter = "egress"\nprice = "0.0005"\nunit = "GB"\nperiod = "use"\n',
    "prices.toml",
)
OWNERS = {
    "low": Owner("ann", Priority.LOW),
    "normal": Owner("bob", Priority.NORMAL),
    "protected": Owner("clinic", Priority.PROTECTED),
}
SHARE = {"low": 30, "normal": 68, "protected": 2}
"""Of what is asked for beyond the cache, in percent."""


class Sounded:
    """`Alarms` that remembers."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.said: list[str] = []

    async def sound(self, alarm: Alarm) -> None:
        self.keys.append(alarm.key)
        self.said.append(alarm.what)


class World:
    """One node's money, without the node."""

    def __init__(self, seed: int, *limits: Limit) -> None:
        self.limits = limits or (Limit(WHOLE, AMOUNT),)
        self.chance = random.Random(seed)
        self.clock = ManualClock(float(START))
        self.time = begin(self.clock.now(), self.clock.monotonic())
        self.ledger = SqliteLedger(None)
        self.books = Bookkeeping(self.ledger, SHEET, now=self.now)
        self.events = Events(self.clock.now)
        self.alarms = Sounded()
        self.blind = False
        self.unmetered: dict[Dimension, Amounts] = {}
        self.refused: Counter[str] = Counter()
        self.ladders = self.made()

    def made(self) -> Ladders:
        return Ladders(
            ledger=self.ledger,
            spending=Spending(self.books),
            limits=self.limits,
            steps=Steps(),
            every=Every.MONTH,
            clock=self.clock,
            trusted_now=self.now,
            blind=lambda: self.blind,
            events=self.events,
            alarms=self.alarms,
            changed=lambda: None,
        )

    def now(self) -> float:
        monotonic = self.clock.monotonic()
        self.time = tick(self.time, self.clock.now(), monotonic)
        return self.time.now(monotonic)

    async def live(self, hours: float, *, rate: float = 1.0) -> None:
        for _ in range(round(hours * 3600 / STEP_SECONDS)):
            self.clock.advance(STEP_SECONDS)
            await self.demand(rate)
            await self.ladders.look()

    async def demand(self, rate: float) -> None:
        """About 1.4 times the budget in a month, if nothing were held back."""
        spike = 8 if self.chance.random() < 0.02 else 1
        wanted = round(rate * spike * self.chance.uniform(0.4, 1.6) * 0.85e9)
        for name, owner in OWNERS.items():
            missed = wanted * SHARE[name] // 100
            if self.ladders.hold(owner).refused:
                self.refused[name] += 1
                missed = 0
            used = {Meter.EGRESS_BYTES: wanted, Meter.INGRESS_BYTES: missed}
            who = Dimension(owner.tenant)
            self.unmetered[who] = self.unmetered.get(who, Amounts()) + Amounts.of(used)
        if not self.blind:
            used_now, self.unmetered = self.unmetered, {}
            await self.ledger.note(int(self.now()) // 60 * 60, used_now)

    def spent(self, at: int) -> int:
        month = month_of(at)
        return self.books.costs(month).spent_micro

    def entered(self, kind: str = "budget.rung") -> list[str]:
        return [event.cause.partition(":")[0] for event in self.events.recent(kind)]


@pytest.mark.parametrize("seed", [1, 7, 23])
async def test_a_month_of_spikes_outages_and_jumps_keeps_within_two_percent(seed: int) -> None:
    world = World(seed)
    while world.ladders.rung() < Rung.NOTICE:
        await world.live(6)
    world.clock.step(40 * 86400)  # somebody sets the clock, and notices
    for _ in range(10):
        world.clock.advance(60)
        await world.ladders.look()
    world.clock.step(-40 * 86400)
    while world.ladders.rung() < Rung.LONGER_FRESH:
        await world.live(1)
    before = world.ladders.rung()
    world.blind = True
    await world.live(5)
    assert world.ladders.rung() == before, "a blind meter holds the rung"
    (blind,) = world.events.recent("budget.meter_blind")
    assert blind.cause.endswith(f"the rung stays: {before.name.lower()}")
    assert "budget.amount" not in blind.next_step, "no amount mends a ledger"
    world.blind = False
    world.ladders = world.made()  # a restart
    assert world.ladders.rung() == before
    await world.live(3)
    world.clock.step(-2 * 86400)
    for _ in range(5):
        world.clock.advance(60)
        await world.ladders.look()
    world.clock.step(2 * 86400)
    left_seconds = month_of(START).end - world.clock.now()
    await world.live(left_seconds / 3600 - 1)

    assert month_of(int(world.now())).start == START
    assert world.ladders.rung() is Rung.CACHED_ONLY
    names = [rung.name.lower() for rung in Rung if rung]
    assert world.entered() == names, "each rung is entered once"
    assert world.entered("budget.rung_left") == [], "and none flaps"
    assert len(set(world.alarms.keys)) == len(world.alarms.keys)
    assert world.alarms.keys[-1] == "budget/node/2026-06/cached_only"
    assert re.match(r"[\d.]+ EUR of [\d.]+ EUR are spent in 2026-06: ", world.alarms.said[-1])
    assert world.refused["protected"] == 0
    assert world.refused["low"] > world.refused["normal"] > 0
    assert AMOUNT <= world.spent(START) <= AMOUNT * 102 // 100

    await world.live(2)
    assert month_of(int(world.now())).name == "2026-07"
    assert world.ladders.rung() is Rung.NONE
    left = world.events.recent("budget.rung_left")
    assert len(left) == 5
    for each in (*left, *world.events.recent("budget.meter_sees")):
        assert (each.level, each.next_step) == (Level.INFO, ""), "what is over needs nobody"
    assert not world.ladders.hold(OWNERS["low"]).refused


async def test_a_meter_that_is_blind_when_a_period_ends_keeps_the_rung() -> None:
    world = World(3)
    while world.ladders.rung() < Rung.SHED_LOW:
        await world.live(6)
    await world.live((month_of(START).end - world.clock.now()) / 3600 - 2)
    held = world.ladders.rung()
    world.blind = True
    await world.live(6)
    assert month_of(int(world.now())).name == "2026-07"
    assert world.ladders.rung() == held
    world.blind = False
    await world.live(1)
    assert world.ladders.rung() is Rung.NONE


async def test_without_the_ladder_the_same_month_would_cost_far_more() -> None:
    """The month above is no idle one."""
    world = World(1)
    for _ in range(29 * 24 * 3600 // STEP_SECONDS):
        world.clock.advance(STEP_SECONDS)
        await world.demand(1.0)
    assert world.spent(START) > AMOUNT * 125 // 100


async def test_a_tenants_own_budget_holds_back_its_own_routes_alone() -> None:
    world = World(1, Limit(WHOLE, 10_000 * MICRO), Limit("bob", 1 * MICRO))
    await world.live(24)
    assert world.ladders.hold(OWNERS["normal"]).refused
    assert not world.ladders.hold(OWNERS["low"]).refused
    assert world.ladders.may_warm("ann")
    assert not world.ladders.may_warm("bob")
    assert [each.scope for each in world.ladders.statistics()] == [WHOLE, "bob"]


class SlowFirst(Spending):
    """Reads at the first time what was spent then, and tells it only when it is let go."""

    def __init__(self, books: Bookkeeping) -> None:
        super().__init__(books)
        self.read, self.go = threading.Event(), threading.Event()

    def spent(self, period: Period, now: int) -> dict[str, int]:
        found = super().spent(period, now)
        if not self.read.is_set():
            self.read.set()
            assert self.go.wait(60)
        return found


async def test_a_sum_that_is_told_late_does_not_undo_what_a_newer_one_decided() -> None:
    world = World(0)
    slow = world.ladders._spending = SlowFirst(world.books)
    late = asyncio.ensure_future(world.ladders.look())
    await asyncio.to_thread(slow.read.wait, 60)
    used = {Dimension("ann"): Amounts.of({Meter.INGRESS_BYTES: 860 * 10**9})}
    await world.ledger.note(START, used)
    newer = asyncio.ensure_future(world.ladders.look())
    await asyncio.wait({newer}, timeout=0.2)  # as far as it comes meanwhile
    slow.go.set()
    await asyncio.gather(late, newer)
    assert world.ladders.rung() is Rung.LONGER_FRESH
    assert world.made().rung() is Rung.LONGER_FRESH, "and so after a restart"


async def test_what_a_node_used_tried_with_its_own_budget_enters_its_rungs_in_their_hours() -> None:
    """The rungs held back as it went; what is left of the usage is what the ladder saw."""
    limits = Limit(WHOLE, AMOUNT), Limit("ann", 20 * MICRO)
    world = World(7, *limits)
    await world.live(33 * 24)
    used = world.ledger.hours(START, int(world.now()))
    courses, stays = climb(used, SHEET, Rules(limits), now=int(world.now()))
    entered = {
        (event.subject, event.cause.partition(":")[0]): hour_of(int(event.at))
        for event in world.events.recent("budget.rung")
    }
    assert {(each.scope, each.rung): each.entered_at for each in stays} == entered
    assert {("ann", "shed_low"), ("node", "cached_only")} <= set(entered)
    assert {each.left_at for each in stays} == {month_of(START).end}
    assert courses[0].spent_micro == world.spent(START)
