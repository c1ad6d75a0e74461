"""One node's fills with everything around them in memory, for the tests beside."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator

from skerry.aio.tasks import Nursery
from skerry.base.clock import ManualClock
from skerry.base.digest import digest_of
from skerry.store.testing import MemoryStore, read_segment
from skerry.telemetry.events import Events
from skerry.telemetry.metrics import Registry
from skerry.telemetry.validation import ValidationFailures
from skerry.upstream.fills import Fill, FillKey, Fills
from skerry.upstream.testing import ScriptedPlace

DATA = random.Random(7).randbytes(300_000)
DIGEST = digest_of(DATA)
KEY = FillKey(DIGEST, "docker.io")
GUARD_SECONDS = 10.0


class Bench:
    """One node's fills, with everything around them in memory."""

    def __init__(self, *, fills_max: int = 64) -> None:
        self.clock = ManualClock()
        self.store = MemoryStore(self.clock)
        self.crashes: list[BaseException] = []
        self.nursery = Nursery(on_crash=lambda _, error: self.crashes.append(error))
        self.events = Events(self.clock.now)
        self.fills = Fills(
            self.store,
            self.nursery,
            clock=self.clock,
            events=self.events,
            metrics=Registry(),
            failures=ValidationFailures(Registry()),
            fills_max=fills_max,
        )

    def get(self, *places: ScriptedPlace, size: int | None = None, keep: bool = True) -> Fill:
        return self.fills.get(KEY, places, size_bytes=size, keep=keep)

    def assert_nothing_is_left(self, *places: ScriptedPlace) -> None:
        assert len(self.nursery) == 0
        assert not self.store.spools
        assert [place.open_count for place in places] == [0] * len(places)
        assert not self.fills.statistics().flying
        assert not self.crashes


async def soon(awaitable: object) -> object:
    return await asyncio.wait_for(awaitable, GUARD_SECONDS)  # type: ignore[arg-type]


async def read(fill: Fill, offset: int = 0, size: int | None = None) -> bytes:
    await fill.opened()
    body = fill.body(offset, size)
    if isinstance(body, AsyncIterator):
        return b"".join([chunk async for chunk in body])
    return body if isinstance(body, bytes) else await read_segment(body)


async def settle(bench: Bench) -> None:
    """Until every fill has ended."""
    while bench.fills.statistics().flying:  # noqa: ASYNC110  turns of the loop, no event to await
        await asyncio.sleep(0)
