"""Fills over the real disk: what was received may not be in the file yet."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random

import pytest

from skerry.adapters.disk_store import DiskStore
from skerry.aio.tasks import Nursery
from skerry.base.clock import SystemClock
from skerry.base.digest import digest_of
from skerry.telemetry.events import Events
from skerry.telemetry.metrics import Registry
from skerry.telemetry.validation import ValidationFailures
from skerry.upstream.fills import FillKey, Fills
from skerry.upstream.testing import Act, ScriptedPlace

DATA = Random(3).randbytes(6_000_000)


@pytest.mark.parametrize("named", [True, False])
async def test_a_stream_waits_for_the_disk_and_never_gives_an_empty_chunk(
    tmp_path: Path, named: bool
) -> None:
    clock = SystemClock()
    crashes: list[str] = []
    nursery = Nursery(on_crash=lambda name, _: crashes.append(name))
    store = DiskStore(tmp_path, clock=clock, budget_bytes=1 << 30)
    fills = Fills(
        store,
        nursery,
        clock=clock,
        events=Events(clock.now),
        metrics=Registry(),
        failures=ValidationFailures(Registry()),
    )
    key = FillKey(digest_of(DATA) if named else None, "www.example.org", name="/a")
    fill = fills.get(key, [ScriptedPlace("origin", DATA, Act(sized=False), chunk_bytes=1 << 19)])
    async with asyncio.timeout(30):
        chunks = [chunk async for chunk in fill.stream()]
        await fill.done()
    assert all(chunks)
    assert b"".join(chunks) == DATA
    assert fill.digest == digest_of(DATA)
    assert store.size_of(digest_of(DATA)) == len(DATA)
    await nursery.close()
    await store.close()
    assert not crashes
