"""Whose slow check comes next.

Owns the order in which passwords are looked at: one at a time, because each costs a tenth of a
second of a core, and place by place in turn, so that whoever guesses makes only their own place
wait. A place is an address, and may be five hundred people (requirements L1): it has no bound of
its own; the tries for one identity from one place have.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from skerry.base.errors import Party, SkerryError

WAITING_MAX = 1024
SAME_MAX = 4


class Busy(SkerryError):
    """Too many wait already."""

    party = Party.CLIENT


@dataclass(frozen=True, slots=True)
class TurnsStatistics:
    """A snapshot: tries that wait or are looked at, and places they come from."""

    waiting_count: int
    place_count: int


class Turns:
    """Lets one in at a time."""

    def __init__(self) -> None:
        self._queues: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()
        self._waiting: Counter[tuple[str, str]] = Counter()
        self._taken = False

    @asynccontextmanager
    async def turn(self, near: str, identity: str) -> AsyncIterator[None]:
        """Waits for the turn of a place. Raises Busy."""
        key = (near, identity)
        if self._waiting[key] >= SAME_MAX or self._waiting.total() >= WAITING_MAX:
            raise Busy("too many passwords wait to be checked", next_step="try again in 1 s")
        self._waiting[key] += 1
        try:
            await self._enter(near)
            try:
                yield
            finally:
                self._next()
        finally:
            self._waiting[key] -= 1
            if not self._waiting[key]:
                del self._waiting[key]

    async def _enter(self, near: str) -> None:
        if not self._taken:
            self._taken = True
            return
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queues.setdefault(near, deque()).append(mine)
        try:
            await mine
        except asyncio.CancelledError:
            if mine.done() and not mine.cancelled():
                self._next()  # it was our turn just when we left
            raise

    def _next(self) -> None:
        """The turn goes to the place that has waited longest since its last one."""
        while self._queues:
            near, queue = self._queues.popitem(last=False)
            first = queue.popleft()
            if queue:
                self._queues[near] = queue  # behind all others
            if not first.done():
                first.set_result(None)
                return
        self._taken = False

    def statistics(self) -> TurnsStatistics:
        """A snapshot."""
        return TurnsStatistics(self._waiting.total(), len(self._queues))
