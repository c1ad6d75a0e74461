"""What is held already: manifests a second, and what a gigabyte costs.

Owns two measurements with warm caches, servers on one core and the load on the other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from bench.figures import Better, Figure, compare
from bench.machine import cpu_seconds, run
from bench.stage import ACCEPT, Stage, layered

_RATE = re.compile(r"Requests/sec:\s+([\d.]+)")
BLOB_BYTES = 200 << 20


def manifests(stage: Stage, *, quick: bool) -> Iterator[Figure]:
    """Cached manifests a second by digest, 32 connections kept alive."""
    image = stage.push("bench/manifest", layered(1, layers=12, layer_bytes=2000))
    mirrors = [stage.skerry(), stage.distribution(), stage.drayage()]
    for mirror in mirrors:
        mirror.pull("bench/manifest", image)
    seconds, rounds = (1, 2) if quick else (3, 5)
    rates: dict[str, list[float]] = {mirror.name: [] for mirror in mirrors}
    for _ in range(rounds):
        for mirror in mirrors:
            url = mirror.url("bench/manifest", "manifests", str(image.digest))
            rates[mirror.name].append(requests_per_second(url, seconds))
    for peer, bar in (("docker-registry", 12.0), ("drayage", 0.5)):
        yield compare(
            f"cached-manifests-vs-{peer}",
            "1/s",
            peer=peer,
            pairs=list(zip(rates["skerry"], rates[peer], strict=True)),
            bar=bar,
            better=Better.MORE,
        )


def blobs(stage: Stage, *, quick: bool) -> Iterator[Figure]:
    """Processor seconds of the server for a gigabyte of a cached 200 MB blob."""
    image = stage.push("bench/blob", layered(2, layers=1, layer_bytes=BLOB_BYTES))
    layer = image.blobs[1]
    mirrors = [stage.skerry(), stage.distribution()]
    for mirror in mirrors:
        mirror.pull("bench/blob", image)
    root = stage.rig.place("root")
    (root / "blob").write_bytes(layer.data)
    nginx = stage.nginx(root)
    urls = {
        mirror.name: (mirror.url("bench/blob", "blobs", str(layer.digest)), mirror.pid)
        for mirror in mirrors
    }
    urls["nginx"] = (f"{nginx.url}/blob", nginx.child.pid)
    times, rounds = (5, 2) if quick else (10, 5)
    costs: dict[str, list[float]] = {name: [] for name in urls}
    for _ in range(rounds):
        for name, (url, pid) in urls.items():
            costs[name].append(seconds_per_gigabyte(url, pid, times))
    for peer, bar in (("docker-registry", 0.5), ("nginx", 1.2)):
        yield compare(
            f"cached-blob-cpu-vs-{peer}",
            "CPU-s/GB",
            peer=peer,
            pairs=list(zip(costs["skerry"], costs[peer], strict=True)),
            bar=bar,
            better=Better.LESS,
        )


def requests_per_second(url: str, seconds: int) -> float:
    """What wrk gets from one thread and 32 connections. Raises RuntimeError on any other answer."""
    said = run("wrk", "-t1", "-c32", f"-d{seconds}s", "-H", f"Accept: {ACCEPT}", url)
    rate = _RATE.search(said)
    if rate is None or "Non-2xx" in said or "Socket errors" in said:
        raise RuntimeError(f"wrk {url}: {said}")
    return float(rate[1])


def seconds_per_gigabyte(url: str, pid: int, times: int) -> float:
    """CPU seconds of a process group for each 1e9 bytes that curl takes over one connection."""
    before = cpu_seconds(pid)
    said = run("curl", "-sf", "-w", "%{size_download}\n", *(["-o", "/dev/null", url] * times))
    return (cpu_seconds(pid) - before) / (sum(map(int, said.split())) / 1e9)
