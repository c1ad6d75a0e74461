"""A disk that is really full, and one that is really read-only (T36)."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from skerry.adapters.disk_store import DiskStore
from skerry.base.clock import ManualClock
from skerry.base.digest import digest_of
from skerry.store.ports import Spool, SpoolAborted, StoreFull
from skerry.store.testing import read_segment
from skerry.wire.message import BodyAborted

MIB = 1 << 20


@pytest.fixture
def tmpfs(tmp_path: Path) -> Iterator[Path]:
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        reason = f"a tmpfs cannot be mounted: {mounted.stderr.strip()}"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    yield tmp_path
    subprocess.run(["umount", "-l", str(tmp_path)], check=True)


def opened(data_dir: Path) -> DiskStore:
    return DiskStore(data_dir, clock=ManualClock(), budget_bytes=1 << 30)


async def write_much(spool: Spool) -> None:
    """More than the disk holds."""
    for _ in range(8):
        await spool.write(os.urandom(MIB))
    await spool.commit(digest_of(b""))


def use_up(path: Path) -> None:
    """Fills the disk to the last byte. Raises OSError when it is."""
    with path.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


async def test_an_announced_object_that_the_disk_cannot_hold_is_refused_at_once(
    tmpfs: Path,
) -> None:
    store = opened(tmpfs)
    with pytest.raises(StoreFull, match="no room for 8"):
        await store.begin(size_bytes=8 * MIB)
    await store.close()


async def test_a_full_disk_goes_on_serving_and_recovers_by_itself(tmpfs: Path) -> None:
    store = opened(tmpfs)
    kept = os.urandom(MIB)
    await store.put(digest_of(kept), kept)
    spool = await store.begin()
    follower = spool.follow(0, 8 * MIB)
    with pytest.raises(StoreFull) as caught:
        await write_much(spool)
    assert "full" in caught.value.what or "no room" in caught.value.what
    assert "budget" in caught.value.next_step
    await spool.abort(caught.value)
    with pytest.raises(BodyAborted):
        await read_segment(follower)
    assert await read_segment(store.open(digest_of(kept))) == kept
    # somebody else fills the disk to the last byte, then goes away
    filler = tmpfs / "filler"
    with pytest.raises(OSError, match="No space"):
        use_up(filler)
    with pytest.raises(StoreFull):
        await store.put(digest_of(b"new" * 9999), b"new" * 9999)
    unannounced = await store.begin()
    with pytest.raises(StoreFull):
        await write_much(unannounced)
    await unannounced.abort(SpoolAborted("full"))
    assert await store.read(digest_of(kept), bytes_max=MIB) == kept
    await store.flush()
    assert not store.statistics().writable
    filler.unlink()
    await store.flush()
    assert store.statistics().writable, "the upkeep finds out that the disk recovered"
    await store.put(digest_of(b"new" * 9999), b"new" * 9999)
    assert store.statistics().spool_count == 0
    assert store.room().used_bytes == MIB + 3 * 9999
    await store.close()
    assert list((tmpfs / "ingest").iterdir()) == []


async def test_a_disk_remounted_read_only_serves_and_comes_back(tmpfs: Path) -> None:
    store = opened(tmpfs)
    kept = os.urandom(MIB)
    rotten = os.urandom(5000)
    for data in (kept, rotten):
        await store.put(digest_of(data), data)
    next((tmpfs / "blobs").rglob(digest_of(rotten).hex)).write_bytes(b"rot" + rotten[3:])
    await store.close()
    subprocess.run(["mount", "-o", "remount,ro", str(tmpfs)], check=True)
    store = opened(tmpfs)  # a start on a read-only disk serves too
    assert store.statistics().blob_bytes == MIB + 5000
    with pytest.raises(StoreFull, match="read-only") as caught:
        await store.put(digest_of(b"new"), b"new")
    assert "writable" in caught.value.next_step
    with pytest.raises(StoreFull, match="read-only"):
        await store.delete(digest_of(kept))
    assert not await store.verify(digest_of(rotten))
    assert store.size_of(digest_of(rotten)) is None, "what is wrong is hidden where it lies"
    assert await store.reconcile() == []
    await store.flush()
    assert not store.statistics().writable
    assert await read_segment(store.open(digest_of(kept))) == kept
    subprocess.run(["mount", "-o", "remount,rw", str(tmpfs)], check=True)
    await store.put(digest_of(rotten), rotten)
    assert store.statistics().writable
    assert await store.verify(digest_of(rotten))
    assert store.statistics().blob_bytes == MIB + 5000
    await store.close()
