"""What is held already: hits a second, their latency, and what bodies and ranges cost.

Owns the measurement of hits beside nginx (from its proxy_cache, and from the plain file), Varnish
and Squid. Each runs on the servers' core, the load on the other; every object is warm before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from bench.edge_caches import Cache, nginx_cache, skerry_edge, squid, varnish
from bench.figures import Better, Figure, compare
from bench.load import Load, curled, wrk
from bench.machine import LOAD, SERVERS, run, started_on
from bench.stage import Stage

HOST = "bench.test"
SMALL_BYTES, PART_BYTES = 3 * 1024, 64 << 10
BODIES = {"10MB": 10_000_000, "200MB": 200_000_000}
RATE_BARS = {"nginx": 1.3, "nginx-file": 1.0, "varnish": 1.3, "squid": 1.3}

_RANGES = """
math.randomseed(7)
request = function()
  local first = math.random(0, %d) * %d
  local wanted = "bytes=" .. first .. "-" .. first + %d
  return wrk.format("GET", nil, {["Host"] = "%s", ["Range"] = wanted})
end
"""


def hits(stage: Stage, *, quick: bool) -> Iterator[Figure]:
    """3 KiB pages, 10 MB and 200 MB bodies and 64 KiB of them, all held, beside four others."""
    caches = _warm(stage)
    seconds, rounds = (2, 2) if quick else (4, 7)
    small = _rounds(caches, rounds, partial(_wrk, path="/small", seconds=seconds))
    yield from _figures("hit-rate", "1/s", small, lambda load: load.rate, RATE_BARS)
    bars = dict.fromkeys(RATE_BARS, 1.5)
    yield from _figures("hit-p99", "ms", small, lambda load: load.p99_ms, bars, Better.LESS)
    scripts = stage.rig.place("wrk")
    for name, size in BODIES.items():
        times = max(2, (1 if quick else 3) * 600_000_000 // size)
        whole = _rounds(caches, rounds, partial(_curl, path=f"/{name}", times=times))
        yield from _costs(f"hit-{name}", whole)
        script = _ranges(scripts / f"{name}.lua", size)
        ask = partial(_wrk, path=f"/{name}", seconds=seconds, script=script)
        parts = _rounds(caches, rounds, ask)
        yield from _costs(f"hit-{name}-64KiB", parts)


def _costs(name: str, loads: dict[str, list[Load]]) -> Iterator[Figure]:
    most, least = dict.fromkeys(RATE_BARS, 1.1), dict.fromkeys(RATE_BARS, 0.95)
    yield from _figures(
        f"{name}-cpu", "CPU-s/GB", loads, lambda load: load.cpu_seconds_per_gb, most, Better.LESS
    )
    yield from _figures(f"{name}-speed", "MB/s", loads, lambda load: load.speed, least)


def _rounds(
    caches: Sequence[Cache], rounds: int, measure: Callable[[Cache], Load]
) -> dict[str, list[Load]]:
    """Every cache in turn, round after round, so that a ratio compares neighbours."""
    loads: dict[str, list[Load]] = {cache.name: [] for cache in caches}
    for _ in range(rounds):
        for cache in caches:
            loads[cache.name].append(measure(cache))
    return loads


def _figures(
    name: str,
    unit: str,
    loads: dict[str, list[Load]],
    value: Callable[[Load], float],
    bars: dict[str, float],
    better: Better = Better.MORE,
) -> Iterator[Figure]:
    for peer, bar in bars.items():
        both = zip(loads["skerry"], loads[peer], strict=True)
        pairs = [(value(mine), value(theirs)) for mine, theirs in both]
        yield compare(f"{name}-vs-{peer}", unit, peer=peer, pairs=pairs, bar=bar, better=better)


def _warm(stage: Stage) -> list[Cache]:
    root = stage.rig.place("origin")
    (root / "small").write_bytes(b"x" * SMALL_BYTES)
    for name, size in BODIES.items():
        (root / name).write_bytes(bytes(range(250)) * (size // 250))
    lines = "  add_header Cache-Control max-age=36000;\n"
    with started_on(LOAD):
        origin = stage.rig.nginx(root, lines).authority
    with started_on(SERVERS):
        plain = stage.rig.nginx(root, lines, "  open_file_cache max=1000 inactive=1h;\n")
    caches = [
        skerry_edge(stage, origin),
        nginx_cache(stage, origin, lock=False),
        Cache("nginx-file", plain.authority, plain.child.pid),
        varnish(stage, origin),
        squid(stage, origin),
    ]
    for cache in caches:
        for name in ("small", *BODIES):
            for _ in range(3):
                _held(cache, f"/{name}", (root / name).stat().st_size)
    return caches


def _held(cache: Cache, path: str, size: int) -> None:
    url = f"http://{cache.authority}{path}"
    quiet = ("-sf", "-o", "/dev/null", "-w", "%{size_download}")
    said = run("curl", *quiet, "-H", f"Host: {HOST}", url)
    if int(said) != size:
        raise RuntimeError(f"{cache.name}: {path} has {said} bytes, not {size}")


def _ranges(script: Path, size: int) -> Path:
    last = size // PART_BYTES - 1
    script.write_text(_RANGES % (last, PART_BYTES, PART_BYTES - 1, HOST))
    return script


def _wrk(cache: Cache, path: str, seconds: int, *, script: Path | None = None) -> Load:
    url = f"http://{cache.authority}{path}"
    size = SMALL_BYTES if script is None else PART_BYTES
    return wrk(url, cache.pid, seconds=seconds, body_bytes=size, host=HOST, script=script)


def _curl(cache: Cache, path: str, times: int) -> Load:
    return curled(f"http://{cache.authority}{path}", cache.pid, times=times, host=HOST)
