"""Worlds by the thousand: every promise is kept in each of them."""

from __future__ import annotations

from collections import Counter

import pytest

from sim.checkers import complaints
from sim.record import Asked, Broken, Crashed, Evicted, Fact, Healed, Kept, Left, Refused, Served
from sim.scenario import Mood, draw
from sim.world import run

SEEDS = 2400
BATCH = 200


@pytest.mark.parametrize("first", range(0, SEEDS, BATCH))
def test_every_promise_is_kept_in_every_world(first: int) -> None:
    for seed in range(first, first + BATCH):
        history = run(draw(seed))
        broken = complaints(history)
        assert not broken, "\n".join(
            [*broken, history.transcript(), f"again: python -m sim --seed {seed}"]
        )


def test_the_same_seed_is_the_same_world() -> None:
    for seed in range(20):
        first, second = (run(draw(seed)).transcript() for _ in range(2))
        assert first == second


def test_the_worlds_are_worth_it() -> None:
    """A simulator that never gets into trouble proves nothing."""
    seen: Counter[type[Fact]] = Counter()
    moods: Counter[Mood] = Counter()
    nameless: Counter[type[Fact]] = Counter()
    resumed = shared = crashed_in_mid_fill = passed = 0
    for seed in range(300):
        history = run(draw(seed))
        moods[history.scenario.mood] += 1
        seen.update(map(type, history.facts))
        contents = history.scenario.contents
        nameless.update(
            type(fact)
            for fact in history.facts
            if fact.content >= 0 and not contents[fact.content].named
        )
        resumed += sum(fact.offset_bytes > 0 for fact in history.of(Asked))
        passed += sum(fact.now_open > 1 for fact in history.of(Asked))
        shared += len(history.scenario.visits) > sum(history.fills) > 0
        crashed_in_mid_fill += any(fact.in_flight for fact in history.of(Crashed))
    assert set(moods) == set(Mood)
    for kind in (Served, Broken, Refused, Left, Kept, Evicted, Healed):
        assert seen[kind] >= 3, kind
        assert nameless[kind] >= 3, kind
    assert min(resumed, shared) > 100
    assert min(crashed_in_mid_fill, passed) >= 5
