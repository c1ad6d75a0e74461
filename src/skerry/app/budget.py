"""The budget of one node: its ledger, its accounts and its meters, made from the settings, joined.

Owns that part of the composition, for `node`. Holds no policy.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from typing import Protocol

from skerry.adapters.proc_cpu import ProcessorTime
from skerry.adapters.sqlite_ledger import SqliteLedger
from skerry.aio.tasks import Nursery
from skerry.app.budget_plan import plan_of
from skerry.app.budget_stewards import RegistrySteward
from skerry.app.settings import Settings
from skerry.app.settings_checks_budget import sheet_of
from skerry.base.clock import Clock
from skerry.budget.accounts import Accounts
from skerry.budget.bookkeeping import Bookkeeping
from skerry.budget.core.usage import Dimension
from skerry.budget.metering import Metering
from skerry.budget.ports import LedgerUnusable
from skerry.budget.probes import CpuProbe, HeldProbe, UpstreamProbe, VaultProbe
from skerry.telemetry.events import Events, Level
from skerry.telemetry.metrics import Counter as CounterFamily
from skerry.telemetry.metrics import Registry
from skerry.upstream.measures import UpstreamMetrics
from skerry.upstream.ports import Trouble

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
    nursery: Nursery
    ends: AsyncExitStack


class NodeBudget:
    """Everything about money on one node."""

    def __init__(self, node: Site) -> None:
        self._node = node
        self.accounts = Accounts(plan_of(node.settings))
        self.registry_steward = RegistrySteward(self.accounts)
        self.ledger: SqliteLedger
        self.books: Bookkeeping
        self._held: dict[Dimension, int] = {}
        self._metering: Metering | None = None

    @property
    def name(self) -> str:
        """The node's."""
        return self._node.settings.node.name

    @property
    def now(self) -> int:
        """Seconds since the epoch."""
        return int(self._node.clock.now())

    def open(self) -> None:
        """Opens the ledger, below a data directory that is there. Raises BadPrices, OSError."""
        node = self._node
        self.ledger = _ledger(node)
        node.ends.push_async_callback(self.ledger.close)
        self.books = Bookkeeping(self.ledger, sheet_of(node.settings.budget), now=node.clock.now)
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
            trusted_now=node.clock.now,
            events=node.events,
            minutes_days=node.settings.budget.keep_minutes_days,
        )
        node.nursery.start(self._metering.run(), name="budget.metering")
        node.nursery.start(self._survey(survey), name="budget.survey")

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
    try:
        return SqliteLedger(node.settings.node.data_path / LEDGER_FILE)
    except LedgerUnusable as error:
        node.events.emit(
            "ledger.off",
            "ledger",
            cause=error.what,
            next_step=error.next_step,
            level=Level.ERROR,
        )
        return SqliteLedger(None)


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
