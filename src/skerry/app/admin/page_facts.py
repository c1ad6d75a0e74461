"""What the pages show, read from the rooms of a running node.

Owns the reading. Every number is one that a command or a metric gives as well.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from skerry.app.budget.room import NodeBudget
from skerry.app.budget.routes import month_named
from skerry.app.settings.render import to_toml
from skerry.app.settings.schema import Settings
from skerry.app.telemetry.ratios import hit_ratios
from skerry.base.clock import Clock
from skerry.budget.core.ladder import Rung
from skerry.budget.core.limits import WHOLE
from skerry.budget.core.month import MonthBook
from skerry.budget.core.usage import Amounts, Meter, answered
from skerry.cdn.core.freshness import judge
from skerry.cdn.core.route import Matched, RouteTable
from skerry.cdn.ports import Entry, RoutePolicy, Variants
from skerry.dashboard.facts import (
    Answered,
    FillRow,
    IncidentRow,
    Money,
    ObjectRow,
    ObjectsFound,
)
from skerry.registry.operations import ImageRow, Operations, Status, UpstreamStatus, Verified
from skerry.store.departures import Departure, Departures
from skerry.telemetry.core.incidents import Incident, Origin
from skerry.telemetry.events import Event
from skerry.telemetry.horizon import Expiry, Horizon
from skerry.telemetry.metrics import Registry
from skerry.telemetry.ratios import HitRatio
from skerry.upstream.fill_statistics import FillProgress
from skerry.upstream.fills import Fills

SCANNED_MAX = 20_000
"""So many of the objects used last are looked at for a search."""
SCAN_STEP = 200
"""After so many the others have their turn."""


@dataclass(frozen=True, slots=True)
class EdgeSide:
    """What the edge has for its pages; a node without sites has none."""

    variants: Variants
    table: Callable[[], RouteTable]
    sites: Callable[[], tuple[UpstreamStatus, ...]]


@dataclass(frozen=True, slots=True)
class Counted:
    """Where the numbers of a node are."""

    metrics: Registry
    horizon: Horizon
    fills: Fills
    clock: Clock


class NodeFacts:
    """`dashboard.facts.Facts` of one node."""

    def __init__(
        self,
        operations: Operations,
        status: Callable[[], Awaitable[Status]],
        counted: Counted,
        *,
        settings: Callable[[], Settings],
        not_ready: Callable[[], str],
        verify: Callable[[str], Awaitable[Verified]],
        budget: NodeBudget,
        edge: EdgeSide | None = None,
        incidents: Callable[[], Sequence[Incident]] = lambda: (),
        departures: Departures | None = None,
    ) -> None:
        self._operations = operations
        self._counted = counted
        self._settings = settings
        self._verify = verify
        self._budget = budget
        self._edge = edge
        self._incidents = incidents
        self._departures = departures or Departures()
        self._status = status
        self.not_ready = not_ready

    def now(self) -> float:
        return self._counted.clock.now()

    async def status(self) -> Status:
        return await self._status()

    async def images(self) -> Sequence[ImageRow]:
        return await self._operations.list_images()

    async def verified(self, reference: str) -> Verified:
        return await self._verify(reference)

    def has_policies(self) -> bool:
        return bool(self._settings().trust.policies)

    def departed(self, wanted: str, kind: str) -> Sequence[Departure]:
        return self._departures.find(wanted, kind=kind)

    async def objects(self, wanted: str, rows_max: int, beyond: int = 0) -> ObjectsFound:
        if self._edge is None:
            return ObjectsFound((), 0)
        table, now, rows = self._edge.table(), self.now(), list[ObjectRow]()
        for number, entry in enumerate(self._edge.variants.newest(beyond + SCANNED_MAX + 1)):
            if number % SCAN_STEP == 0:
                await asyncio.sleep(0)
            if number < beyond:
                continue
            if len(rows) == rows_max or number == beyond + SCANNED_MAX:
                return ObjectsFound(rows, number, more=True)
            if wanted in _url(entry):
                rows.append(self._object(self._edge.variants, entry, table, now))
        return ObjectsFound(rows, beyond)

    def _object(self, variants: Variants, entry: Entry, table: RouteTable, now: float) -> ObjectRow:
        found = table.match(host=entry.key.host, path=entry.key.path, method="GET")
        policy = found.route.policy if isinstance(found, Matched) else RoutePolicy()
        size, slices = entry.stored.size_bytes, None
        if entry.slice_bytes and size is not None:
            slices = (len(variants.slices(entry)), -(-size // entry.slice_bytes))
        judged = judge(entry.stored, now, policy)
        return ObjectRow(
            url=_url(entry),
            status=entry.stored.status,
            size_bytes=size,
            stored_at=entry.stored.received_at,
            fresh_until=now if judged.must_validate else now + judged.ttl_seconds,
            last_used=entry.last_used,
            slices=slices,
        )

    def ratios(self) -> Sequence[HitRatio]:
        return hit_ratios(self._counted.metrics)

    def fills(self) -> Sequence[FillRow]:
        return [_fill(each) for each in self._counted.fills.statistics().flying]

    async def events(self) -> Sequence[Event]:
        return (await self._operations.events(0.0))[::-1]

    def expiries(self) -> Sequence[Expiry]:
        return self._counted.horizon.expiries()

    async def money(self) -> Money | None:
        if not self._settings().budget.prices_file:
            return None
        state = await self._budget.stand()
        whole = next((each for each in state.ladders if each.scope == WHOLE), None)
        return Money(
            currency=state.currency,
            spent_micro=state.spent_micro,
            forecast=(
                state.forecast.low_micro,
                state.forecast.middle_micro,
                state.forecast.high_micro,
            ),
            budget_micro=whole.amount_micro if whole else None,
            rung=whole.means if whole and whole.rung else "",
            upstreams_held=whole is not None and whole.rung >= Rung.CACHED_ONLY,
            period=state.period,
        )

    async def month(self, name: str) -> MonthBook | None:
        if not self._settings().budget.prices_file:
            return None
        period = month_named(name, self._budget) if name else self._budget.books.month()
        return await self._budget.aside.read(self._budget.desk.month, period)

    async def answered(self) -> Answered:
        month = self._budget.books.month()
        book = await self._budget.aside.read(self._budget.desk.month, month)
        return Answered(
            tuple(_ledger_ratio(name, used) for name, used in book.sites),
            tuple(_ledger_ratio(name, used) for name, used in book.upstreams),
        )

    async def incidents(self) -> Sequence[IncidentRow]:
        return [_incident(each) for each in reversed(self._incidents())]

    def settings(self) -> str:
        return to_toml(self._settings())


def _incident(found: Incident) -> IncidentRow:
    return IncidentRow(
        f"{found.lost.value} {found.what}",
        found.began_at,
        found.noticed_at,
        found.good_at,
        found.back_at,
        drill=found.origin is Origin.DRILL,
        cause=found.cause,
    )


def _ledger_ratio(name: str, used: Amounts) -> HitRatio:
    return HitRatio(
        name,
        requests=answered(used),
        hits=used[Meter.HITS],
        stale=used[Meter.STALE],
        collapsed=used[Meter.SHARED],
        body_bytes=used[Meter.SAVED_BYTES] + used[Meter.INGRESS_BYTES],
        hit_bytes=used[Meter.SAVED_BYTES],
    )


def _url(entry: Entry) -> str:
    query = f"?{entry.key.query}" if entry.key.query else ""
    return f"{entry.key.origin}{entry.key.path}{query}"


def _fill(flying: FillProgress) -> FillRow:
    """Without what it is called: a URL may be secret, a digest is none of a sensitive object."""
    what = f"{flying.key.authority} {flying.key.digest or 'a page'}"
    return FillRow(what, flying.started_at, flying.received_bytes, flying.size_bytes)
