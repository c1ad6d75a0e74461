"""What is held already: manifests a second, and what a gigabyte costs.

Owns two measurements with warm caches, servers on one core and the load on the other.
"""

from __future__ import annotations

from collections.abc import Iterator

from bench.edge_caches import Cache, nginx_cache
from bench.figures import Better, Figure, compare
from bench.load import Load, curled, wrk
from bench.machine import LOAD, SERVERS, run, started_on
from bench.stage import ACCEPT, Stage, layered

BLOB_BYTES = 200 << 20


def manifests(stage: Stage, *, quick: bool) -> Iterator[Figure]:
    """Cached manifests a second by digest, 32 connections kept alive, and their latency."""
    image = stage.push("bench/manifest", layered(1, layers=12, layer_bytes=2000))
    mirrors = [stage.skerry(), stage.distribution(), stage.drayage()]
    for mirror in mirrors:
        mirror.pull("bench/manifest", image)
    asked = {
        mirror.name: (mirror.url("bench/manifest", "manifests", str(image.digest)), mirror.pid)
        for mirror in mirrors
    }
    for cache in _nginxes(stage, image.manifest.data):
        asked[cache.name] = (f"http://{cache.authority}/manifest", cache.pid)
        for _ in range(3):
            run("curl", "-sf", "-o", "/dev/null", asked[cache.name][0])
    seconds, rounds = (1, 2) if quick else (3, 7)
    size = len(image.manifest.data)
    loads: dict[str, list[Load]] = {name: [] for name in asked}
    for _ in range(rounds):
        for name, (url, pid) in asked.items():
            loads[name].append(wrk(url, pid, seconds=seconds, body_bytes=size, accept=ACCEPT))
    bars = {"docker-registry": 50.0, "drayage": 3.0, "nginx": 1.3, "nginx-file": 1.0}
    for peer, bar in bars.items():
        both = list(zip(loads["skerry"], loads[peer], strict=True))
        yield compare(
            f"cached-manifests-vs-{peer}",
            "1/s",
            peer=peer,
            pairs=[(mine.rate, theirs.rate) for mine, theirs in both],
            bar=bar,
            better=Better.MORE,
        )
        if peer.startswith("nginx"):
            yield compare(
                f"cached-manifests-p99-vs-{peer}",
                "ms",
                peer=peer,
                pairs=[(mine.p99_ms, theirs.p99_ms) for mine, theirs in both],
                bar=1.5,
                better=Better.LESS,
            )


def _nginxes(stage: Stage, manifest: bytes) -> list[Cache]:
    """The same bytes from nginx: out of its proxy_cache, and as a plain file."""
    root = stage.rig.place("manifests")
    (root / "manifest").write_bytes(manifest)
    lines = "  add_header Cache-Control max-age=36000;\n"
    with started_on(LOAD):
        origin = stage.rig.nginx(root, lines)
    with started_on(SERVERS):
        plain = stage.rig.nginx(root, lines, "  open_file_cache max=1000 inactive=1h;\n")
    return [
        nginx_cache(stage, origin.authority, lock=False),
        Cache("nginx-file", plain.authority, plain.child.pid),
    ]


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
            costs[name].append(curled(url, pid, times=times).cpu_seconds_per_gb)
    for peer, bar in (("docker-registry", 0.5), ("nginx", 1.2)):
        yield compare(
            f"cached-blob-cpu-vs-{peer}",
            "CPU-s/GB",
            peer=peer,
            pairs=list(zip(costs["skerry"], costs[peer], strict=True)),
            bar=bar,
            better=Better.LESS,
        )
