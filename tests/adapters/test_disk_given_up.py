"""A spool that was given up: its file is closed by a thread, at any moment of who still asks."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from skerry.adapters import disk_layout, disk_spool
from skerry.adapters.disk_spool import DiskSpool
from skerry.adapters.disk_store import DiskStore
from skerry.base.clock import SystemClock
from skerry.base.digest import digest_of
from skerry.store.ports import SpoolAborted
from skerry.store.testing import read_segment
from skerry.wire.message import BodyAborted

DATA = b"layer" * 20_000


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[DiskStore]:
    made = DiskStore(tmp_path, clock=SystemClock(), budget_bytes=1 << 30)
    yield made
    await made.close()


async def begun(store: DiskStore) -> DiskSpool:
    spool = await store.begin()
    assert isinstance(spool, DiskSpool)
    await spool.write(DATA)
    return spool


async def test_a_late_follower_never_copies_a_descriptor_that_a_thread_is_closing(
    store: DiskStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worst moment: the thread closes it between the look and the copy."""
    spool = await begun(store)
    before, closed = threading.Event(), threading.Event()
    unlink, dup = disk_layout.unlink_quietly, os.dup

    def held(path: str) -> None:
        before.wait(20)
        unlink(path)

    def late(fd: int) -> int:
        before.set()
        assert closed.wait(20)
        return dup(fd)

    monkeypatch.setattr(disk_spool, "unlink_quietly", held)
    monkeypatch.setattr(os, "dup", late)
    real, close = spool._close, os.close

    def closing(fd: int) -> None:
        close(fd)
        closed.set()

    real.detach()
    monkeypatch.setattr(spool, "_close", Closing(lambda: closing(spool._fd)))
    giving_up = asyncio.ensure_future(spool.abort(SpoolAborted("it is shorter")))
    await asyncio.sleep(0)
    with pytest.raises(BodyAborted, match="it is shorter"):
        await read_segment(spool.follow(0, len(DATA)))
    before.set()
    await giving_up


class Closing:
    """What closes the descriptor, `alive` until it has."""

    def __init__(self, close: object) -> None:
        self.alive = True
        self._close = close

    def __call__(self) -> None:
        assert callable(self._close)
        self._close()
        self.alive = False


async def test_what_is_given_up_while_it_is_proven_is_not_stored(
    store: DiskStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its file is closed by then: the number may be another file's, which would be synced."""
    spool = await begun(store)
    reached, go_on = threading.Event(), threading.Event()
    hash_again = spool._hash_again

    def held(algorithm: str) -> None:
        reached.set()
        go_on.wait(20)
        hash_again(algorithm)

    monkeypatch.setattr(spool, "_hash_again", held)
    commit = asyncio.ensure_future(spool.commit(digest_of(DATA, "sha512")))
    await asyncio.to_thread(reached.wait, 20)
    giving_up = asyncio.ensure_future(spool.abort(SpoolAborted("nobody wants it")))
    await asyncio.sleep(0)
    go_on.set()
    with pytest.raises(SpoolAborted):
        await commit
    await giving_up
    assert store.statistics().blob_count == store.statistics().spool_count == 0
    assert list((tmp_path / "ingest").iterdir()) == []
