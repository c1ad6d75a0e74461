"""How soon a reader of a fill gets bytes from the disk: no later than it must be."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from skerry.adapters import disk_spool
from skerry.adapters.disk_store import DiskStore
from skerry.aio.tasks import Nursery
from skerry.base.clock import SystemClock
from skerry.base.digest import digest_of
from skerry.store.ports import HELD_BACK_BYTES
from skerry.telemetry.events import Events
from skerry.telemetry.metrics import Registry
from skerry.telemetry.validation import ValidationFailures
from skerry.upstream.fills import FillKey, Fills
from skerry.upstream.testing import ScriptedPlace

SMALL = b"a config is small"


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[DiskStore]:
    made = DiskStore(tmp_path / "data", clock=SystemClock(), budget_bytes=1 << 30)
    yield made
    await made.close()


async def test_a_small_content_is_answered_when_it_is_proven_and_durable_after(
    store: DiskStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk_moves = threading.Event()
    fsync = os.fsync

    def slow_fsync(fd: int) -> None:
        disk_moves.wait(10)
        fsync(fd)

    monkeypatch.setattr(os, "fsync", slow_fsync)
    clock, nursery = SystemClock(), Nursery(on_crash=lambda name, error: None)
    fills = Fills(
        store,
        nursery,
        clock=clock,
        events=Events(clock.now),
        metrics=Registry(),
        failures=ValidationFailures(Registry()),
    )
    digest = digest_of(SMALL)
    fill = fills.get(FillKey(digest, "up.test"), [ScriptedPlace("origin", SMALL)])
    try:
        assert await asyncio.wait_for(fill.opened(), 5) == len(SMALL)
        assert store.size_of(digest) is None
    finally:
        disk_moves.set()
    await asyncio.wait_for(fill.done(), 5)
    assert store.size_of(digest) == len(SMALL)
    await nursery.close()


async def test_the_first_bytes_wait_for_no_thread(store: DiskStore) -> None:
    data = os.urandom(1 << 20)
    go = threading.Event()
    with ThreadPoolExecutor(1) as busy:
        busy.submit(go.wait, 10)
        store._desk = replace(store._desk, run_in=busy)
        spool = await store.begin(size_bytes=len(data))
        await spool.write(data[:-1])
        reader = spool.follow(0, len(data))
        shown = await asyncio.wait_for(reader.readable(0), 5)
        assert shown == disk_spool.FIRST_BYTES - HELD_BACK_BYTES
        assert os.pread(reader.fileno(), shown, 0) == data[:shown]
        reader.close()
        go.set()
        await spool.write(data[-1:])
        await spool.commit(digest_of(data))
    assert await store.read(digest_of(data), bytes_max=1 << 20) == data
