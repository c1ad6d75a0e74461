"""Bugs planted in the edge: each must be caught by the checker meant for it."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest

from sim.edge.checkers import complaints
from sim.edge.scenario import draw
from sim.edge.world import run
from skerry.app.doors.hot_tables import HotTables
from skerry.cdn import fetches, resumption, slicing
from skerry.cdn.core import freshness, parts, reuse, storing
from skerry.cdn.core.parts import Validator
from skerry.cdn.entries import Entries
from skerry.cdn.fetches import Fetches

SEEDS = 250
_numbers = itertools.count()


def caught() -> set[str]:
    """Which checkers complain, over the first seeds; stops at the first that does."""
    for seed in range(SEEDS):
        broken = complaints(run(draw(seed)))
        if broken:
            return {complaint.partition(":")[0] for complaint in broken}
    return set()


def test_an_edge_that_lets_nothing_grow_old_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(freshness, "current_age", lambda *_: 0.0)
    assert "nothing_is_staler_than_permitted" in caught()


def test_an_edge_that_shares_what_is_personal_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storing, "_personal", lambda *_: None)
    assert caught() & {"nobody_gets_what_is_anothers", "nothing_secret_is_kept"}


def test_an_edge_that_overlooks_no_store_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storing, "_forbidden", lambda *_: None)
    assert caught() & {"nobody_gets_what_is_anothers", "nothing_secret_is_kept"}


def test_an_edge_that_overlooks_vary_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reuse, "matches", lambda *_: True)
    assert "nobody_gets_what_is_anothers" in caught()


def test_an_edge_that_takes_any_two_parts_for_one_is_caught(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one = Validator('"one"', "")
    for module in (parts, resumption, slicing):
        if hasattr(module, "strong_validator"):
            monkeypatch.setattr(module, "strong_validator", lambda *_: one)
    assert caught() & {"every_answer_is_of_one_representation", "nothing_is_staler_than_permitted"}


def test_an_edge_that_forgets_its_purges_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Entries, "judged", lambda self, held: held)
    assert "nothing_purged_comes_back" in caught()


def test_ready_answers_that_outlive_a_purge_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HotTables, "forget", lambda self, about: None)
    monkeypatch.setattr(HotTables, "forget_all", lambda self: None)
    assert "nothing_purged_comes_back" in caught()


def test_an_edge_that_asks_for_everybody_apart_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Fetches, "_place", lambda self, ask: next(_numbers))
    assert "one_request_for_all_who_want_the_same" in caught()


def test_an_edge_that_never_answers_who_waits_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    real = fetches.Fetches.fetch

    async def fetch(self: Fetches, ask: Any) -> Any:
        if self._place(ask) in self._flights:
            await asyncio.get_running_loop().create_future()
        return await real(self, ask)

    monkeypatch.setattr(Fetches, "fetch", fetch)
    assert caught() & {"everybody_gets_an_answer", "nothing_is_left"}


def test_an_edge_that_keeps_an_unclaimed_answer_open_is_caught(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Fetches, "_close_unclaimed", lambda self, future: None)
    assert "nothing_is_left" in caught()


def test_an_edge_that_refuses_what_it_could_have_is_caught(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real, turn = reuse.decide, itertools.count(1)

    def decide(*args: Any) -> Any:
        return reuse.OnlyIfCachedMiss() if next(turn) % 7 == 0 else real(*args)

    monkeypatch.setattr(reuse, "decide", decide)
    assert "what_can_be_had_is_had" in caught()
