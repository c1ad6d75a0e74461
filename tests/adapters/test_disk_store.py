"""The disk: the conformance suite, disk faults, accounting, quarantine."""

from __future__ import annotations

import asyncio
import errno
import gc
import os
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from skerry.adapters.disk_store import DiskStore
from skerry.base.clock import ManualClock
from skerry.base.digest import digest_of
from skerry.store.conformance import BIG, CHECKS, Check, fill
from skerry.store.conformance_nameless import NAMELESS_CHECKS
from skerry.store.ports import BlobMissing, StoreError, StoreFull
from skerry.store.testing import read_segment


def opened(data_dir: Path, budget_bytes: int = 64 << 20) -> DiskStore:
    return DiskStore(data_dir, clock=ManualClock(), budget_bytes=budget_bytes)


def lengths(data_dir: Path) -> int:
    return sum(path.stat().st_size for path in (data_dir / "blobs").rglob("*") if path.is_file())


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[DiskStore]:
    store = opened(tmp_path)
    yield store
    await asyncio.wait_for(store.close(), 30)
    assert list((tmp_path / "ingest").iterdir()) == []
    assert not [t for t in threading.enumerate() if t.name.startswith("skerry-store")]


@pytest.mark.parametrize("check", CHECKS + NAMELESS_CHECKS, ids=lambda check: check.__name__)
async def test_the_disk_keeps_the_stores_promise(check: Check, store: DiskStore) -> None:
    await asyncio.wait_for(check(store), 30)


async def test_t37_the_count_is_the_sum_of_lengths_after_a_restart(tmp_path: Path) -> None:
    store = opened(tmp_path)
    await store.put(digest_of(BIG), BIG)
    await store.put(digest_of(b"small", "sha512"), b"small")
    await store.close()
    again = opened(tmp_path)
    now = again.statistics()
    assert (now.blob_count, now.blob_bytes) == (2, lengths(tmp_path))
    await again.close()


async def test_an_index_that_is_gone_or_rubbish_is_built_again(tmp_path: Path) -> None:
    store = opened(tmp_path)
    await store.put(digest_of(BIG), BIG)
    await store.close()
    for damage in (b"", b"this is not a database, not at all" * 100):
        for path in tmp_path.glob("index.sqlite*"):
            path.unlink()
        if damage:
            (tmp_path / "index.sqlite").write_bytes(damage)
        again = opened(tmp_path)
        assert await read_segment(again.open(digest_of(BIG))) == BIG
        assert await again.reconcile() == []
        assert again.statistics().blob_bytes == lengths(tmp_path)
        await again.close()
    last = opened(tmp_path)
    assert last.statistics().blob_bytes == lengths(tmp_path)
    await last.close()


async def test_files_taken_and_left_behind_the_nodes_back_are_counted_right(tmp_path: Path) -> None:
    store = opened(tmp_path)
    for number in range(20):
        await store.put(digest_of(b"%d" % number), b"%d" % number)
    await store.flush()
    paths = sorted(path for path in (tmp_path / "blobs").rglob("*") if path.is_file())
    paths[0].unlink()
    paths[1].write_bytes(b"longer than it was")
    (paths[2].parent / "not-a-digest").write_bytes(b"")
    assert [d.hex for d in await store.reconcile()] == [paths[1].name]
    assert store.statistics().blob_bytes == lengths(tmp_path)
    assert store.statistics().blob_count == 19
    await store.close()


async def test_an_empty_file_behind_a_name_is_not_a_blob(store: DiskStore, tmp_path: Path) -> None:
    """T16: never a 200 with no bytes; the next fill puts it right."""
    digest = digest_of(b"content")
    await store.put(digest, b"content")
    (path,) = (tmp_path / "blobs").rglob(digest.hex)
    path.write_bytes(b"")
    assert store.size_of(digest) is None
    with pytest.raises(BlobMissing):
        store.open(digest)
    assert await store.reconcile() == [digest]
    await store.put(digest, b"content")
    assert await store.read(digest, bytes_max=100) == b"content"
    assert store.statistics().blob_bytes == lengths(tmp_path)


async def test_a_blob_removed_by_hand_is_absent_at_once(store: DiskStore, tmp_path: Path) -> None:
    """T17: presence is the file, whatever was remembered."""
    digest = digest_of(b"content")
    await store.put(digest, b"content")
    store.open(digest).close()
    await store.flush()
    next((tmp_path / "blobs").rglob(digest.hex)).unlink()
    assert store.size_of(digest) is None
    with pytest.raises(BlobMissing):
        store.open(digest)


async def test_t40_a_disk_that_does_not_answer_is_not_an_absent_blob(
    store: DiskStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T40."""
    digest = digest_of(b"content")
    await store.put(digest, b"content")

    def broken(*_args: object, **_more: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr("skerry.adapters.disk_shelf.os.stat", broken)
        patch.setattr("skerry.adapters.disk_shelf.os.open", broken)
        for ask in (store.size_of, store.open):
            with pytest.raises(StoreError) as caught:
                ask(digest)
            assert not isinstance(caught.value, BlobMissing | StoreFull)
        with pytest.raises(StoreError) as caught:
            await store.verify(digest)
        assert not isinstance(caught.value, BlobMissing)
    assert await store.verify(digest)
    assert store.statistics().quarantine_count == 0


async def test_a_rotten_blob_goes_to_quarantine_and_heals_by_a_new_copy(
    store: DiskStore, tmp_path: Path
) -> None:
    digest = digest_of(BIG)
    await store.put(digest, BIG)
    (path,) = (tmp_path / "blobs").rglob(digest.hex)
    path.write_bytes(b"\x01" + BIG[1:])
    assert not await store.verify(digest)
    assert store.size_of(digest) is None
    now = store.statistics()
    assert (now.quarantine_count, now.corrupt_count, now.blob_bytes) == (0, 1, 0), (
        "2 MiB is more than 2 % of 64 MiB, so the bound takes it"
    )
    await store.put(digest, BIG)
    assert await store.verify(digest)


async def test_quarantine_keeps_the_newest_within_its_bound(tmp_path: Path) -> None:
    store = opened(tmp_path, budget_bytes=100_000)  # 2 % are 2,000 bytes
    for number in range(5):
        data = bytes([number]) * 600
        await store.put(digest_of(data), data)
        (path,) = (tmp_path / "blobs").rglob(digest_of(data).hex)
        path.write_bytes(b"rot" + data[3:])
        assert not await store.verify(digest_of(data))
    kept = sorted(path.name for path in (tmp_path / "quarantine").iterdir())
    assert len(kept) == store.statistics().quarantine_count == 3
    assert kept[-1].endswith(digest_of(bytes([4]) * 600).hex)
    assert store.statistics().quarantine_bytes == 1800
    await store.close()


async def test_a_second_process_is_refused(store: DiskStore, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="in use by another process"):
        opened(tmp_path)


async def test_t15_ingest_is_swept_at_start(tmp_path: Path) -> None:
    """T15."""
    store = opened(tmp_path)
    await store.close()
    (tmp_path / "ingest" / "7").write_bytes(b"half a blob")
    again = opened(tmp_path)
    assert list((tmp_path / "ingest").iterdir()) == []
    await again.close()


async def test_a_cancelled_commit_that_began_still_ends_whole(store: DiskStore) -> None:
    spool = await fill(store, BIG)
    segment = spool.follow(0, len(BIG))
    commit = asyncio.ensure_future(spool.commit(digest_of(BIG)))
    assert await segment.readable(len(BIG) - 1) == len(BIG)
    commit.cancel()
    await asyncio.wait([commit])
    await spool.abort(StoreError("its writer cleans up"))
    await store.close()
    assert store.size_of(digest_of(BIG)) == len(BIG)
    segment.close()


async def test_closing_aborts_live_spools_and_leaves_no_descriptor(tmp_path: Path) -> None:
    gc.collect()  # what earlier tests left
    before = len(os.listdir("/proc/self/fd"))
    store = opened(tmp_path)
    await store.put(digest_of(BIG), BIG)
    await store.verify(digest_of(BIG))
    spool = await fill(store, BIG + b"more")
    await store.close()
    del spool, store
    assert len(os.listdir("/proc/self/fd")) == before
    assert list((tmp_path / "ingest").iterdir()) == []


async def test_a_failed_fsync_keeps_nothing(
    store: DiskStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_fd: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    spool = await fill(store, BIG)
    with monkeypatch.context() as patch:
        patch.setattr("skerry.adapters.disk_spool.os.fsync", broken)
        with pytest.raises(StoreError, match="storing"):
            await spool.commit(digest_of(BIG))
    assert store.size_of(digest_of(BIG)) is None
    assert store.statistics().spool_count == 0


async def test_the_bytes_are_durable_before_the_name_and_the_name_before_the_answer(
    store: DiskStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Design section 4: prove, release followers, fsync, rename, fsync of the folder."""
    steps: list[str] = []
    fsync, rename = os.fsync, os.rename

    def watched_fsync(fd: int) -> None:
        path = Path(os.readlink(f"/proc/self/fd/{fd}"))
        steps.append(f"fsync {'folder' if path.is_dir() else path.parent.name}")
        fsync(fd)

    def watched_rename(source: str, target: str) -> None:
        steps.append(f"rename from {Path(source).parent.name}")
        rename(source, target)

    await store.put(digest_of(BIG), BIG)  # makes the folder
    monkeypatch.setattr(os, "fsync", watched_fsync)
    monkeypatch.setattr(os, "rename", watched_rename)
    await store.put(digest_of(BIG), BIG)
    assert steps == ["fsync ingest", "rename from ingest", "fsync folder"]
