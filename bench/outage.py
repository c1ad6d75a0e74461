"""The outage matrix with a stopwatch: `python -m bench.outage`.

Owns the measurement: for every fault, object and phase, how long Skerry's answer took and beside
it docker-registry's proxy mode and drayage, on the same road in the same run. Prints p50 and p99
per cell and appends one JSON line per figure to `bench/results/outage.jsonl`.

The peers resolve names with the system's resolver and trust the system's certificates, so the
faults of names and of TLS are measured for Skerry alone. A request that has no answer after
`--patience` seconds counts as that long and ends its cell: whoever hangs once hangs again.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.figures import machine
from bench.outage_peers import Mirror, mirrors
from skerry.app.drill.client import Got, RegistryClient
from skerry.app.drill.processes import NotReady
from tests.rig import outage
from tests.rig.outage import FAULTS, HALF, STALE, WHOLE, Fault, Road
from tests.rig.processes import Rig, Service

RESULTS = Path(__file__).parent / "results" / "outage.jsonl"
CACHED_BAR_MS = 100.0
"""A cached answer's p99 in every cell."""
KNOWN_BAR_MS = 1000.0
"""A name that cannot be had, once the breaker is open."""
SAMPLES, MISSES = 50, 6
PEERS = ("docker-registry", "drayage")


@dataclass(frozen=True)
class Cell:
    """What one mirror did in one cell.

    Attributes:
        wrong: how many answers were not what a client needs (see `OBJECTS`).
        hung: whether the last request had no answer within the patience.
    """

    fault: str
    what: str
    phase: str
    mirror: str
    times_ms: tuple[float, ...]
    statuses: tuple[int, ...]
    wrong: int
    hung: bool

    @property
    def p50(self) -> float:
        return statistics.median(self.times_ms)

    @property
    def p99(self) -> float:
        ordered = sorted(self.times_ms)
        return ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]

    @property
    def said(self) -> str:
        """The statuses, or that there were none."""
        if not self.statuses:
            return "does not start"
        return "hangs" if self.hung else ",".join(sorted({str(code) for code in self.statuses}))

    def shown(self) -> str:
        colour = "red" if self.wrong or self.hung else "green"
        if self.hung or not self.times_ms:
            return f"[{colour}]{self.said}[/]"
        return f"[{colour}]{self.said}[/] {self.p50:.1f} / {self.p99:.1f}"


Ask = Callable[[RegistryClient, str, int], Got]
Right = Callable[[Got], bool]


def _same(data: bytes) -> Right:
    return lambda got: got.status == 200 and got.body == data


def _unavailable(fault: Fault) -> Right:
    """Any 5xx says "not now"; "there is no such thing" is right only where it is true."""
    true = fault.never | ({404} if fault.lies else set())
    return lambda got: got.whole and (got.status in true or got.status >= 500)


def objects(fault: Fault, phase: str) -> dict[str, tuple[int, Ask, Right]]:
    """Object -> how often it is asked, how, and what the right answer is."""
    missing = _unavailable(fault)
    whole, part = outage.cargo(), outage.half()
    config, layer = part.blobs[0], part.blobs[-1]
    return {
        "cached tag": (
            SAMPLES,
            lambda client, prefix, _: client.manifest(f"{prefix}{WHOLE}", STALE),
            _same(whole.manifest.data),
        ),
        "cached digest": (
            SAMPLES,
            lambda client, prefix, _: client.manifest(f"{prefix}{WHOLE}", whole.digest),
            _same(whole.manifest.data),
        ),
        "cached layer": (
            SAMPLES,
            lambda client, prefix, _: client.blob(
                f"{prefix}{WHOLE}", whole.children[0].blobs[-1].digest
            ),
            _same(whole.children[0].blobs[-1].data),
        ),
        "half: what is here": (
            SAMPLES,
            lambda client, prefix, _: client.blob(f"{prefix}{HALF}", config.digest),
            _same(config.data),
        ),
        "half: what is not": (
            MISSES,
            lambda client, prefix, _: client.blob(f"{prefix}{HALF}", layer.digest),
            lambda got: not got.whole or missing(got) or got.body == layer.data,
        ),
        "never seen": (
            MISSES,
            lambda client, prefix, n: client.manifest(f"{prefix}team/never", f"{phase[:4]}-{n}"),
            missing,
        ),
        "never seen, known": (
            MISSES,
            lambda client, prefix, n: client.manifest(f"{prefix}team/never", f"{phase[:4]}.{n}"),
            missing,
        ),
    }


def measure(mirror: Mirror, fault: Fault, phase: str, patience_seconds: float) -> Iterator[Cell]:
    """Every object of one phase."""
    client = RegistryClient(mirror.authority(), timeout_seconds=patience_seconds)
    for what, (count, ask, right) in objects(fault, phase).items():
        times: list[float] = []
        statuses: list[int] = []
        wrong = 0
        hung = False
        for number in range(count):
            got = ask(client, mirror.prefix, number)
            times.append(got.seconds * 1000)
            statuses.append(got.status)
            wrong += not right(got)
            hung = "timed out" in got.trouble
            if hung:
                break
        yield Cell(fault.name, what, phase, mirror.name, tuple(times), tuple(statuses), wrong, hung)


def run_fault(
    fault: Fault, registry: Service, folder: Path, patience_seconds: float
) -> Iterator[Cell]:
    """One fault for every mirror, each on a road of its own."""
    for name, build in mirrors(fault).items():
        with Rig(folder / f"{fault.name}-{name}") as rig:
            road = Road(rig, registry, tls=fault.tls, tokens=fault.tokens)
            mirror = build(rig, road)
            client, patience = RegistryClient(mirror.authority()), 15 if name == "skerry" else 0
            try:
                outage.warm(client, mirror.prefix, seconds_max=patience)
            except outage.NotWarm:
                if name == "skerry":
                    raise
                continue  # drayage and a token service over plain http: nothing to measure
            road.settle()
            fault.cut(road)
            yield from measure(mirror, fault, "running", patience_seconds)
            try:
                mirror.restart()
            except NotReady:
                yield from (
                    Cell(fault.name, what, "restarted", name, (), (), 1, False)
                    for what in objects(fault, "restarted")
                )
                continue
            yield from measure(mirror, fault, "restarted", patience_seconds)


def figures(cells: list[Cell]) -> Iterator[dict[str, object]]:
    """One JSON object per cell and peer; a peer that gave no right answer has no value."""
    peers = {(c.fault, c.what, c.phase, c.mirror): c for c in cells if c.mirror != "skerry"}
    for cell in cells:
        if cell.mirror != "skerry":
            continue
        bar = _bar(cell.what)
        base = {
            "bench": f"outage/{cell.fault}/{cell.phase}/{cell.what}",
            "skerry": round(cell.p99, 2),
            "skerry_p50": round(cell.p50, 2),
            "skerry_said": cell.said,
            "unit": "ms p99",
            "bar": bar,
            "met": cell.wrong == 0 and not cell.hung and (bar is None or cell.p99 <= bar),
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": machine(),
        }
        for name in PEERS:
            peer = peers.get((cell.fault, cell.what, cell.phase, name))
            right = peer is not None and not peer.hung and not peer.wrong
            value = round(peer.p99, 2) if peer is not None and right else None
            yield base | {
                "peer": name,
                "peer_value": value,
                "peer_said": peer.said if peer is not None else "not measured",
                "ratio": round(cell.p99 / value, 3) if value else None,
            }


def _bar(what: str) -> float | None:
    if what.startswith("cached") or what == "half: what is here":
        return CACHED_BAR_MS
    return KNOWN_BAR_MS if what == "never seen, known" else None


def show(console: Console, fault: Fault, cells: list[Cell]) -> None:
    """One fault's cells side by side."""
    names = list(dict.fromkeys(cell.mirror for cell in cells))
    shown = Table(title=f"{fault.name}: status, p50 / p99 in ms", title_justify="left")
    for column in ("phase", "object", *names):
        shown.add_column(column)
    found = {(cell.phase, cell.what, cell.mirror): cell for cell in cells}
    for phase, what in dict.fromkeys((cell.phase, cell.what) for cell in cells):
        row = [found.get((phase, what, name)) for name in names]
        shown.add_row(phase, what, *(cell.shown() if cell else "-" for cell in row))
    console.print(shown)


def main() -> int:
    """Runs the chosen faults. Returns 1 when a bar was missed."""
    parser = argparse.ArgumentParser(prog="python -m bench.outage", description=__doc__)
    parser.add_argument("--faults", default="", help="comma-separated names; all by default")
    parser.add_argument("--patience", type=float, default=6.0, help="seconds before it hangs")
    chosen = parser.parse_args()
    wanted = set(filter(None, chosen.faults.split(",")))
    faults = [fault for fault in FAULTS if not wanted or fault.name in wanted]
    console = Console(width=140)
    RESULTS.parent.mkdir(exist_ok=True)
    missed, total = 0, 0
    with tempfile.TemporaryDirectory(prefix="bench-outage-") as folder, Rig(Path(folder)) as rig:
        registry = rig.registry()
        outage.load(registry)
        for fault in faults:
            cells = list(run_fault(fault, registry, Path(folder), chosen.patience))
            show(console, fault, cells)
            lines = list(figures(cells))
            skerry = {str(line["bench"]): bool(line["met"]) for line in lines}
            missed, total = missed + list(skerry.values()).count(False), total + len(skerry)
            with RESULTS.open("a") as out:
                out.writelines(json.dumps(line) + "\n" for line in lines)
    console.print(f"{missed} of {total} cells missed their bar; the figures are in {RESULTS}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
