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
        """An event when a new catalog took a damaged one's place at this start."""
        found = self._catalog.rescue
        if found is None:
            return
        base = "there was no copy of it"
        if found.copy_at is not None:
            taken = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(found.copy_at))
            base = f"its copy of {taken} filled the holes"
        kept = f" ({found.kept_as.name})" if found.kept_as else ""
        lost = f"not all of {', '.join(found.holes)} could be read, and {base}"
        self._events.emit(
            "catalog.restored",
            "catalog",
            cause=f"the file was damaged: the new one has {found.row_count} rows of it; "
            + (lost if found.holes else "nothing is missing"),
            next_step="check the disk; lost names are learnt anew with their next pull, set again"
            f" pins and push again what `skerry ls` misses; the damaged file is kept{kept}",
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
                next_step="restart the node: it saves what can be read; then check the disk",
                level=Level.ERROR,
            )
