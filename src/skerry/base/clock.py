"""Time as an argument.

Owns the port; never decides anything. Deadlines use `monotonic`, records that must outlive a
restart use `now`.
"""

from __future__ import annotations

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """Where time comes from."""

    def now(self) -> float:
        """Seconds since the epoch, UTC. May be stepped by the operator."""

    def monotonic(self) -> float:
        """Seconds since an arbitrary point; never goes back."""

    async def sleep(self, seconds: float) -> None:
        """Waits; cancellation is let through."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class ManualClock:
    """A clock that a test moves by hand. `sleep` returns once `advance` has passed its end."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self._now = now
        self._monotonic = 0.0
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []

    def now(self) -> float:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    async def sleep(self, seconds: float) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers.append((self._monotonic + seconds, future))
        await future

    def advance(self, seconds: float) -> None:
        """Moves both clocks on and wakes whoever slept until then."""
        self._now += seconds
        self._monotonic += seconds
        due = [item for item in self._sleepers if item[0] <= self._monotonic]
        self._sleepers = [item for item in self._sleepers if item[0] > self._monotonic]
        for _, future in due:
            if not future.done():
                future.set_result(None)

    def step(self, seconds: float) -> None:
        """Steps the wall clock alone, as an operator or NTP would."""
        self._now += seconds
