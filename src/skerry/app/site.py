"""What every room of a node is built on: what the node has before anything is opened, and what was
opened first.

Owns the two values. Opens nothing.
"""

from __future__ import annotations

import random
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from skerry.adapters.disk_store import DiskStore
from skerry.adapters.resolver import NameResolver
from skerry.adapters.sqlite_catalog import SqliteCatalog
from skerry.adapters.sqlite_telemetry import SqliteTelemetry
from skerry.adapters.sqlite_verdicts import SqliteVerdicts
from skerry.aio.tasks import Nursery
from skerry.app.doors.hot_tables import HotTables
from skerry.app.outside import Outside
from skerry.app.settings.schema import Settings
from skerry.app.telemetry.following import Following
from skerry.base.clock import Clock
from skerry.base.high_water import HighWater
from skerry.registry.assembly import Parts
from skerry.telemetry.events import Events
from skerry.telemetry.horizon import Horizon
from skerry.telemetry.metrics import Registry
from skerry.telemetry.validation import ValidationFailures
from skerry.trust.ports import NamePins

if TYPE_CHECKING:
    from skerry.trust.delegation_watch import DelegationWatch


class Site(Protocol):
    """What a node has before anything is opened; `ends` gets what must be closed."""

    settings: Settings
    clock: Clock
    high_water: HighWater
    metrics: Registry
    failures: ValidationFailures
    horizon: Horizon
    events: Events
    nursery: Nursery
    hot: HotTables
    following: Following
    chance: random.Random
    loop_id: str
    ends: AsyncExitStack


@dataclass(frozen=True, slots=True)
class Ground:
    """What was opened."""

    store: DiskStore
    catalog: SqliteCatalog
    parts: Parts
    outside: Outside
    pins: NamePins
    names: NameResolver
    verdicts: SqliteVerdicts
    book: SqliteTelemetry
    watch: DelegationWatch | None
