"""`python -m bench [--only NAME] [--quick]`: every figure, a table, and a line kept for each.

Owns the list of figures and the exit code: 1 when a bar was missed.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench import (
    breadth,
    cached,
    cold,
    edge_hits,
    edge_large,
    edge_misses,
    edge_scale,
    floods,
    ledger,
    still,
    telemetry,
    verdicts,
    warming,
    workers,
)
from bench.figures import Better, Figure, keep
from bench.machine import LOAD
from bench.stage import Stage
from tests.rig.processes import Rig

Measure = Callable[..., Iterator[Figure]]
MEASURES: dict[str, Measure] = {
    "manifests": cached.manifests,
    "blobs": cached.blobs,
    "verdicts": verdicts.verdicts,
    "cold": cold.pulls,
    "shaped": cold.pulls_over_a_link,
    "bytes": cold.upstream_bytes,
    "crowd": cold.crowd,
    "large": edge_large.large,
    "hits": edge_hits.hits,
    "misses": edge_misses.misses,
    "workers": workers.hits,
    "scale": edge_scale.scale,
    "floods": floods.floods,
    "start": still.start,
    "idle": still.idle,
    "ledger": ledger.month,
    "telemetry": telemetry.watched,
    "breadth": breadth.breadth,
    "warming": warming.warming,
}


def main() -> int:
    """Measures, prints, keeps. 1 when a bar was missed."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", action="append", choices=[*MEASURES], help="just these")
    parser.add_argument("--quick", action="store_true", help="fewer rounds; nothing is kept")
    options = parser.parse_args()
    os.sched_setaffinity(0, {LOAD})
    console = Console()
    missed = 0
    for name in options.only or MEASURES:
        began = time.monotonic()
        console.rule(f"{name}: {MEASURES[name].__doc__}")
        table = Table("figure", "skerry", "unit", "peer", "", "ratio", "spread", "bar", "met")
        with tempfile.TemporaryDirectory(prefix="skerry-bench-") as made, Rig(Path(made)) as rig:
            Path(made).chmod(0o755)  # nginx gives its rights away
            for figure in MEASURES[name](Stage(rig), quick=options.quick):
                table.add_row(*cells(figure))
                missed += not figure.met
                if not options.quick:
                    keep(figure)
        console.print(table, f"[dim]{time.monotonic() - began:.0f} s[/dim]")
    return 1 if missed else 0


def cells(figure: Figure) -> list[str]:
    """One row of the table."""
    sign = "≥" if figure.better is Better.MORE else "≤"
    least, most = figure.spread
    return [
        figure.bench,
        number(figure.skerry),
        figure.unit,
        number(figure.peer_value),
        figure.peer,
        f"{figure.ratio:.3g}x",
        f"{least:.3g}-{most:.3g}",
        f"{sign} {figure.bar:g}x",
        "[green]yes[/green]" if figure.met else "[red]no[/red]",
    ]


def number(value: float) -> str:
    """Four digits, or whole thousands."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"


if __name__ == "__main__":
    sys.exit(main())
