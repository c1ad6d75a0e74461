"""What a node does now and then for its own records.

Owns when noted uses are written, given-up uploads thrown away and the catalog copied, and what is
told when that finds damage. Never looks into a record.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence

from skerry.adapters.sqlite_catalog import SqliteCatalog
from skerry.base.clock import Clock
from skerry.base.errors import SkerryError
from skerry.telemetry.events import Events, Level

UPKEEP_SECONDS = 30.0
FIRST_COPY_SECONDS = 600.0
COPY_SECONDS = 6 * 3600.0


class Upkeep:
    """The records of one node."""

    def __init__(
        self,
        *,
        catalog: SqliteCatalog,
        flushes: Sequence[Callable[[], Awaitable[None]]],
        sweep: Callable[[], Awaitable[int]],
        clock: Clock,
        events: Events,
    ) -> None:
        """`flushes` write noted uses out; `sweep` throws given-up uploads away."""
        self._catalog = catalog
        self._flushes = flushes
        self._sweep = sweep
        self._clock = clock
        self._events = events
        self._copy_at = clock.monotonic() + FIRST_COPY_SECONDS
        self._damage_told = False

    def tell_of_restore(self) -> None:
        """An event when a copy took a damaged catalog's place at this start."""
        if self._catalog.restored_at is None:
            return
        taken = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(self._catalog.restored_at))
        self._events.emit(
            "catalog.restored",
            "catalog",
            cause=f"the file was damaged: its copy of {taken} took its place",
            next_step="check the disk; later names are learnt anew, push again what was pushed"
            " since; the damaged file is kept beside it",
            level=Level.ERROR,
        )

    async def run(self) -> None:
        """For ever."""
        while True:
            await self._clock.sleep(UPKEEP_SECONDS)
            for flush in self._flushes:
                await flush()
            await self._sweep()
            await self._copy()
            self._tell_of_damage()

    async def _copy(self) -> None:
        if self._clock.monotonic() < self._copy_at or self._catalog.damaged:
            return
        self._copy_at = self._clock.monotonic() + COPY_SECONDS
        try:
            await self._catalog.copy()
        except SkerryError as error:
            self._events.emit(
                "catalog.not_copied",
                "catalog",
                cause=error.what,
                next_step=error.next_step,
                level=Level.WARNING,
            )

    def _tell_of_damage(self) -> None:
        if self._catalog.damaged and not self._damage_told:
            self._damage_told = True
            self._events.emit(
                "catalog.damaged",
                "catalog",
                cause="its file cannot be read in places",
                next_step="restart the node: the last sound copy takes over; then check the disk",
                level=Level.ERROR,
            )
