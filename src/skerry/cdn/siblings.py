"""All siblings of a node: purges told at once, and learned before anything old is served again.

Owns when letters are written: at the start, at every purge, every few seconds, and twice a second
to one that cannot be reached, so that a link that heals is noticed within a second from either
side. A node that cannot be reached cannot learn; it is in nobody's way. docs/internals/purge.md.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from skerry.aio.tasks import Nursery
from skerry.base.clock import Clock
from skerry.cdn.core.letters import Purged
from skerry.cdn.purges import Purges
from skerry.cdn.sibling_link import LinkStatistics, SiblingLink
from skerry.telemetry.labels import Named
from skerry.telemetry.metrics import Registry

CONFIRM_SECONDS = 1.0
"""How long a purge waits for siblings that could be reached a moment ago."""
START_SECONDS = 2.0
"""How long a start waits for what happened meanwhile."""
HEARTBEAT_SECONDS = 5.0
RETRY_SECONDS = 0.5


class Siblings:
    """The links. Nothing runs before `start`."""

    def __init__(
        self,
        links: Sequence[SiblingLink],
        *,
        purges: Purges,
        clock: Clock,
        nursery: Nursery,
        metrics: Registry,
    ) -> None:
        self.links = {link.name: link for link in links}
        self._purges = purges
        self._clock = clock
        self._nursery = nursery
        self._started = False
        purges.work.noted = self.wake
        metrics.gauge(
            "skerry_sibling_current",
            "Whether a sibling is reached and knows the same purges.",
            lambda: {(link.name,): float(link.current) for link in links},
            {"sibling": Named("siblings of the settings")},
        )
        metrics.gauge(
            "skerry_sibling_behind",
            "Purges in force here that a sibling has not confirmed.",
            lambda: {(link.name,): link.statistics().behind_count for link in links},
            {"sibling": Named("siblings of the settings")},
        )

    async def start(self) -> None:
        """Catches up with every sibling that answers, before anything is served; then goes on.

        One that does not answer within `START_SECONDS` is caught up with later.
        """
        self._started = True
        first = [self._nursery.start(self._exchange(link), name="sibling.start")
                 for link in self.links.values()]  # fmt: skip
        await self._within(first, START_SECONDS)
        for link in self.links.values():
            self._nursery.start(self._run(link), name=f"sibling {link.name}")
        self._nursery.start(self._tick(), name="sibling.tick")

    async def confirm(self, sequence: int) -> Mapping[str, bool]:
        """Which siblings have confirmed our purge of that number, in force and durable.

        Waits up to `CONFIRM_SECONDS`, and not for one that could not be reached before.
        """
        self.wake()
        hopes = [link.confirmation(sequence) for link in self.links.values()]
        await self._within(hopes, CONFIRM_SECONDS)
        return {link.name: link.confirmed(sequence) for link in self.links.values()}

    async def receive(self, sibling: str, letter: Purged) -> Purged:
        """The answer to a sibling's letter."""
        answer, news = await self.links[sibling].receive(letter)
        if news:
            self.wake()
        return answer

    def wake(self) -> None:
        """There is something to tell."""
        for link in self.links.values():
            link.wake.set()

    def statistics(self) -> tuple[LinkStatistics, ...]:
        """A snapshot of every link."""
        return tuple(link.statistics() for link in self.links.values())

    async def _within(self, waited: Sequence[asyncio.Future[bool]], seconds: float) -> None:
        left = {future for future in waited if not future.done()}
        if not left:
            return
        timer = self._nursery.start(self._clock.sleep(seconds), name="sibling.wait")
        try:
            while left and not timer.done():
                done, _ = await asyncio.wait({*left, timer}, return_when=asyncio.FIRST_COMPLETED)
                left -= done
        finally:
            timer.cancel()

    async def _exchange(self, link: SiblingLink) -> bool:
        if await link.exchange():
            self.wake()  # what one told is news to others
        return True

    async def _run(self, link: SiblingLink) -> None:
        while True:
            await link.wake.wait()
            link.wake.clear()
            await self._exchange(link)

    async def _tick(self) -> None:
        while True:
            await self._clock.sleep(RETRY_SECONDS)
            now = self._clock.monotonic()
            for link in self.links.values():
                if not link.current or now - link.heard_at >= HEARTBEAT_SECONDS:
                    link.wake.set()
