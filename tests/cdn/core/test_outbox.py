"""How a copy stands: every event in every state, backoff, and late answers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.cdn.core.outbox import (
    BACKOFF_SECONDS_MAX,
    BACKOFF_SECONDS_MIN,
    REWRITE_SECONDS,
    RULES,
    Changed,
    Confirmed,
    Damaged,
    Event,
    Failed,
    IllegalEvent,
    Removed,
    Standing,
    State,
    Withdrawn,
    backoff_seconds,
    step,
)


def play(standing: Standing, *events: Event) -> Standing:
    for event in events:
        standing = step(standing, event)
    return standing


def test_a_copy_is_there_once_what_is_wanted_now_is_confirmed() -> None:
    there = play(Standing(), Confirmed(5.0, revision=1))
    assert (there.state, there.sent_at) == (State.THERE, 5.0)


def test_the_answer_to_an_older_wish_does_not_settle_the_newer_one() -> None:
    standing = play(Standing(), Changed(1.0), Confirmed(5.0, revision=1))
    assert standing.state is State.WANTED
    assert play(standing, Confirmed(6.0, revision=2)).state is State.THERE


def test_a_purge_during_the_upload_still_has_it_deleted() -> None:
    standing = play(Standing(), Withdrawn(1.0), Confirmed(2.0, revision=1))
    assert standing.state is State.LEAVING
    assert play(standing, Removed(3.0, revision=2)).state is State.GONE


def test_what_comes_back_while_it_is_being_deleted_is_wanted_again() -> None:
    standing = play(Standing(), Withdrawn(1.0), Changed(2.0), Removed(3.0, revision=2))
    assert standing.state is State.WANTED


def test_failures_wait_longer_and_longer_and_success_forgets_them() -> None:
    standing, waits = Standing(), []
    for _ in range(12):
        standing = step(standing, Failed(100.0, chance=0.99))
        waits.append(standing.due_at - 100.0)
    assert waits == sorted(waits)
    assert waits[-1] <= BACKOFF_SECONDS_MAX
    assert play(standing, Confirmed(5.0, revision=1)).attempts == 0


@given(st.integers(0, 10_000), st.floats(0, 1, exclude_max=True))
def test_a_wait_is_bounded_and_never_less_than_half(attempts: int, chance: float) -> None:
    assert BACKOFF_SECONDS_MIN / 2 <= backoff_seconds(attempts, chance) <= BACKOFF_SECONDS_MAX


def test_each_304_is_not_a_request_to_the_vault_and_a_purge_does_not_wait() -> None:
    there = play(Standing(), Confirmed(1000.0, revision=1))
    assert step(there, Changed(1010.0)).due_at == 1000.0 + REWRITE_SECONDS
    assert step(there, Changed(1010.0, urgent=True)).due_at == 1010.0
    assert step(there, Damaged(1010.0)).due_at == 1010.0
    waiting = step(there, Changed(1010.0))
    assert step(waiting, Changed(1020.0, urgent=True)).due_at == 1020.0


def test_what_cannot_happen_is_a_fault_of_the_shell() -> None:
    with pytest.raises(IllegalEvent):
        step(play(Standing(), Confirmed(1.0, revision=1)), Removed(2.0, revision=1))


events = st.one_of(
    st.builds(Changed, st.floats(0, 1e6), st.booleans()),
    st.builds(Failed, st.floats(0, 1e6), st.floats(0, 1, exclude_max=True)),
    st.builds(Withdrawn, st.floats(0, 1e6)),
    st.builds(Damaged, st.floats(0, 1e6)),
)


@given(st.lists(events, max_size=30))
def test_revisions_never_fall_and_only_a_wish_leaves_leaving(steps: list[Event]) -> None:
    standing = Standing()
    for event in steps:
        if type(event) not in RULES[standing.state]:
            continue
        after = step(standing, event)
        assert after.revision >= standing.revision
        if standing.state is State.LEAVING and after.state is not State.LEAVING:
            assert isinstance(event, Changed)
        standing = after
