"""Keeps the mark of the time that was seen.

Owns when it is read and written, and what is told when the machine's clock is behind it or it
cannot be written. Judges no expiry.
"""

from __future__ import annotations

import asyncio

from skerry.base.clock import Clock
from skerry.base.high_water import SAVE_SECONDS, HighWater, Mark
from skerry.base.units import format_seconds
from skerry.telemetry.events import Events, Level

AHEAD_SECONDS = 60.0
"""How far a clock may go ahead at once before that is worth a word: time services step by less."""


class ClockUpkeep:
    """The mark of one node."""

    def __init__(self, high_water: HighWater, mark: Mark, *, clock: Clock, events: Events) -> None:
        self._high_water = high_water
        self._mark = mark
        self._clock = clock
        self._events = events
        self._told_behind = self._told_unsaved = False
        self._looked_at = clock.now(), clock.monotonic()

    async def begin(self) -> None:
        """Takes up what was seen before, and reserves the time to come."""
        self._high_water.recall(await asyncio.to_thread(self._mark.read))
        await self._keep()

    async def run(self) -> None:
        """For ever."""
        while True:
            await self._clock.sleep(SAVE_SECONDS / 4)
            await self._keep()

    async def end(self) -> None:
        """Writes what was seen and no more: the next start need not wait for the reserve."""
        await self._write(self._high_water.now())

    async def _keep(self) -> None:
        wanted = self._high_water.to_save()
        if wanted is not None:
            await self._write(wanted)
        self._tell_ahead()
        self._tell_behind()  # after it: who comes back from behind goes ahead, and is right

    async def _write(self, at: float) -> None:
        try:
            await asyncio.to_thread(self._mark.write, at)
        except OSError as error:
            if not self._told_unsaved:
                self._told_unsaved = True
                self._events.emit(
                    "clock.not_saved",
                    "clock.mark",
                    cause=error.strerror or type(error).__name__,
                    next_step="make the data directory writable: until then a clock that is set"
                    " back over a restart could revive what has expired",
                    level=Level.WARNING,
                )
            return
        self._told_unsaved = False
        self._high_water.saved(at)

    def _tell_behind(self) -> None:
        behind = self._high_water.behind_seconds
        if behind and not self._told_behind:
            self._events.emit(
                "clock.behind",
                "clock",
                cause=f"the machine's clock is {format_seconds(behind)} behind what this node"
                " has seen; expiries are judged by what was seen",
                next_step="set the clock right; if it was wrong before and is right now, stop the"
                " node, delete clock.mark in its data directory and start it",
                level=Level.WARNING,
            )
        elif self._told_behind and not behind:
            self._events.emit("clock.right", "clock", cause="it is not behind any more")
        self._told_behind = bool(behind)

    def _tell_ahead(self) -> None:
        (wall, steady), now = self._looked_at, (self._clock.now(), self._clock.monotonic())
        self._looked_at = now
        ahead = (now[0] - wall) - (now[1] - steady)
        if ahead > AHEAD_SECONDS:
            self._events.emit(
                "clock.ahead",
                "clock",
                cause=f"the machine's clock went ahead by {format_seconds(ahead)} at once, or the"
                " machine slept; what expires by then has expired, and ages are by that clock",
                next_step="see that it is right (timedatectl, chronyc tracking); if it is not, set"
                " it right at once: what was seen of time is not taken back",
                level=Level.WARNING,
            )
