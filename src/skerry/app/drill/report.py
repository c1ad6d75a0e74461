"""What the drill promised and what came of it, as values and as a table.

Owns the judgement of one promise and how it is shown. Never measures.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table

from skerry.base.units import format_seconds


@dataclass(frozen=True, slots=True)
class Measured:
    """One thing that was tried.

    Attributes:
        what: what was asked, for people.
        fault: "" when it went as promised, else what came instead.
    """

    what: str
    seconds: float
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Promise:
    """One line of the drill's table.

    Attributes:
        scene: which cut, e.g. `refused`.
        text: the promise.
        bound_seconds: no measured time may be longer.
    """

    scene: str
    text: str
    bound_seconds: float
    measured: tuple[Measured, ...]

    @property
    def faults(self) -> tuple[str, ...]:
        """Everything that went otherwise than promised."""
        wrong = [f"{m.what}: {m.fault}" for m in self.measured if m.fault]
        wrong += [
            f"{m.what}: took {format_seconds(m.seconds)}, promised {self.bound_seconds:g} s"
            for m in self.measured
            if not m.fault and m.seconds > self.bound_seconds
        ]
        return tuple(wrong) if self.measured else ("nothing was measured",)

    @property
    def kept(self) -> bool:
        return not self.faults

    @property
    def median_seconds(self) -> float:
        """The middle of the measured times (the upper one of two)."""
        times = sorted(m.seconds for m in self.measured)
        return times[len(times) // 2] if times else 0.0

    @property
    def worst_seconds(self) -> float:
        """The longest measured time."""
        return max((m.seconds for m in self.measured), default=0.0)


def table(promises: Sequence[Promise]) -> Table:
    """For a terminal."""
    shown = Table(title="What went on working", title_justify="left")
    shown.add_column("the link", no_wrap=True)
    shown.add_column("promise")
    shown.add_column("result", no_wrap=True)
    shown.add_column("median", justify="right", no_wrap=True)
    shown.add_column("worst", justify="right", no_wrap=True)
    scene = ""
    for promise in promises:
        count = len(promise.measured)
        result = f"[green]kept[/] {count} of {count}" if promise.kept else "[bold red]BROKEN[/]"
        shown.add_row(
            promise.scene if promise.scene != scene else "",
            promise.text,
            result,
            format_seconds(promise.median_seconds),
            format_seconds(promise.worst_seconds),
        )
        scene = promise.scene
    return shown


def as_json(promises: Sequence[Promise], *, seconds: float) -> str:
    """One object: every promise with its times in milliseconds."""
    rows = [
        {
            "scene": promise.scene,
            "promise": promise.text,
            "kept": promise.kept,
            "measured": len(promise.measured),
            "median_ms": round(promise.median_seconds * 1000, 1),
            "worst_ms": round(promise.worst_seconds * 1000, 1),
            "faults": list(promise.faults),
        }
        for promise in promises
    ]
    kept = all(promise.kept for promise in promises)
    return json.dumps({"kept": kept, "seconds": round(seconds, 1), "promises": rows})
