"""Cores, processor time and memory of running programs.

Owns what is read from /proc and where children are pinned. Servers get the first core this
process may use, the load the last one: what is compared shares a core with nothing else of ours.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CORES = sorted(os.sched_getaffinity(0))
SERVERS, LOAD = CORES[0], CORES[-1]
MIB = 1 << 20


@contextmanager
def started_on(*cores: int) -> Iterator[None]:
    """Children started in here stay on these cores; Go reads its number of threads from that."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, set(cores))
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def group(pid: int) -> list[int]:
    """The processes of a group that was started with a session of its own."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[2]) == pid:
                found.append(int(entry.name))
    return found


def cpu_seconds(pid: int) -> float:
    """User and system time of a process group so far."""
    ticks = 0
    for member in group(pid):
        fields = Path(f"/proc/{member}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def memory_bytes(pid: int, field: str) -> int:
    """`VmRSS` or `VmHWM` of one process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise KeyError(field)


def forget_peak(pid: int) -> None:
    """Lets `VmHWM` begin again at the memory of now."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def run(*argv: str, seconds_max: float = 120) -> str:
    """A program's output. Raises CalledProcessError, TimeoutExpired."""
    done = subprocess.run(argv, capture_output=True, text=True, timeout=seconds_max, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(argv)} ended with {done.returncode}: {done.stderr[-2000:]}")
    return done.stdout
