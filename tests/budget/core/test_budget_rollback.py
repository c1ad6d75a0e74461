"""Which rollback counts."""

from __future__ import annotations

from skerry.budget.core.rollback import NOT_MEASURED, Rollback, rollback_time


def test_without_any_it_is_not_measured_and_says_what_to_do() -> None:
    found = rollback_time(())
    assert (found.seconds, found.words) == (-1.0, NOT_MEASURED)
    assert "skerry drill" in found.words


def test_a_drill_counts_only_while_nothing_real_happened() -> None:
    drills = [Rollback(30.0, 4.0, drill=True), Rollback(20.0, 9.0, drill=True)]
    found = rollback_time(drills)
    assert (found.seconds, found.worst_seconds, found.of_drill) == (4.0, 9.0, True)
    assert "drill" in found.words
    found = rollback_time([*drills, Rollback(10.0, 60.0, drill=False)])
    assert (found.seconds, found.of_drill) == (60.0, False)
    assert (found.real_count, found.drill_count) == (1, 2)
    assert "drill" not in found.words
