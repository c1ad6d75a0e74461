"""Small copies without a name: one file each at once, durable together, found when torn."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from skerry.adapters import disk_layout, disk_small
from skerry.adapters.disk_store import DiskStore
from skerry.base.clock import SystemClock
from skerry.base.digest import Digest, digest_of
from skerry.store.ports import SpoolAborted, StoreFull

BUDGET = 1 << 30


def opened(data_dir: Path, budget_bytes: int = BUDGET) -> DiskStore:
    return DiskStore(data_dir, clock=SystemClock(), budget_bytes=budget_bytes)


async def kept(store: DiskStore, data: bytes) -> Digest:
    spool = await store.begin(size_bytes=len(data), named=False)
    await spool.write(data)
    return await spool.commit(None)


def path_of(data_dir: Path, digest: Digest) -> Path:
    return data_dir / "blobs" / digest.algorithm / digest.hex[:2] / digest.hex


async def test_no_file_exists_before_the_proof_and_no_thread_is_needed(tmp_path: Path) -> None:
    store = opened(tmp_path)
    spool = await store.begin(size_bytes=4, named=False)
    await spool.write(b"da")
    assert list((tmp_path / "ingest").iterdir()) == []
    assert store.statistics().spool_count == 1
    await spool.write(b"ta")
    before = threading.active_count()
    digest = await spool.commit(None)
    assert threading.active_count() == before
    assert path_of(tmp_path, digest).read_bytes() == b"data"
    assert list((tmp_path / "ingest").iterdir()) == []
    assert store.room().used_bytes == 4
    await store.close()


async def test_all_that_came_meanwhile_is_synced_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop, synced = asyncio.get_running_loop(), asyncio.Event()
    calls: list[str] = []

    def sync_all(path: str) -> None:
        calls.append(path)
        loop.call_soon_threadsafe(synced.set)

    monkeypatch.setattr(disk_small, "SYNC_SECONDS", 0.0)
    monkeypatch.setattr(disk_small, "sync_all", sync_all)
    store = opened(tmp_path)
    for number in range(50):
        await kept(store, b"%d" % number)
    assert calls == []
    async with asyncio.timeout(10):
        await synced.wait()
    assert calls == [str(tmp_path)]
    await store.close()


async def test_after_a_clean_stop_nothing_is_suspected(tmp_path: Path) -> None:
    store = opened(tmp_path)
    await store.reconcile()
    digest = await kept(store, b"data")
    await store.close()
    # As long ago as the margin for coarse clocks.
    long_ago = os.stat(path_of(tmp_path, digest)).st_mtime - 60
    os.utime(path_of(tmp_path, digest), (long_ago, long_ago))
    again = opened(tmp_path)
    assert await again.reconcile() == []
    await again.close()


async def test_what_a_loss_of_power_tore_is_found_at_the_next_start(tmp_path: Path) -> None:
    store = opened(tmp_path)
    await store.reconcile()
    whole, torn, gone = [await kept(store, data * 1000) for data in (b"whole", b"torn", b"gone")]
    os.close(store._lock_fd or -1)  # the machine goes down: nothing is written any more
    store._lock_fd = None
    path_of(tmp_path, torn).write_bytes(b"torn" + bytes(3996))
    path_of(tmp_path, gone).write_bytes(b"")
    again = opened(tmp_path)
    assert again.size_of(gone) is None
    suspects = await again.reconcile()
    assert {whole, torn, gone} <= set(suspects)
    assert [await again.verify(digest) for digest in (whole, torn)] == [True, False]
    assert again.size_of(torn) is None
    await again.close()


async def test_a_full_disk_gives_the_bytes_and_says_that_they_are_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened(tmp_path)
    spool = await store.begin(size_bytes=4, named=False)
    await spool.write(b"data")
    (tmp_path / "ingest").rename(tmp_path / "away")
    shown: list[bytes | None] = []
    with pytest.raises(StoreFull, match="storing sha256"):
        await spool.commit(None, when_proven=lambda: shown.append(spool.content))
    assert shown == [b"data"]
    assert store.room().used_bytes == 0
    (tmp_path / "away").rename(tmp_path / "ingest")
    await kept(store, b"data")
    with pytest.raises(StoreFull):
        await opened(tmp_path / "other", budget_bytes=3).begin(size_bytes=4, named=False)
    await store.close()


async def test_a_store_that_closes_ends_what_is_live(tmp_path: Path) -> None:
    store = opened(tmp_path)
    spool = await store.begin(size_bytes=4, named=False)
    await spool.write(b"data")
    await store.close()
    with pytest.raises(SpoolAborted):
        await spool.commit(None)
    assert not path_of(tmp_path, digest_of(b"data")).exists()


async def test_a_folder_that_was_taken_away_is_made_again(tmp_path: Path) -> None:
    store = opened(tmp_path)
    digest = await kept(store, b"data")
    path_of(tmp_path, digest).unlink()
    path_of(tmp_path, digest).parent.rmdir()
    with suppress(StoreFull):
        await kept(store, b"data")
    assert await kept(store, b"data") == digest
    assert path_of(tmp_path, digest).read_bytes() == b"data"
    await store.close()


def test_syncing_says_when_it_cannot(tmp_path: Path) -> None:
    disk_layout.sync_all(str(tmp_path))
    with pytest.raises(FileNotFoundError):
        disk_layout.sync_all(str(tmp_path / "none"))


WRITER = """
import asyncio, sys
from pathlib import Path
from skerry.adapters.disk_store import DiskStore
from skerry.base.clock import SystemClock

async def main():
    store = DiskStore(Path(sys.argv[1]), clock=SystemClock(), budget_bytes=1 << 34)
    number = int(sys.argv[2])
    print("ready", flush=True)
    while True:
        data = number.to_bytes(4, "big") * (100 + 37 * (number % 300))
        spool = await store.begin(size_bytes=len(data), named=False)
        await spool.write(data[:1000])
        await spool.write(data[1000:])
        print(await spool.commit(None), flush=True)
        if number % 7 == 0:
            await store.flush()
        number += 1

asyncio.run(main())
"""


@pytest.mark.timeout(120)
async def test_kill_amid_small_copies_leaves_only_whole_ones(tmp_path: Path) -> None:
    chance, acknowledged = random.Random(16), set()
    for kill in range(12):
        argv = [sys.executable, "-c", WRITER, str(tmp_path), str(kill * 100_000)]
        child = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        try:
            assert child.stdout.readline() == "ready\n"
            for _ in range(chance.randrange(1, 200)):
                acknowledged.add(child.stdout.readline().strip())
        finally:
            child.send_signal(signal.SIGKILL)
            rest, _ = child.communicate()
        acknowledged |= {line for line in rest.split("\n")[:-1] if line}
        store = opened(tmp_path)
        assert list((tmp_path / "ingest").iterdir()) == []
        suspects = await store.reconcile()
        assert all([await store.verify(digest) for digest in suspects])
        names = {str(info.digest) for info in store.blobs()}
        assert acknowledged <= names, "what was shown is gone without a loss of power"
        await store.close()
    store = opened(tmp_path)
    assert all([await store.verify(info.digest) for info in store.blobs()]), "the full scrub"
    assert len(acknowledged) > 100
    await store.close()
