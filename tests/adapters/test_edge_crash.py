"""kill -9 in the middle of writes: what was confirmed is there, and the file is sound."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from skerry.adapters.sqlite_edge_rescue import open_edge_file
from skerry.adapters.sqlite_purge_book import SqlitePurgeBook
from skerry.adapters.sqlite_variants import SqliteVariants
from skerry.cdn.core.receipt import verify
from tests.adapters.test_edge_rescue import log_of

_WRITER = """
import asyncio, sys
from pathlib import Path
from skerry.adapters.sqlite_edge_file import EdgeFile
from skerry.cdn.core.purge import Mode, by_surrogate_key
from skerry.cdn.testing import some_entry
from tests.cdn.world import World

async def write(path):
    world = World(file=EdgeFile(path))
    for number in range(100_000):
        for twin in range(5):
            entry = some_entry(f"/{number}/{twin}", keys=(f"key-{number}",))
            putting = asyncio.ensure_future(world.variants.put(entry))
        await putting
        if number % 2:
            done = await world.rooms.purges.purge(by_surrogate_key(f"key-{number}"), Mode.HARD)
            print(number, done.sequence, flush=True)

asyncio.run(write(Path(sys.argv[1])))
"""


@pytest.mark.parametrize("lines", [1, 7, 40])
async def test_a_purge_that_was_answered_outlives_a_kill(tmp_path: Path, lines: int) -> None:
    path = tmp_path / "edge.sqlite"
    root = Path(__file__).parents[2]
    child = subprocess.Popen(
        [sys.executable, "-c", _WRITER, str(path)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": f"{root / 'src'}:{root}"},
    )
    try:
        assert child.stdout is not None
        told = [child.stdout.readline().split() for _ in range(lines)]
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    child.stdout.close()
    file, rescue = open_edge_file(path)
    assert rescue is None
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    db.close()
    log, book = log_of(file), SqlitePurgeBook(file)
    assert log.vector[book.node] >= int(told[-1][1])
    receipts = book.receipts()
    assert len(receipts) >= int(told[-1][1])
    assert verify(receipts, public_key=b"", check=lambda *_: True) == ()
    last = max(int(number) for number, _ in told)
    for record in book.records():
        assert record.sequence <= log.vector[book.node]
    for entry in SqliteVariants(file).all():
        number = int(entry.key.path.split("/")[1])
        assert not (number <= last and number % 2), "what was purged is in the index again"
        named = SqliteVariants(file).find(entry.key)[0]
        assert named.stored.surrogate_keys == {f"key-{number}"}
    await file.close()
