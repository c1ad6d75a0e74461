"""Long contents without a name: shown when they are whole, hashed and named behind that."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from random import Random

import pytest

from skerry.adapters import disk_layout, disk_spool
from skerry.adapters.disk_spool import DiskSpool
from skerry.adapters.disk_store import DiskStore
from skerry.base.clock import SystemClock
from skerry.base.digest import Digest, digest_of
from skerry.store.ports import DigestMismatch, SpoolAborted, StoreError
from skerry.store.testing import read_segment
from skerry.wire.message import Segment

DATA = Random(35).randbytes(20 << 20)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[DiskStore]:
    made = DiskStore(tmp_path, clock=SystemClock(), budget_bytes=1 << 30)
    yield made
    await made.close()


class Gate:
    """Stands in front of every reading that hashes."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.reached = threading.Event()
        self.error: OSError | None = None

    def __call__(self, fd: int, hasher: disk_layout.Hasher, offset: int, size: int) -> int:
        self.reached.set()
        self.open.wait(20)
        if self.error is not None:
            os.close(fd)
            raise self.error
        return disk_layout.hash_and_close(fd, hasher, offset, size)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    made = Gate()
    monkeypatch.setattr(disk_spool, "hash_and_close", made)
    yield made
    made.open.set()


async def written(store: DiskStore, *, size_bytes: int | None = len(DATA)) -> DiskSpool:
    spool = await store.begin(size_bytes=size_bytes, named=False)
    assert isinstance(spool, DiskSpool)
    for start in range(0, len(DATA), 300_000):
        await spool.write(DATA[start : start + 300_000])
    return spool


async def reached(gate: Gate) -> None:
    await asyncio.to_thread(gate.reached.wait, 20)


def whole(spool: DiskSpool) -> Segment:
    return spool.follow(0, len(DATA))


@pytest.mark.parametrize("size_bytes", [len(DATA), None])
async def test_readers_have_the_end_before_the_hash_and_nobody_the_blob(
    store: DiskStore, gate: Gate, tmp_path: Path, size_bytes: int | None
) -> None:
    spool = await written(store, size_bytes=size_bytes)
    proven = asyncio.Event()
    commit = asyncio.ensure_future(spool.commit(None, when_proven=proven.set))
    await reached(gate)
    assert await read_segment(whole(spool)) == DATA
    assert proven.is_set()
    assert spool.digest is None
    assert not commit.done()
    assert not [path for path in (tmp_path / "blobs").rglob("*") if path.is_file()]
    gate.open.set()
    assert await commit == spool.digest == digest_of(DATA)
    assert await read_segment(store.open(digest_of(DATA))) == DATA
    assert await store.verify(digest_of(DATA))


async def test_the_name_is_known_before_the_blob_is_visible(
    store: DiskStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = await written(store)
    seen: list[Digest | None] = []
    fsync = os.fsync

    def watched(fd: int) -> None:
        seen.append(spool.digest)
        fsync(fd)

    monkeypatch.setattr(os, "fsync", watched)
    await spool.commit(None)
    assert seen[0] == digest_of(DATA)


async def test_what_cannot_be_read_again_is_not_kept(
    store: DiskStore, gate: Gate, tmp_path: Path
) -> None:
    spool = await written(store)
    reader = asyncio.ensure_future(read_segment(whole(spool)))
    gate.error = OSError(5, "Input/output error")
    gate.open.set()
    with pytest.raises(StoreError, match="storing a content without a name"):
        await spool.commit(None)
    assert await reader == DATA
    assert store.statistics().spool_count == store.statistics().blob_count == 0
    assert list((tmp_path / "ingest").iterdir()) == []


async def test_a_file_that_somebody_cut_is_not_kept(store: DiskStore, tmp_path: Path) -> None:
    spool = await written(store)
    await asyncio.wait_for(whole(spool).readable(len(DATA) - 1), 20)
    (file,) = (tmp_path / "ingest").iterdir()
    os.truncate(file, len(DATA) // 2)
    with pytest.raises(StoreError):
        await spool.commit(None)
    assert store.statistics().blob_count == 0
    assert list((tmp_path / "ingest").iterdir()) == []


async def test_a_writer_who_leaves_does_not_stop_it(store: DiskStore, gate: Gate) -> None:
    spool = await written(store)
    commit = asyncio.ensure_future(spool.commit(None))
    await reached(gate)
    commit.cancel()
    with pytest.raises(asyncio.CancelledError):
        await commit
    await spool.abort(SpoolAborted("too late"))
    gate.open.set()
    await asyncio.wait_for(spool.gone, 20)
    assert store.size_of(digest_of(DATA)) == len(DATA)


async def test_a_store_that_closes_waits_for_it(tmp_path: Path, gate: Gate) -> None:
    store = DiskStore(tmp_path, clock=SystemClock(), budget_bytes=1 << 30)
    spool = await written(store)
    commit = asyncio.ensure_future(spool.commit(None))
    await reached(gate)
    close = asyncio.ensure_future(store.close())
    gate.open.set()
    await close
    assert await commit == digest_of(DATA)


@pytest.mark.parametrize("chunk_bytes", [10_000, 300_000])
async def test_the_hash_is_never_further_behind_than_allowed(
    store: DiskStore, monkeypatch: pytest.MonkeyPatch, chunk_bytes: int
) -> None:
    """What it reads again late would have to come from the disk."""
    allowed, furthest = 2 << 20, 0
    monkeypatch.setattr(disk_spool, "BEHIND_BYTES_MAX", allowed)
    spool = await store.begin(named=False)
    assert isinstance(spool, DiskSpool)
    for start in range(0, len(DATA), chunk_bytes):
        await spool.write(DATA[start : start + chunk_bytes])
        furthest = max(furthest, spool._written - spool._hashed)
    assert furthest > allowed // 2
    assert furthest <= allowed + 2 * disk_spool.PENDING_BYTES_MAX
    assert await spool.commit(None) == digest_of(DATA)


async def test_a_digest_that_turns_up_at_the_end_is_proven_first(store: DiskStore) -> None:
    spool = await written(store)
    reader = asyncio.ensure_future(read_segment(whole(spool)))
    assert await spool.commit(digest_of(DATA)) == digest_of(DATA)
    assert await reader == DATA
    liar = await written(store)
    with pytest.raises(DigestMismatch):
        await liar.commit(digest_of(b"another"))
    assert store.statistics().blob_count == 1
