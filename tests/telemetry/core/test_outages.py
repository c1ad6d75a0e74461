"""When something outside counts as lost, as transcripts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.telemetry.core.outages import (
    BACK_SECONDS,
    LOST_SECONDS,
    RULES,
    Answers,
    Began,
    Command,
    Ended,
    Event,
    Outage,
    Silent,
    State,
    step,
)

EPOCH = 1_700_000_000.0


def play(*lines: tuple[float, bool], failing_since: float = 0.0) -> list[tuple[float, Command]]:
    """What is told, and when; a line is a second and whether it answers then."""
    outage, told = Outage(), []
    for second, answers in lines:
        at = EPOCH + second
        event: Event = Answers(at) if answers else Silent(at, EPOCH + failing_since, "refused")
        outage, commands = step(outage, event, second)
        told += [(second, command) for command in commands]
    return told


def test_silence_is_an_outage_from_its_first_failure_on() -> None:
    told = play((10, True), (11, False), (12, False), (13, False), failing_since=9.5)
    assert told == [(13, Began(EPOCH + 9.5, "refused"))]


def test_a_moment_of_silence_is_none() -> None:
    assert not play((1, False), (2, True), (3, False), (4, True), failing_since=1)


def test_a_breaker_that_tries_again_and_again_makes_one_outage() -> None:
    hours = [(float(second), second % 30 == 5) for second in range(4 * 3600)]
    assert len(play(*hours)) == 1


def test_it_ends_with_the_first_answer_once_answers_have_lasted() -> None:
    silent = [(float(second), False) for second in range(20)]
    answers = [(float(second), True) for second in range(20, 40)]
    told = play(*silent, *answers)
    assert told[1:] == [(20 + BACK_SECONDS, Ended(EPOCH, EPOCH + 20))]


def test_every_state_knows_every_event() -> None:
    assert {state: set(rules) for state, rules in RULES.items()} == {
        state: {Silent, Answers} for state in State
    }


def test_what_is_no_silence_begins_no_outage() -> None:
    with pytest.raises(TypeError, match="no silence"):
        RULES[State.UP][Silent](Outage(), Answers(1.0), 1.0)


@given(st.lists(st.tuples(st.floats(0.1, 30), st.booleans()), max_size=80))
def test_beginnings_and_ends_take_turns_and_are_in_order(looks: list[tuple[float, bool]]) -> None:
    second, lines = 0.0, []
    for passed, answers in looks:
        second += passed
        lines.append((second, answers))
    told = play(*lines)
    kinds = [type(command) for _, command in told]
    assert kinds == ([Began, Ended] * len(kinds))[: len(kinds)]
    for (_, began), (_, ended) in zip(told[::2], told[1::2], strict=False):
        assert isinstance(began, Began)
        assert isinstance(ended, Ended)
        assert began.began_at == ended.began_at <= ended.back_at
    silent_for = {second for second, answers in lines if not answers}
    assert all(second in silent_for for second, command in told if isinstance(command, Began))
    assert LOST_SECONDS < BACK_SECONDS
