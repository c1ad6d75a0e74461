"""One measured figure: what it says, whether it meets its bar, and the line that keeps it.

Owns the judgement and `bench/results/*.jsonl`. Never measures.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from statistics import median

RESULTS = Path(__file__).parent / "results"


class Better(Enum):
    """Which way a figure should go."""

    MORE = "at least"
    LESS = "at most"


@dataclass(frozen=True)
class Figure:
    """One comparison. `ratio` is skerry / peer_value; `spread` its least and most over rounds.

    With a fixed bound as `peer`, `peer_value` is the bound and `bar` 1.0.
    """

    bench: str
    skerry: float
    peer: str
    peer_value: float
    unit: str
    ratio: float
    bar: float
    better: Better
    rounds: int
    spread: tuple[float, float]

    @property
    def met(self) -> bool:
        return self.ratio >= self.bar if self.better is Better.MORE else self.ratio <= self.bar

    def line(self) -> dict[str, object]:
        """What is kept of it."""
        kept = asdict(self) | {"better": self.better.value, "met": self.met}
        kept |= {"at": datetime.now(UTC).isoformat(timespec="seconds"), "machine": machine()}
        return {key: rounded(value) for key, value in kept.items()}


def compare(
    bench: str,
    unit: str,
    *,
    peer: str,
    pairs: Sequence[tuple[float, float]],
    bar: float,
    better: Better,
) -> Figure:
    """The figure of several rounds, each one (skerry, peer) measured right after each other."""
    skerry, other = (median(values) for values in zip(*pairs, strict=True))
    ratios = [mine / theirs for mine, theirs in pairs]
    spread = (min(ratios), max(ratios))
    return Figure(bench, skerry, peer, other, unit, skerry / other, bar, better, len(pairs), spread)


def within(bench: str, unit: str, *, values: Sequence[float], most: float) -> Figure:
    """The figure of something that has a bound and no peer."""
    pairs = [(value, most) for value in values]
    return compare(bench, unit, peer="bound", pairs=pairs, bar=1.0, better=Better.LESS)


def keep(figure: Figure) -> None:
    """Appends one line to the figure's file."""
    RESULTS.mkdir(exist_ok=True)
    with (RESULTS / f"{figure.bench}.jsonl").open("a") as out:
        out.write(json.dumps(figure.line()) + "\n")


def machine() -> str:
    """Which machine, as far as numbers depend on it."""
    info = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.partition(": ")[2] for line in info if line.startswith("model name")]
    return f"{models[0] if models else platform.machine()} x{len(models)}, {platform.release()}"


def rounded(value: object) -> object:
    """Four significant digits are more than a bench knows."""
    if isinstance(value, float):
        return float(f"{value:.4g}")
    return [rounded(part) for part in value] if isinstance(value, tuple) else value
