"""Whether visitors are about, and leaving the link to them.

Owns what is remembered of them, the rests, and the turns of small questions. How much to ask for
beside them, and how long to rest after it, is `core.courtesy`'s.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from skerry.base.clock import Clock
from skerry.cdn.core import courtesy
from skerry.cdn.core.courtesy import Courtesy

T = TypeVar("T")

REST_LOOK_SECONDS = 1.0
"""Between looks at whether visitors are still about."""
SMALL_REST_SECONDS = 0.1
"""After a question without a body, beside visitors: such a one takes the link for milliseconds, and
the node as much."""


class Yielding:
    """What one that fetches ahead asks before and after each fetch.

    Args:
        busy: whether something is being fetched for visitors, or for images, at this moment.
        visits: visitors' requests that asked the outside, since start.
        share: of the time, taken while visitors are about.
    """

    def __init__(
        self, *, clock: Clock, busy: Callable[[], bool], visits: Callable[[], int], share: float
    ) -> None:
        self._clock = clock
        self._busy = busy
        self._visits = visits
        self.courtesy = Courtesy(share)
        self._turn = asyncio.Lock()

    def look(self) -> bool:
        """Whether something is fetched for others at this moment; remembers visitors."""
        busy = self._busy()
        self._remember(busy=busy)
        return busy

    def window_bytes(self, slice_bytes: int) -> int:
        """How much to ask for at once, in whole slices."""
        self.look()
        return courtesy.window_bytes(self.courtesy, slice_bytes, self._clock.monotonic())

    async def rest(self, took_seconds: float, *, rested_seconds: float) -> None:
        """After a fetch that took so long, of which so much rest was had already. It ends when
        visitors have left: after a slow answer it would be minutes."""
        self.look()
        now = self._clock.monotonic()
        left = courtesy.rest_seconds(self.courtesy, took_seconds, now) - rested_seconds
        while left > 0 and self.courtesy.about(self._clock.monotonic()):
            await self._clock.sleep(min(left, REST_LOOK_SECONDS))
            left -= REST_LOOK_SECONDS
            self.look()

    async def small(self, ask: Callable[[], Awaitable[T]]) -> T:
        """One question without a body: beside visitors one at a time, with a rest after each."""
        self._remember(busy=False)  # what flies may be a question of our own
        if not self.courtesy.about(self._clock.monotonic()):
            return await ask()
        async with self._turn:
            answer = await ask()
            await self._clock.sleep(SMALL_REST_SECONDS)
            return answer

    def _remember(self, *, busy: bool) -> None:
        now = self._clock.monotonic()
        self.courtesy = courtesy.looked(self.courtesy, self._visits(), busy=busy, now=now)
