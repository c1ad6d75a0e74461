"""Facts that are simply set: the memory twin of `facts.Facts`.

Promises no more than the Protocol: what was set is told, at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from skerry.base.clock import Clock
from skerry.base.errors import BadInput
from skerry.budget.core.month import MonthBook
from skerry.dashboard.facts import (
    Answered,
    FillRow,
    IncidentRow,
    Money,
    ObjectRow,
    ObjectsFound,
)
from skerry.registry.operations import ImageRow, Status, Verified
from skerry.store.departures import Departure
from skerry.telemetry.events import Event
from skerry.telemetry.horizon import Expiry
from skerry.telemetry.ratios import HitRatio


@dataclass
class SetFacts:
    """`Facts` whose every answer is an attribute."""

    clock: Clock
    stands: Status
    rows: Sequence[ImageRow] = ()
    stored: Sequence[ObjectRow] = ()
    counted: Sequence[HitRatio] = ()
    flying: Sequence[FillRow] = ()
    happened: Sequence[Event] = ()
    ending: Sequence[Expiry] = ()
    lost: Sequence[IncidentRow] = ()
    costs: Money | None = None
    book: MonthBook | None = None
    signed: dict[str, Verified] = field(default_factory=dict)
    gone: Sequence[Departure] = ()
    month_ratios: Answered = field(default_factory=Answered)
    unready: str = ""
    toml: str = ""

    def now(self) -> float:
        return self.clock.now()

    def not_ready(self) -> str:
        return self.unready

    async def status(self) -> Status:
        return self.stands

    async def images(self) -> Sequence[ImageRow]:
        return self.rows

    async def verified(self, reference: str) -> Verified:
        return self.signed.get(reference, Verified(reference, "", "", accepted=True))

    def has_policies(self) -> bool:
        return bool(self.signed)

    def departed(self, wanted: str, kind: str) -> Sequence[Departure]:
        return [each for each in self.gone if wanted in each.name and each.kind == kind]

    async def answered(self) -> Answered:
        return self.month_ratios

    async def objects(self, wanted: str, rows_max: int, beyond: int = 0) -> ObjectsFound:
        rows = list[ObjectRow]()
        for number, row in enumerate(self.stored[beyond:], beyond):
            if len(rows) == rows_max:
                return ObjectsFound(rows, number, more=True)
            if wanted in row.url:
                rows.append(row)
        return ObjectsFound(rows, beyond)

    def ratios(self) -> Sequence[HitRatio]:
        return self.counted

    def fills(self) -> Sequence[FillRow]:
        return self.flying

    async def events(self) -> Sequence[Event]:
        return self.happened

    def expiries(self) -> Sequence[Expiry]:
        return self.ending

    async def money(self) -> Money | None:
        return self.costs

    async def month(self, name: str) -> MonthBook | None:
        if name and not name[:1].isdigit():
            raise BadInput(f"{name!r} is no month", next_step="write it as 2026-01")
        return replace(self.book, period=name or self.book.period) if self.book else None

    async def incidents(self) -> Sequence[IncidentRow]:
        return self.lost

    def settings(self) -> str:
        return self.toml
