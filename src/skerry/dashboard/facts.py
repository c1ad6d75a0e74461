"""What the pages show, as values.

Owns the Protocol that the node fills in. A page never asks a room of the node itself, so that the
numbers on it are those of the status command and of the metrics.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from skerry.budget.core.month import MonthBook
from skerry.registry.operations import ImageRow, Status, Verified
from skerry.store.departures import Departure
from skerry.telemetry.events import Event
from skerry.telemetry.horizon import Expiry
from skerry.telemetry.ratios import HitRatio
from skerry.trust.tokens.core.rules import Role


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who looks.

    Attributes:
        name: as they logged in, for people.
        csrf: what every form of theirs carries; "" where there is nothing to forge.
        may_act: whether they may change anything.
        role: what the API is asked with for them.
    """

    name: str
    csrf: str
    may_act: bool
    role: Role = Role.VIEWER


@dataclass(frozen=True, slots=True)
class FillRow:
    """One content on its way in. `started_at` is in seconds since the epoch."""

    what: str
    started_at: float
    received_bytes: int
    size_bytes: int | None


@dataclass(frozen=True, slots=True)
class ObjectRow:
    """One response that the edge has stored; times are in seconds since the epoch.

    Attributes:
        fresh_until: when it has to be asked about again.
        slices: how many of its slices are here, of how many; None for a whole body.
        sensitive objects are never listed: they are not stored.
    """

    url: str
    status: int
    size_bytes: int | None
    stored_at: float
    fresh_until: float
    last_used: float
    slices: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Money:
    """What this node costs, in micro-units of a currency.

    Attributes:
        forecast: at the end of the period: low, likely, high.
        budget_micro: None where none is set.
        rung: what the budget has the node do now; "" for nothing.
        period: what it is for: a month as 2026-06, or a day as 2026-06-07.
        upstreams_held: at the last rung nobody outside is asked, but for what is protected.
    """

    currency: str
    spent_micro: int
    forecast: tuple[int, int, int]
    budget_micro: int | None
    rung: str
    period: str = ""
    upstreams_held: bool = False


@dataclass(frozen=True, slots=True)
class IncidentRow:
    """Something that was lost, and how long it took; times are in seconds since the epoch.

    Attributes:
        noticed_at, served_at, back_at: None while it has not happened.
    """

    what: str
    began_at: float
    noticed_at: float | None
    served_at: float | None
    back_at: float | None
    drill: bool = False
    cause: str = ""


@dataclass(frozen=True, slots=True)
class ObjectsFound:
    """Some of what was looked for. `beyond` is where to look on, when there is `more`."""

    rows: Sequence[ObjectRow]
    beyond: int
    more: bool = False


@dataclass(frozen=True, slots=True)
class Answered:
    """How much each site and each upstream's images were answered from here, this month."""

    sites: tuple[HitRatio, ...] = ()
    upstreams: tuple[HitRatio, ...] = ()


class Facts(Protocol):
    """The node, to its pages. Answers from memory or the disk; asks nobody outside."""

    def now(self) -> float:
        """Seconds since the epoch."""

    def not_ready(self) -> str:
        """Why what is cached cannot be served, "" when it can."""

    async def status(self) -> Status: ...

    async def images(self) -> Sequence[ImageRow]:
        """Every image, by reference."""

    async def verified(self, reference: str) -> Verified:
        """Whose signatures an image has. Raises SkerryError."""

    def has_policies(self) -> bool:
        """Whether anything here has to be signed."""

    def departed(self, wanted: str, kind: str) -> Sequence[Departure]:
        """What was evicted and whose name holds `wanted`, the latest first."""

    async def answered(self) -> Answered: ...

    async def objects(self, wanted: str, rows_max: int, beyond: int = 0) -> ObjectsFound:
        """What the edge has stored whose URL holds `wanted`, the latest used first, without the
        first `beyond` of all."""

    def ratios(self) -> Sequence[HitRatio]: ...

    def fills(self) -> Sequence[FillRow]: ...

    async def events(self) -> Sequence[Event]:
        """What happened, the newest first."""

    def expiries(self) -> Sequence[Expiry]:
        """What needs the outside one day, the first to end first."""

    async def money(self) -> Money | None:
        """None where no prices are set."""

    async def month(self, name: str) -> MonthBook | None:
        """The ledger of a month, "" for the one that runs; None where no prices are set. Raises
        BadInput."""

    async def incidents(self) -> Sequence[IncidentRow]:
        """The newest first."""

    def settings(self) -> str:
        """The configuration as running, as TOML, secrets masked."""
