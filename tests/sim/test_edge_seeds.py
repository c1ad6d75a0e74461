"""Worlds of the edge by the hundred: every promise is kept in each of them."""

from __future__ import annotations

from collections import Counter

import pytest

from sim.edge.checkers import complaints
from sim.edge.record import Answered, Asked, Broken, Crashed, Left, Purged
from sim.edge.scenario import SECRET, Kind, draw
from sim.edge.world import run

SEEDS = 200
BATCH = 40


@pytest.mark.parametrize("first", range(0, SEEDS, BATCH))
def test_every_promise_of_the_edge_is_kept_in_every_world(first: int) -> None:
    for seed in range(first, first + BATCH):
        history = run(draw(seed))
        broken = complaints(history)
        assert not broken, "\n".join(
            [*broken, history.transcript(), f"again: python -m sim --edge --seed {seed}"]
        )


def test_the_same_seed_is_the_same_world_of_the_edge() -> None:
    for seed in range(10):
        first, second = (run(draw(seed)).transcript() for _ in range(2))
        assert first == second


def test_the_worlds_of_the_edge_are_worth_it() -> None:
    """A simulator in which nothing meets proves nothing."""
    seen: Counter[str] = Counter()
    for seed in range(150):
        history = run(draw(seed))
        scenario = history.scenario
        seen["calm"] += scenario.calm
        seen["ready"] += history.ready_count
        for kind in (Broken, Left, Purged, Crashed):
            seen[kind.__name__] += sum(1 for _ in history.of(kind))
        seen["open at once"] += any(fact.open_count > 1 for fact in history.of(Asked))
        for fact in history.of(Answered):
            thing = scenario.things[fact.visit.thing]
            words = fact.cache.replace('"', "").split(";")
            seen.update(word for word in words if word in ("hit", "stored", "collapsed"))
            seen.update(word for word in words if word.startswith(("fwd=", "detail=")))
            seen["secret"] += thing.kind in SECRET
            seen["large part"] += thing.kind is Kind.LARGE and fact.status == 206
            seen["stood in"] += "fwd" in fact.cache and "ttl=-" in fact.cache
            seen["304"] += fact.status == 304
    for what in ("calm", "Left", "Purged", "Crashed", "open at once", "hit", "ready"):
        assert seen[what] >= 10, (what, seen)
    for what in ("collapsed", "fwd=stale", "fwd=partial", "fwd=vary-miss", "secret", "large part"):
        assert seen[what] >= 10, (what, seen)
    for what in ("Broken", "stood in", "304", "detail=stale-while-revalidate"):
        assert seen[what] >= 3, (what, seen)
