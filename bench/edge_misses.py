"""What is not held yet: pages a second, throughput and first byte, beside three other caches.

Owns the measurement of misses that are stored. The origin is nginx on the load's core, quicker than
all of them; every URL is asked once. nginx and Squid store on the same disk as the node, Varnish in
memory, as Debian delivers it.
"""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from statistics import median

from bench.edge_caches import Cache, nginx_cache, skerry_edge, squid, varnish
from bench.figures import Better, Figure, compare, within
from bench.machine import LOAD, cpu_seconds, run, started_on
from bench.stage import Stage
from tests.rig.processes import Service

_RATE = re.compile(r"Requests/sec:\s+([\d.]+)")
SMALL_BYTES, LARGE_BYTES = 3 * 1024, 200 << 20
HOST = "bench.test"
_numbers = count(1)

_SCRIPT = """
local n = 0
request = function() n = n + 1; return wrk.format("GET", "/small/%d/" .. n) end
"""


def misses(stage: Stage, *, quick: bool) -> Iterator[Figure]:
    """Unique 3 KiB pages a second, 200 MB cold, first byte of a miss."""
    with started_on(LOAD):
        origin = _origin(stage)
    caches = [
        skerry_edge(stage, origin.authority),
        nginx_cache(stage, origin.authority, lock=False),
        nginx_cache(stage, origin.authority, lock=True),
        varnish(stage, origin.authority),
        squid(stage, origin.authority),
    ]
    yield from _pages(stage, caches, quick=quick)
    yield from _large(caches, quick=quick)
    yield _first_bytes(caches[0], caches[1], quick=quick)


def _pages(stage: Stage, caches: list[Cache], *, quick: bool) -> Iterator[Figure]:
    folder = stage.rig.place("wrk")
    seconds, rounds = (2, 2) if quick else (4, 5)
    rates: dict[str, list[float]] = {cache.name: [] for cache in caches}
    for _ in range(rounds):
        for cache in caches:
            rates[cache.name].append(pages_per_second(folder, cache, seconds))
    for cache, bar in zip(caches[1:], (0.5, 0.5, 0.2, 0.5), strict=True):
        yield compare(
            f"miss-pages-vs-{cache.name}",
            "1/s",
            peer=cache.name,
            pairs=list(zip(rates["skerry"], rates[cache.name], strict=True)),
            bar=bar,
            better=Better.MORE,
        )


def _large(caches: list[Cache], *, quick: bool) -> Iterator[Figure]:
    rounds = 3 if quick else 7
    speeds: dict[str, list[float]] = {cache.name: [] for cache in caches}
    for _ in range(rounds):
        for cache in caches:
            speeds[cache.name].append(megabytes_per_second(cache))
            _at_rest(cache)
    for cache in caches[1:]:
        yield compare(
            f"miss-200MB-vs-{cache.name}",
            "MB/s",
            peer=cache.name,
            pairs=list(zip(speeds["skerry"], speeds[cache.name], strict=True)),
            bar=0.9 if cache.name.startswith("nginx") else 0.5,
            better=Better.MORE,
        )


def _at_rest(cache: Cache) -> None:
    """Waits until it has ended what it does behind an answer: the next one shares its core."""
    before, now = -1.0, cpu_seconds(cache.pid)
    while now > before:
        time.sleep(0.2)
        before, now = now, cpu_seconds(cache.pid)


def _first_bytes(mine: Cache, nginx: Cache, *, quick: bool) -> Figure:
    """How much later the first byte comes than through nginx, one request at a time."""
    behind = []
    for _ in range(2 if quick else 5):
        ours, theirs = first_byte_seconds(mine, 200), first_byte_seconds(nginx, 200)
        behind.append((ours - theirs) * 1000)
    return within("miss-first-byte-behind-nginx", "ms", values=behind, most=2.0)


def pages_per_second(folder: Path, cache: Cache, seconds: int) -> float:
    """What wrk gets with every URL new. Raises RuntimeError on any other answer."""
    script = folder / "unique.lua"
    script.write_text(_SCRIPT % next(_numbers))
    url = f"http://{cache.authority}"
    options = ("-t1", "-c32", f"-d{seconds}s", "-H", f"Host: {HOST}", "-s", str(script))
    said = run("wrk", *options, url)
    rate = _RATE.search(said)
    if rate is None or "Non-2xx" in said or "Socket errors" in said:
        raise RuntimeError(f"wrk {cache.name}: {said}")
    return float(rate[1])


def megabytes_per_second(cache: Cache) -> float:
    """One new object of 200 MB to curl."""
    url = f"http://{cache.authority}/large?{next(_numbers)}"
    said = run(
        "curl", "-sf", "-H", f"Host: {HOST}", "-o", "/dev/null", "-w", "%{speed_download}", url
    )
    return float(said) / 1e6


def first_byte_seconds(cache: Cache, times: int) -> float:
    """The median wait for the first byte of new small pages over one connection."""
    host, _, port = cache.authority.partition(":")
    waits = []
    with socket.create_connection((host, int(port)), timeout=10) as line:
        for _ in range(times):
            asked = f"GET /small/first/{next(_numbers)} HTTP/1.1\r\nHost: {HOST}\r\n\r\n"
            began = time.perf_counter()
            line.sendall(asked.encode())
            got = line.recv(65536)
            waits.append(time.perf_counter() - began)
            _rest(line, got)
    return median(waits)


def _rest(line: socket.socket, got: bytes) -> None:
    while b"\r\n\r\n" not in got:
        got += line.recv(65536)
    head, _, body = got.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(head.decode("latin-1"))
    length = re.search(r"\r\ncontent-length: *(\d+)", head.decode("latin-1").lower())
    if length is None:
        raise RuntimeError(head.decode("latin-1"))
    while len(body) < int(length[1]):
        body += line.recv(65536)


def _origin(stage: Stage) -> Service:
    """Every page is its own: what is the same under two names would be kept once."""
    root = stage.rig.place("origin")
    (root / "large").write_bytes(b"y" * LARGE_BYTES)
    page = "$request_uri " + "x" * (SMALL_BYTES - 1)
    return stage.rig.nginx(
        root,
        f'  location /small/ {{ default_type text/plain; return 200 "{page}"; }}\n',
        "  add_header Cache-Control max-age=3600;\n",
    )
