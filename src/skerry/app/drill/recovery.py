"""What a drill found out about recovery, as incidents.

Owns the translation of promises into what was lost and how soon service was good again. Measures
nothing itself: a time is what the slowest asker waited.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from skerry.app.drill.report import Promise
from skerry.telemetry.core.incidents import Incident, Lost, Origin

ROLLED_BACK = "rolled back"
"""The scene in which a release is taken back."""
PULLS, RESTART, NEVER_SEEN = 0, 1, 3
"""Places of the promises of one cut."""
PROMISES_OF_A_CUT = 5


@dataclass(frozen=True, slots=True)
class Timed:
    """A promise, and when its measuring ended, in seconds since the epoch."""

    ended_at: float
    promise: Promise


def incidents_of(course: Sequence[Timed], cuts: Sequence[str]) -> Iterator[Incident]:
    """One for each cut, each node killed and each release taken back."""
    for number, timed in enumerate(course):
        scene = timed.promise.scene
        first = number > 0 and course[number - 1].promise.scene != scene
        if scene == ROLLED_BACK:
            yield _release(timed)
        elif first and scene in cuts:
            of_cut = [each for each in course[number:] if each.promise.scene == scene]
            if len(of_cut) >= PROMISES_OF_A_CUT:
                yield _upstream(course[number - 1].ended_at, of_cut)
                yield _node(of_cut[RESTART])


def _upstream(began_at: float, of_cut: Sequence[Timed]) -> Incident:
    pulls = of_cut[PULLS].promise
    back_at = max(began_at, of_cut[-1].ended_at)
    waited = pulls.worst_seconds if pulls.kept else back_at - began_at
    found_out = _total(pulls) + _first(of_cut[NEVER_SEEN].promise)
    return Incident(
        Lost.UPSTREAM,
        f"drill: {pulls.scene}",
        began_at,
        min(began_at + found_out, back_at),
        good_at=began_at + waited,
        back_at=back_at,
        interrupted_seconds=waited,
        origin=Origin.DRILL,
        cause="" if pulls.kept else pulls.faults[0],
    )


def _node(restart: Timed) -> Incident:
    took = _total(restart.promise)
    began_at = restart.ended_at - took
    return Incident(
        Lost.NODE,
        f"drill: {restart.promise.scene}",
        began_at,
        began_at,
        good_at=restart.ended_at,
        back_at=restart.ended_at,
        interrupted_seconds=took,
        origin=Origin.DRILL,
        cause="kill -9",
    )


def _release(timed: Timed) -> Incident:
    took = _total(timed.promise)
    began_at = timed.ended_at - took
    return Incident(
        Lost.RELEASE,
        "drill: a moved tag",
        began_at,
        began_at,
        good_at=timed.ended_at,
        back_at=timed.ended_at,
        origin=Origin.DRILL,
        cause="" if timed.promise.kept else timed.promise.faults[0],
    )


def _total(promise: Promise) -> float:
    return sum(each.seconds for each in promise.measured)


def _first(promise: Promise) -> float:
    return promise.measured[0].seconds if promise.measured else 0.0
