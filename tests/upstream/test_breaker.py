"""The breaker, as transcripts: what happens, and what is done about it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.upstream.core.breaker import (
    COOLDOWN_SECONDS_MAX,
    FAILURES_MAX,
    PROBE_SECONDS_MAX,
    RULES,
    Alive,
    Allow,
    Asked,
    Breaker,
    Closed,
    Command,
    Event,
    Failed,
    Opened,
    Refuse,
    Released,
    State,
    Succeeded,
    cooldown_seconds,
    refused_seconds,
    step,
)


def play(*transcript: tuple[float, Event, Command | None], start: Breaker | None = None) -> Breaker:
    """Each line: when, what happened, the command it gives (None for none)."""
    breaker = start or Breaker()
    for number, (now, event, wanted) in enumerate(transcript):
        breaker, commands = step(breaker, event, now)
        assert commands == (() if wanted is None else (wanted,)), f"line {number}: {event}"
    return breaker


OPENED = play(
    (0, Failed(1, "refused"), None),
    (0, Failed(2, "refused"), None),
    (0, Failed(3, "refused"), Opened("refused", 2.0)),
)


def test_three_failures_in_a_row_open_it_and_a_success_between_starts_again() -> None:
    breaker = play(
        (0, Asked(), Allow(1)),
        (0, Failed(1, "refused"), None),
        (0, Failed(1, "refused"), None),
        (0, Succeeded(1), None),
        (0, Failed(1, "refused"), None),
        (0, Failed(1, "refused"), None),
        (0, Failed(1, "dns"), Opened("dns", 2.0)),
        (1, Asked(), Refuse(1.0)),
    )
    assert breaker.state is State.OPEN


def test_heads_alone_do_not_hide_bodies_that_are_cut() -> None:
    breaker = play(
        (0, Alive(1), None),
        (0, Failed(1, "cut"), None),
        (0, Alive(2), None),
        (0, Failed(2, "cut"), None),
        (0, Alive(3), None),
        (0, Failed(3, "cut"), Opened("cut", 2.0)),
    )
    assert breaker.state is State.OPEN


def test_t30_half_open_lets_exactly_one_probe_through() -> None:
    play(
        (2, Asked(), Allow(1)),
        (2, Asked(), Refuse(PROBE_SECONDS_MAX)),
        (3, Asked(), Refuse(PROBE_SECONDS_MAX - 1)),
        (4, Succeeded(1), Closed(4)),
        (4, Asked(), Allow(2)),
        (4, Asked(), Allow(3)),
        start=OPENED,
    )


def test_t30_a_probe_that_stalls_gives_its_place_to_the_next() -> None:
    late = 2 + PROBE_SECONDS_MAX
    play(
        (2, Asked(), Allow(1)),
        (late, Asked(), Allow(2)),
        (late, Failed(1, "stall"), None),
        (late, Succeeded(1), None),
        (late, Succeeded(2), Closed(late)),
        start=OPENED,
    )


def test_t30_a_probe_that_is_cancelled_or_answered_4xx_is_released() -> None:
    breaker = play(
        (2, Asked(), Allow(1)),
        (2, Released(1), None),
        (2, Asked(), Allow(2)),
        start=OPENED,
    )
    assert breaker.state is State.HALF_OPEN


def test_t30_4xx_do_not_mask_failures() -> None:
    play(
        (0, Failed(1, "reset"), None),
        (0, Released(2), None),
        (0, Failed(3, "reset"), None),
        (0, Released(4), None),
        (0, Failed(5, "reset"), Opened("reset", 2.0)),
    )


def test_a_probe_whose_body_flows_lets_others_go_but_one_failure_opens_again_for_longer() -> None:
    play(
        (2, Asked(), Allow(1)),
        (3, Alive(1), Closed(3)),
        (3, Asked(), Allow(2)),
        (4, Failed(1, "cut"), Opened("cut", 4.0)),
        start=OPENED,
    )


def test_an_answer_from_before_the_outage_is_not_the_probe() -> None:
    old = Breaker(ticket=7)
    opened = play(
        (0, Failed(5, "x"), None),
        (0, Failed(6, "x"), None),
        (0, Failed(7, "x"), Opened("x", 2.0)),
        start=old,
    )
    breaker = play((2, Asked(), Allow(8)), (2, Succeeded(4), None), start=opened)
    assert breaker.state is State.HALF_OPEN


def test_cooldowns_double_up_to_the_bound_and_jitter_only_shortens() -> None:
    assert [cooldown_seconds(n, 1.0) for n in (1, 2, 3, 4, 5, 99)] == [2, 4, 8, 16, 30, 30]
    assert cooldown_seconds(1, 0.0) == 1.5


def test_every_state_has_a_rule_for_every_event() -> None:
    events = {Asked, Alive, Succeeded, Failed, Released}
    assert {state: set(rules) for state, rules in RULES.items()} == dict.fromkeys(State, events)


EVENTS = st.one_of(
    st.just(Asked()),
    st.builds(Alive, st.integers(0, 20)),
    st.builds(Succeeded, st.integers(0, 20)),
    st.builds(Failed, st.integers(0, 20), st.just("x"), st.floats(0, 1)),
    st.builds(Released, st.integers(0, 20)),
)


@given(st.lists(st.tuples(EVENTS, st.floats(0, 40)), max_size=60))
def test_whatever_happens_it_asks_again_within_the_bound(
    history: list[tuple[Event, float]],
) -> None:
    breaker, now = Breaker(), 0.0
    for event, passed in history:
        now += passed
        breaker, _ = step(breaker, event, now)
        assert breaker.failures < FAILURES_MAX
        assert refused_seconds(breaker, now) <= COOLDOWN_SECONDS_MAX
    after = now + COOLDOWN_SECONDS_MAX
    _, commands = step(breaker, Asked(), after)
    assert isinstance(commands[0], Allow)


def test_the_page_shows_the_table_as_it_is() -> None:
    page = Path(__file__).parents[2] / "docs" / "internals" / "upstream.md"
    shown = [
        f"| {state} | "
        + " | ".join(rule.__name__.strip("_").replace("_", " ") for rule in row)
        + " |"
        for state, row in ((state.value, rules.values()) for state, rules in RULES.items())
    ]
    assert [line for line in page.read_text().splitlines() if line in shown] == shown


def test_an_unknown_event_raises() -> None:
    with pytest.raises(KeyError):
        step(Breaker(), "what", 0)  # type: ignore[arg-type]
