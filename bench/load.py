"""The load that a bench puts on one server, and what came of it.

Owns the calls of wrk and curl and the reading of their reports. One thread on the load's core.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from bench.machine import cpu_seconds, run

CONNECTIONS = 32

_RATE = re.compile(r"Requests/sec:\s+([\d.]+)")
_COUNT = re.compile(r"(\d+) requests in")
_P99 = re.compile(r"99%\s+([\d.]+)(us|ms|s)")
_MILLISECONDS = {"us": 0.001, "ms": 1.0, "s": 1000.0}


@dataclass(frozen=True)
class Load:
    """What one run saw.

    Attributes:
        rate: answers a second.
        p99_ms: 99 of 100 answers took no longer, 0 where nobody measured it.
        speed: MB (1e6 bytes) of bodies a second.
        cpu_seconds_per_gb: of the server's process group, for 1e9 bytes of bodies.
    """

    rate: float
    p99_ms: float
    speed: float
    cpu_seconds_per_gb: float


def wrk(
    url: str,
    pid: int,
    *,
    seconds: int,
    body_bytes: int,
    host: str = "",
    accept: str = "*/*",
    script: Path | None = None,
) -> Load:
    """One thread and 32 connections kept alive. Raises RuntimeError on any answer but 2xx."""
    options = ["-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency", "-H", f"Accept: {accept}"]
    if host:
        options += ["-H", f"Host: {host}"]
    if script is not None:
        options += ["-s", str(script)]
    before = cpu_seconds(pid)
    said = run("wrk", *options, url)
    cost = cpu_seconds(pid) - before
    return read_wrk(said, body_bytes=body_bytes, cpu_seconds=cost)


def read_wrk(said: str, *, body_bytes: int, cpu_seconds: float) -> Load:
    """wrk's report as numbers. Raises RuntimeError when it tells of trouble."""
    rate, count, p99 = _RATE.search(said), _COUNT.search(said), _P99.search(said)
    trouble = "Non-2xx" in said or "Socket errors" in said
    if rate is None or count is None or p99 is None or trouble:
        raise RuntimeError(f"wrk: {said}")
    return Load(
        float(rate[1]),
        float(p99[1]) * _MILLISECONDS[p99[2]],
        float(rate[1]) * body_bytes / 1e6,
        cpu_seconds / (int(count[1]) * body_bytes / 1e9),
    )


def curled(url: str, pid: int, *, times: int, host: str = "") -> Load:
    """The same body so many times over one connection. Raises RuntimeError."""
    named = ["-H", f"Host: {host}"] if host else []
    report = ["-w", "%{size_download} %{time_total}\n"]
    before = cpu_seconds(pid)
    said = run("curl", "-sf", *named, *report, *(["-o", "/dev/null", url] * times))
    cost = cpu_seconds(pid) - before
    lines = [line.split() for line in said.splitlines()]
    size, seconds = sum(int(each[0]) for each in lines), sum(float(each[1]) for each in lines)
    return Load(len(lines) / seconds, 0.0, size / 1e6 / seconds, cost / (size / 1e9))
