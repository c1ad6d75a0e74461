"""A month of the ledger: ten million requests, minute by minute, then priced, proven and exported.

Owns the made-up month and its measurement, in a process of its own so that its memory is its own.
The minutes are written in memory, where a sync costs nothing: a node has a month for them.
"""

from __future__ import annotations

import asyncio
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench.figures import Figure, within
from bench.machine import MIB
from bench.stage import Stage
from skerry.adapters.sqlite_ledger import SqliteLedger
from skerry.budget.bookkeeping import Bookkeeping
from skerry.budget.core.focus import focus_csv
from skerry.budget.core.periods import month_of
from skerry.budget.core.prices import read_sheet
from skerry.budget.core.usage import Amounts, Dimension, Meter

MEMORY = Path("/dev/shm")
ROOT = Path(__file__).parents[1]
START = 1_780_272_000
"""The first of June 2026."""
MINUTES, REQUESTS, DIMENSIONS = 30 * 1440, 10_000_000, 24


def month(stage: Stage, *, quick: bool) -> Iterator[Figure]:
    """30 days of 10 million requests: written by the minute, then priced, proven and exported."""
    results = [_measured(quick) for _ in range(1 if quick else 3)]
    seconds = [each["seconds"] for each in results]
    memory = [each["rss_bytes"] / MIB for each in results]
    yield within("ledger-month-close", "s", values=seconds, most=60.0)
    written = [each["write_seconds"] for each in results]
    yield within("ledger-month-write", "s", values=written, most=60.0)
    yield within("ledger-month-rss", "MiB", values=memory, most=500e6 / MIB)
    sizes = [each["file_bytes"] / MIB for each in results]
    yield within("ledger-month-file", "MiB", values=sizes, most=500e6 / MIB)


def _measured(quick: bool) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.ledger", "1440" if quick else str(MINUTES)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    found: dict[str, float] = json.loads(done.stdout)
    return found


async def _close(path: Path, minutes: int) -> dict[str, float]:
    chance = random.Random(1)
    owners = [
        Dimension(f"tenant-{n % 6}", site=f"{n}.example", route="/", data_class="public")
        for n in range(DIMENSIONS)
    ]
    each = REQUESTS // MINUTES // DIMENSIONS
    rest = REQUESTS - each * MINUTES * DIMENSIONS
    began = time.monotonic()
    ledger = SqliteLedger(path)
    for minute in range(minutes):
        extra = rest * (minute + 1) // MINUTES - rest * minute // MINUTES
        used = {who: _used(each, chance) for who in owners}
        used[owners[minute % DIMENSIONS]] += _used(extra, chance)
        await ledger.note(START + 60 * minute, used)
    await ledger.note(START + 60 * minutes, {})
    written = time.monotonic() - began
    began = time.monotonic()
    books = Bookkeeping(ledger, read_sheet(SHEET, "bench"), now=lambda: float(START))
    costs = books.costs(month_of(START))
    charges = books.charges(START, month_of(START).end)
    text = focus_csv(charges, node="bench", currency="EUR")
    proof = ledger.verify()
    seconds = time.monotonic() - began
    requests = sum(line.used.get("requests", 0) for line in costs.lines)
    if proof.broken_at or (minutes == MINUTES and requests != REQUESTS):
        raise SystemExit(f"the ledger is wrong: {proof}, {requests} requests")
    await ledger.close()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {
        "seconds": seconds,
        "write_seconds": written,
        "rss_bytes": peak,
        "file_bytes": path.stat().st_size,
        "rows": len(text.splitlines()),
    }


def _used(requests: int, chance: random.Random) -> Amounts:
    size = chance.randrange(1 << 16, 1 << 20)
    return Amounts.of(
        {
            Meter.REQUESTS: requests,
            Meter.HITS: requests,
            Meter.EGRESS_BYTES: requests * size,
            Meter.INGRESS_BYTES: size,
            Meter.PULLS: 1,
            Meter.CPU_MICROSECONDS: size // 16,
            Meter.STORE_BYTE_SECONDS: 60 << 30,
            Meter.SAVED_BYTES: requests * size,
        }
    )


HEAD = '[[price]]\ncurrency = "EUR"\nvalid_from = 2026-01-01\n'
SHEET = "".join(
    f'{HEAD}meter = "{meter}"\nprice = "{price}"\nunit = "{unit}"\nperiod = "{period}"\n'
    for meter, price, unit, period in (
        ("egress", "0.08", "GB", "use"),
        ("ingress", "0.02", "GB", "use"),
        ("storage", "0.02", "GB", "month"),
        ("requests", "0.4", "million requests", "use"),
        ("cpu", "0.04", "CPU-hour", "use"),
        ("pulls", "0.1", "1000 pulls", "use"),
    )
)

if __name__ == "__main__":
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as made:
        print(json.dumps(asyncio.run(_close(Path(made) / "ledger.sqlite", int(sys.argv[1])))))
