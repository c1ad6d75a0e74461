"""What an incident says, and the shares that are counted of many."""

from __future__ import annotations

from dataclasses import replace

import pytest

from skerry.telemetry.core.incidents import (
    Incident,
    Lost,
    Measure,
    Objective,
    Origin,
    begun,
    indicators,
    sampled,
)

AT = 1_700_000_000.0
UP = Incident(Lost.UPSTREAM, "up.test", AT, AT + 3)


def test_where_nobody_was_let_down_service_was_good_all_along() -> None:
    noticed = begun(UP, good=True)
    assert noticed.seconds(Measure.LOCAL_SERVICE) == 0
    assert noticed.seconds(Measure.INTERRUPTED) == 0


def test_service_is_good_again_at_the_first_good_look() -> None:
    noticed = begun(UP, good=False)
    assert noticed.seconds(Measure.LOCAL_SERVICE) is None
    bad = sampled(noticed, good=False, at=AT + 4, passed_seconds=1)
    good = sampled(bad, good=True, at=AT + 5, passed_seconds=1)
    again = sampled(good, good=False, at=AT + 3600, passed_seconds=2)
    assert good.seconds(Measure.LOCAL_SERVICE) == 5
    assert again.seconds(Measure.LOCAL_SERVICE) == 5, "the first time counts"
    assert again.seconds(Measure.INTERRUPTED) == 3, "all of it counts"


@pytest.mark.parametrize("lost", Lost)
def test_rollback_is_measured_of_releases_alone(lost: Lost) -> None:
    incident = replace(UP, lost=lost, good_at=AT + 7)
    release = lost is Lost.RELEASE
    assert incident.seconds(Measure.ROLLBACK) == (7 if release else None)
    assert incident.seconds(Measure.LOCAL_SERVICE) == (None if release else 7)


def test_shares_are_of_what_happened_and_of_drills_apart() -> None:
    objective = Objective(Lost.UPSTREAM, Measure.INTERRUPTED, 2.0, 0.75)
    times = (0.0, 1.0, 2.0, 2.5)
    real = [replace(UP, good_at=AT, interrupted_seconds=each) for each in times]
    drill = replace(UP, good_at=AT, interrupted_seconds=9.0, origin=Origin.DRILL)
    other = replace(UP, lost=Lost.NODE, good_at=AT + 600)
    found, drilled = indicators([*real, drill, other, UP], [objective])
    assert (found.origin, found.incident_count, found.kept_count) == (Origin.REAL, 4, 3)
    assert found.share == 0.75
    assert found.met
    assert found.worst_seconds == 2.5
    assert (drilled.incident_count, drilled.share, drilled.met) == (1, 0.0, False)


def test_where_nothing_happened_nothing_speaks_against_an_objective() -> None:
    [real, drill] = indicators([], [Objective(Lost.DISK, Measure.LOCAL_SERVICE, 1.0)])
    assert real.share is None is drill.share
    assert real.met
