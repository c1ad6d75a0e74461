"""What a million stored objects cost: a hit, memory, a purge, a start.

Owns the measurement. The same node once with 1,000 and once with 1,000,000 objects, asked for
random ones by one client; the origin is gone. Bodies share a few thousand files (`edge_stock`).
"""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from bench.edge_stock import BLOCK, HOST, path_of, stock
from bench.figures import Better, Figure, compare, within
from bench.machine import MIB, SERVERS, cpu_seconds, memory_bytes, run, started_on
from bench.stage import Stage
from skerry.app.drill.processes import NodeProcess
from tests.rig.processes import need

FEW, KEYS, MANY = 1000, 100_000, 1_000_000
PURGES = 100
PURGE_SECONDS_MAX = 0.05
BYTES_MAX = 300.0
START_SECONDS_MAX = 1.0
_PAD = "x" * 2100
"""A head so long is parsed each time: the full way, also where ready answers would do."""

_RANDOM = """
local pad = "%s"
request = function()
  local n = math.random(0, %d)
  return wrk.format("GET", "/objects/" .. (n %% 97) .. "/" .. n .. ".html",
                    {Host = "%s", ["X-Pad"] = pad})
end
"""


def scale(stage: Stage, *, quick: bool) -> Iterator[Figure]:
    """Hits, memory, purges and start with 1,000,000 objects (`--quick`: 50,000)."""
    many = 50_000 if quick else MANY
    nodes = {count: _node(stage, count) for count in (FEW, many)}
    rounds, seconds = (3, 2) if quick else (5, 6)
    for way, pad in (("full", _PAD), ("ready", "")):
        costs: dict[int, list[float]] = {count: [] for count in nodes}
        for _ in range(rounds):
            for count, node in nodes.items():
                script = stage.rig.place("wrk") / "random.lua"
                most = count - 1 if pad else 0  # ready answers: one object, again and again
                script.write_text(_RANDOM % (pad, most, HOST))
                costs[count].append(_microseconds(node, script, seconds))
        pairs = list(zip(costs[many], costs[FEW], strict=True))
        yield compare(
            f"edge-hit-{way}-way-at-{many}",
            "us cpu",
            peer=f"{FEW} objects",
            pairs=pairs,
            bar=1.2,
            better=Better.LESS,
        )
    few, lots = (memory_bytes(nodes[count].child.pid, "VmRSS") for count in (FEW, many))
    yield within(
        "edge-rss-per-object", "B", values=[max(0.0, (lots - few) / (many - FEW))], most=BYTES_MAX
    )
    yield within("edge-rss-many", "MiB", values=[lots / MIB], most=1024.0)
    yield from _starts(nodes[many], quick=quick)
    for count in (many,) if quick else (KEYS, many):
        yield _purges(nodes.get(count) or _node(stage, count), count)


def _node(stage: Stage, objects: int) -> NodeProcess:
    site = {
        "hosts": [HOST],
        "origins": ["http://127.0.0.1:9"],
        "plain_http": True,
        "route": [{"prefix": "/", "data_class": "public"}],
    }
    with started_on(SERVERS):
        node = stage.rig.node({"site": [site]}, start=False)
        stock(node.folder / "data", objects)
        node.start()
    time.sleep(3)  # what a start does behind the doors
    return node


def _microseconds(node: NodeProcess, script: Path, seconds: int) -> float:
    """Processor time of one hit. Raises RuntimeError when something was no hit."""
    before = cpu_seconds(node.child.pid)
    told = run(need("wrk"), "-t1", "-c8", f"-d{seconds}", "-s", str(script), f"http://{node.edge}")
    spent = cpu_seconds(node.child.pid) - before
    if "Non-2xx" in told:
        raise RuntimeError(told)
    count = int(told.split(" requests in")[0].split()[-1])
    return spent / count * 1e6


def _purges(node: NodeProcess, objects: int) -> Figure:
    """The 99th of a hundred in order of time: from the call to its answer with the receipt."""
    token = (node.folder / "data" / "admin.token").read_text().strip()
    spent: list[float] = []
    blocks = objects // BLOCK
    soft = blocks <= PURGES  # so that the same ones can be purged again
    for number in range(1, PURGES + 1):
        request = urllib.request.Request(
            f"http://{node.admin}/api/v1/purge",
            data=json.dumps({"key": f"block-{number % blocks}", "soft": soft}).encode(),
            headers={"Authorization": f"Bearer {token}"},
        )
        began = time.perf_counter()
        with urllib.request.urlopen(request, timeout=30) as answer:
            told = json.load(answer)
        spent.append(time.perf_counter() - began)
        if told["receipt"]["object_count"] < BLOCK - 1:
            raise RuntimeError(f"a purge of {told['receipt']['object_count']} objects")
    p99 = sorted(spent)[PURGES * 99 // 100 - 1]
    name = f"edge-purge-1000-objects-of-{objects}-p99"
    return within(name, "s", values=[p99], most=PURGE_SECONDS_MAX)


def _starts(node: NodeProcess, *, quick: bool) -> Iterator[Figure]:
    """From exec until a stored page came."""
    values: list[float] = []
    with started_on(SERVERS):
        for _ in range(2 if quick else 6):
            node.kill()
            began = time.perf_counter()
            node.start()
            node.child.wait_until(lambda: _answers(node))
            values.append(time.perf_counter() - began)
    yield within("edge-start-after-kill", "s", values=[median(values)], most=START_SECONDS_MAX)


def _answers(node: NodeProcess) -> bool:
    request = urllib.request.Request(f"http://{node.edge}{path_of(7)}", headers={"Host": HOST})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return len(answer.read()) > 0
    except urllib.error.URLError as error:
        if isinstance(error, urllib.error.HTTPError):
            raise
        return False
