"""What a second process gives: hits a second of a node in two, against one in one.

Owns that measurement. A machine of two cores has none left for the load, so the load shares them:
one process and its wrk on one core, against two processes and two wrks on two cores, one of each
on each. Both cores are busy all the time in either case; nothing else may run.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench.figures import Better, Figure, compare
from bench.machine import LOAD, SERVERS, run, started_on
from bench.stage import ACCEPT, Stage, layered
from skerry.app.drill.processes import NodeProcess, Setting
from tests.rig.nodes import HOST as UPSTREAM

CORES = (SERVERS, LOAD)
SITE = "bench.test"
PAGE_BYTES = 3 * 1024
CONNECTIONS = 32
REPOSITORY = "bench/workers"
_RATE = re.compile(r"Requests/sec:\s+([\d.]+)")


@dataclass(frozen=True)
class Asked:
    """One thing that is held, at a node."""

    url: str
    fields: tuple[str, ...]


def hits(stage: Stage, *, quick: bool) -> Iterator[Figure]:
    """Cached manifests and 3 KiB pages a second, two processes against one."""
    if SERVERS == LOAD:
        raise RuntimeError("two processes need two cores")
    image = stage.push(REPOSITORY, layered(3, layers=12, layer_bytes=2000))
    root = stage.rig.place("root")
    (root / "page").write_bytes(os.urandom(PAGE_BYTES))
    with started_on(LOAD):
        origin = stage.rig.nginx(root)
    nodes = {processes: _node(stage, origin.url, processes) for processes in (1, 2)}
    digest = str(image.digest)
    for name, of in (("manifest", _manifest), ("page", _page)):
        yield _figure(name, {n: of(node, digest) for n, node in nodes.items()}, quick=quick)


def _node(stage: Stage, origin: str, processes: int) -> NodeProcess:
    """Each process on a core of its own."""
    site: Setting = {
        "hosts": [SITE],
        "origins": [origin],
        "plain_http": True,
        "route": [{"prefix": "/", "data_class": "public", "fresh": "1h"}],
    }
    settings = stage.node_settings(stage.upstream.url)
    with started_on(SERVERS):
        node = stage.rig.node({**settings, "site": [site], "node": {"workers": processes}})
    main = node.child.pid
    node.child.wait_until(lambda: len(_children(main)) == processes - 1)
    for child in _children(main):
        for thread in Path(f"/proc/{child}/task").iterdir():
            os.sched_setaffinity(int(thread.name), {LOAD})
    return node


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _manifest(node: NodeProcess, digest: str) -> Asked:
    url = f"http://{node.registry}/v2/{UPSTREAM}/{REPOSITORY}/manifests/{digest}"
    return Asked(url, (f"Accept: {ACCEPT}",))


def _page(node: NodeProcess, digest: str) -> Asked:
    return Asked(f"http://{node.edge}/page", (f"Host: {SITE}",))


def _figure(name: str, asked: dict[int, Asked], *, quick: bool) -> Figure:
    seconds, rounds = (1, 2) if quick else (4, 7)
    for processes, each in asked.items():  # every process has it ready before anything counts
        together(each, CORES[:processes], 1)
    pairs = []
    for _ in range(rounds):
        one = together(asked[1], CORES[:1], seconds)
        pairs.append((together(asked[2], CORES, seconds), one))
    return compare(
        f"workers-2-{name}", "1/s", peer="one process", pairs=pairs, bar=1.8, better=Better.MORE
    )


def together(asked: Asked, cores: tuple[int, ...], seconds: int) -> float:
    """What a wrk on each of these cores gets at once. Raises RuntimeError on any other answer."""
    fields = [part for field in asked.fields for part in ("-H", field)]
    argv = ["wrk", "-t1", f"-c{CONNECTIONS * len(cores)}", f"-d{seconds}s", *fields, asked.url]
    run("curl", "-sf", "-o", "/dev/null", *fields, asked.url)
    with ExitStack() as ends:
        loads = []
        for core in cores:
            with started_on(core):
                load = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
            ends.callback(load.kill)
            loads.append(load)
        said = [load.communicate(timeout=seconds + 30)[0] for load in loads]
    rates = [_RATE.search(text) for text in said]
    if not all(rates) or any("Non-2xx" in text or "Socket errors" in text for text in said):
        raise RuntimeError(f"wrk {asked.url}: {said}")
    return sum(float(rate[1]) for rate in rates if rate)
