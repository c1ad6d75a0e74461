"""The budget of one node: its ledger, its accounts and its meters, made from the settings, joined.

Owns that part of the composition, for `node`. Holds no policy.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from random import Random
from typing import TYPE_CHECKING, Protocol

from skerry.adapters.proc_cpu import ProcessorTime
from skerry.adapters.sqlite_ledger import LEDGER, SqliteLedger
from skerry.aio.offload import Aside
from skerry.aio.tasks import Nursery
from skerry.app.budget.ladders import ladders_of
from skerry.app.budget.plan import plan_of
from skerry.app.budget.prices import NodePrices
from skerry.app.budget.sources import source_uses
from skerry.app.budget.stewards import RegistrySteward
from skerry.app.damage import opened
from skerry.app.doors.hot_tables import HotTables
from skerry.app.settings.checks.budget import sheet_in, sheet_text
from skerry.app.settings.schema import Settings
from skerry.app.telemetry.alarms import NodeAlarms
from skerry.base.clock import Clock
from skerry.budget.accounts import Accounts
from skerry.budget.bookkeeping import Bookkeeping
from skerry.budget.core.ladder import FREE, Hold, RungTold
from skerry.budget.core.periods import Every
from skerry.budget.core.plan import Owner
from skerry.budget.core.rollback import Rollback
from skerry.budget.core.timekeeping import begin, tick
from skerry.budget.core.usage import Dimension
from skerry.budget.desk import BudgetDesk, BudgetState
from skerry.budget.ladders import Ladders, LadderStatistics
from skerry.budget.measures import budget_metrics
from skerry.budget.metering import Metering
from skerry.budget.ports import LedgerUnusable
from skerry.budget.probes import CpuProbe, HeldProbe, UpstreamProbe, VaultProbe
from skerry.budget.prospect import Prospect
from skerry.budget.spending import Spending
from skerry.telemetry.alarms import Alarms
from skerry.telemetry.events import Events, Level
from skerry.telemetry.families import Counter as CounterFamily
from skerry.telemetry.metrics import Registry
from skerry.upstream.measures import UpstreamMetrics
from skerry.upstream.ports import Transport, Trouble

if TYPE_CHECKING:
    from skerry.app.budget.edge import EdgeSteward

LEDGER_FILE = "ledger.sqlite"
VAULT_CALLS = "skerry_vault_calls"
SURVEY_SECONDS = 900.0
SURVEY_AT_ONCE = 500

Holder = tuple[Dimension, int]


class Site(Protocol):
    """What the node hands over."""

    settings: Settings
    clock: Clock
    metrics: Registry
    events: Events
    alarms: Alarms
    hot: HotTables
    nursery: Nursery
    ends: AsyncExitStack
    chance: Random


class NodeBudget:
    """Everything about money on one node."""

    def __init__(self, node: Site) -> None:
        self._node = node
        self.accounts = Accounts(plan_of(node.settings))
        factor = node.settings.budget.freshness_factor
        self.registry_steward = RegistrySteward(self.accounts, self, freshness_factor=factor)
        self._time = begin(node.clock.now(), node.clock.monotonic())
        self._ladders: Ladders | None = None
        self.ledger: SqliteLedger
        self.books: Bookkeeping
        self.prices: NodePrices
        self.alarm_desk: NodeAlarms
        self.desk: BudgetDesk
        self._held: dict[Dimension, int] = {}
        self._metering: Metering | None = None
        self.aside = Aside()
        self._stand = Aside()
        self.prospect = Prospect(
            self.stand, node.clock, priced=lambda: bool(self.books.sheet.prices)
        )

    @property
    def name(self) -> str:
        """The node's."""
        return self._node.settings.node.name

    @property
    def now(self) -> int:
        """Seconds since the epoch."""
        return int(self.trusted_now())

    def trusted_now(self) -> float:
        """The time that usage is filed under: a clock that has just jumped is doubted."""
        clock = self._node.clock
        monotonic = clock.monotonic()
        self._time = tick(self._time, clock.now(), monotonic)
        return self._time.now(monotonic)

    def edge_steward(self) -> EdgeSteward:
        """What the edge asks."""
        # Late: a node without sites does not load the edge.
        from skerry.app.budget.edge import EdgeSteward

        factor = self._node.settings.budget.freshness_factor
        return EdgeSteward(self.accounts, self, freshness_factor=factor)

    def hold(self, owner: Owner) -> Hold:
        """See `Restraint`."""
        return self._ladders.hold(owner) if self._ladders is not None else FREE

    def may_warm(self, tenant: str) -> bool:
        """See `Restraint`."""
        return self._ladders is None or self._ladders.may_warm(tenant)

    def warming_paused(self, tenant: str) -> bool:
        """See `Restraint`."""
        return self._ladders is not None and self._ladders.warming_paused(tenant)

    def ladders(self) -> tuple[LadderStatistics, ...]:
        """Where each budget stands, the node's own first."""
        return self._ladders.statistics() if self._ladders is not None else ()

    def told(self) -> tuple[RungTold, ...]:
        """Which rungs were entered in the periods that are remembered."""
        return self._ladders.told() if self._ladders is not None else ()

    async def stand(self) -> BudgetState:
        """What is spent and where it will end. Never behind somebody's report of a year."""
        return await self._stand.read(self.desk.state)

    async def look(self) -> None:
        """Compares what is spent with what may be, now."""
        if self._ladders is not None:
            await self._ladders.look()

    def open(
        self, transport: Transport, rollbacks: Callable[[int, int], Sequence[Rollback]]
    ) -> None:
        """Opens the ledger and the outbox of alarms, below a data directory that is there. Raises
        BadPrices, OSError."""
        node = self._node
        self.alarm_desk = NodeAlarms(node)
        node.alarms = self.alarm_desk.open(transport)
        self.ledger = _ledger(node)
        node.ends.push_async_callback(self.ledger.close)
        text = sheet_text(node.settings.budget)
        sheet = sheet_in(text, node.settings.budget.prices_file)
        self.books = Bookkeeping(self.ledger, sheet, now=self.trusted_now)
        self.prices = NodePrices(self.books, text, events=node.events, now=self.trusted_now)
        self._ladders = ladders_of(
            node,
            ledger=self.ledger,
            books=self.books,
            trusted_now=self.trusted_now,
            blind=lambda: self._blind(),
        )
        self.desk = BudgetDesk(
            self.books,
            Spending(self.books),
            node=self.name,
            now=self.trusted_now,
            every=Every(node.settings.budget.period),
            ladders=self.ladders,
            workflows=lambda: [flow.name for flow in self.accounts.plan.workflows],
            rollbacks=rollbacks,
            sources=lambda: source_uses(node.metrics),
        )
        budget_metrics(node.metrics, self.ladders)
        self.prospect.declare(node.metrics)
        node.ends.push_async_callback(self.beat)

    def start(
        self,
        *,
        outside: UpstreamMetrics,
        held_bytes: Callable[[], int],
        survey: Callable[[], Iterable[Holder | None]],
    ) -> None:
        """Begins to count. `survey` walks over all that is held, None for what is nobody's."""
        node = self._node
        siblings = frozenset(sibling.name for sibling in node.settings.siblings)
        self._metering = Metering(
            ledger=self.ledger,
            accounts=self.accounts,
            probes=(
                CpuProbe(ProcessorTime().microseconds),
                HeldProbe(held_bytes, lambda: self._held),
                UpstreamProbe(
                    lambda: self.accounts.plan,
                    asked=lambda: _asked(outside.requests, siblings),
                    received_bytes=lambda: _by_name(outside.bytes, siblings),
                ),
                VaultProbe(lambda: int(sum(node.metrics.counted(VAULT_CALLS).values()))),
            ),
            settle=node.metrics.settle,
            clock=node.clock,
            trusted_now=self.trusted_now,
            events=node.events,
            minutes_days=node.settings.budget.keep_minutes_days,
        )
        node.nursery.start(self.prices.began(), name="budget.prices")
        node.nursery.start(self._metering.run(), name="budget.metering")
        node.nursery.start(self._survey(survey), name="budget.survey")
        node.nursery.start(self.prospect.run(), name="budget.prospect")
        if self._ladders is not None:
            node.nursery.start(self._ladders.run(), name="budget.ladders")

    def _blind(self) -> bool:
        return self._metering is not None and self._metering.statistics().blind_seconds > 0

    async def beat(self) -> None:
        """Counts what there is, and writes it. Not before `start`."""
        if self._metering is not None:
            await self._metering.beat(ending=True)

    def use(self, settings: Settings) -> None:
        """Takes the sites of other settings."""
        self.accounts.use(plan_of(settings))

    async def _survey(self, survey: Callable[[], Iterable[Holder | None]]) -> None:
        """Now and then, who holds how much of the disk: a share to go by, not a sum."""
        while True:
            held: Counter[Dimension] = Counter()
            for number, found in enumerate(survey()):
                if found is not None:
                    held[found[0]] += found[1]
                if number % SURVEY_AT_ONCE == 0:
                    await asyncio.sleep(0)
            self._held = dict(held)
            await self._node.clock.sleep(SURVEY_SECONDS)


def _ledger(node: Site) -> SqliteLedger:
    """The one on disk; where that cannot be had, one in memory: a node serves without its books."""
    path = node.settings.node.data_path / LEDGER_FILE
    try:
        file, salvage = opened(path, LEDGER, node.events)
        in_memory = salvage is not None and salvage.in_memory
        ledger = SqliteLedger(None if in_memory else path, file=file)
        _tell_missing(ledger, node.events)
        return ledger
    except LedgerUnusable as error:
        node.events.emit(
            "ledger.off",
            "ledger",
            cause=error.what,
            next_step=error.next_step,
            level=Level.ERROR,
        )
        return SqliteLedger(None)


def _tell_missing(ledger: SqliteLedger, events: Events) -> None:
    """A file that was salvaged, or put back from a copy, does not know what it has lost. Raises
    LedgerUnusable."""
    lost = ledger.missing()
    if lost:
        events.emit(
            "ledger.rows_missing",
            "ledger",
            cause=lost,
            next_step="what was used then may be missing from the costs; keep the damaged file"
            " with your books, and see `skerry ledger verify`",
            level=Level.ERROR,
        )


def _by_name(family: CounterFamily, siblings: frozenset[str]) -> dict[str, int]:
    """A counter by its upstream; what came from a sibling came over no paid line."""
    found: Counter[str] = Counter()
    for labels, value in family.series().items():
        if labels[1] not in siblings:
            found[labels[0]] += int(value)
    return dict(found)


def _asked(family: CounterFamily, siblings: frozenset[str]) -> dict[str, int]:
    """Requests that were really sent."""
    found: Counter[str] = Counter()
    for labels, value in family.series().items():
        if labels[1] not in siblings and labels[2] != Trouble.BUDGET:
            found[labels[0]] += int(value)
    return dict(found)
