"""kill -9 at random instants of ingest: a real process, a real disk (T15)."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from skerry.adapters.disk_store import DiskStore
from skerry.base.clock import SystemClock
from skerry.base.digest import digest_of

KILLS = 30
WRITER = """
import asyncio, hashlib, sys
from pathlib import Path
from skerry.adapters.disk_store import DiskStore
from skerry.base.clock import SystemClock
from skerry.base.digest import Digest

async def one(store, number):
    data = number.to_bytes(4, "big") * (50_000 + 70_000 * (number % 8))
    digest = Digest("sha256", hashlib.sha256(data).hexdigest())
    behind = len(data) > 1 << 20
    spool = await store.begin(size_bytes=len(data), named=not behind)
    for start in range(0, len(data), 65536):
        await spool.write(data[start : start + 65536])
    await spool.commit(None if behind else digest)
    print(digest, flush=True)
    if number % 5 == 0:
        await store.delete(digest)
    if number % 3 == 0:
        await store.flush()

async def main():
    store = DiskStore(Path(sys.argv[1]), clock=SystemClock(), budget_bytes=1 << 34)
    number = int(sys.argv[2])
    print("ready", flush=True)
    while True:
        await asyncio.gather(*(one(store, number + n) for n in range(3)))
        number += 3

asyncio.run(main())
"""


def killed_writer(data_dir: Path, first: int, chance: random.Random) -> list[str]:
    """Lets a writer run, kills it at a random line, returns what it acknowledged."""
    child = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(data_dir), str(first)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    acknowledged = []
    try:
        assert child.stdout.readline() == "ready\n"
        for _ in range(chance.randrange(1, 12)):
            acknowledged.append(child.stdout.readline().strip())
        with suppress(subprocess.TimeoutExpired):
            child.wait(chance.random() * 0.02)  # between two lines, not at one
    finally:
        child.send_signal(signal.SIGKILL)
        rest, _ = child.communicate()
    return [*acknowledged, *rest.split()]


@pytest.mark.timeout(120)
async def test_kill_at_any_instant_leaves_no_partial_blob_and_the_count_right(
    tmp_path: Path,
) -> None:
    chance = random.Random(15)
    acknowledged: set[str] = set()
    swept = 0
    for kill in range(KILLS):
        first = kill * 1000
        acknowledged |= set(killed_writer(tmp_path, first, chance))
        deleted = {
            str(digest_of(n.to_bytes(4, "big") * (50_000 + 70_000 * (n % 8))))
            for n in range(first, first + 60)
            if n % 5 == 0
        }
        acknowledged -= deleted
        swept += len(list((tmp_path / "ingest").iterdir()))
        store = DiskStore(tmp_path, clock=SystemClock(), budget_bytes=1 << 34)
        assert list((tmp_path / "ingest").iterdir()) == [], "ingest is not swept"
        assert await store.reconcile() == [], "the index and the files disagree about a length"
        files = [path for path in (tmp_path / "blobs").rglob("*") if path.is_file()]
        now = store.statistics()
        assert now.blob_count == len(files)
        assert now.blob_bytes == sum(path.stat().st_size for path in files)
        names = {str(info.digest) for info in store.blobs()}
        assert acknowledged <= names, "an acknowledged blob is gone"
        for info in store.blobs():
            if kill % 10 == 9:
                assert await store.verify(info.digest), "a partial blob is visible"
        await store.close()
    assert len(acknowledged) > KILLS
    assert swept > KILLS // 2, f"only {swept}: the kills did not fall into an ingest"
