"""Bugs planted in twins of the node's parts: each must be caught by the checker meant for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sim.checkers import complaints
from sim.scenario import draw
from sim.world import run
from skerry.base.digest import Digest, digest_of
from skerry.store.growth import Growth
from skerry.store.testing import MemorySpool, MemoryStore
from skerry.upstream.core import fill as core
from skerry.upstream.fills import Fill, FillKey, Fills
from skerry.upstream.flight import Flight
from skerry.upstream.ports import Opened
from skerry.upstream.relay import Relay
from skerry.upstream.testing import FaithfulPlace

SEEDS = 400


def caught(**twins: Any) -> set[str]:
    """Which checkers complain, over the first seeds; stops at the first that does."""
    for seed in range(SEEDS):
        broken = complaints(run(draw(seed), **twins))
        if broken:
            return {complaint.partition(":")[0] for complaint in broken}
    return set()


class OtherSpools(MemoryStore):
    """A store with another kind of spool."""

    spool: type[MemorySpool]

    async def begin(self, **wish: Any) -> Any:
        await super().begin(**wish)
        self.spools = {s for s in self.spools if isinstance(s, self.spool)}
        named = wish.get("named", True)
        spool = self.spool(self, wish["size_bytes"], wish["algorithm"], named=named)
        self.spools.add(spool)
        return spool


def with_spool(kind: type[MemorySpool]) -> type[OtherSpools]:
    return type("Twin", (OtherSpools,), {"spool": kind})


class Gullible(MemorySpool):
    async def commit(
        self, digest: Digest | None, *, when_proven: Callable[[], None] | None = None
    ) -> Digest:
        found = await super().commit(None, when_proven=when_proven)
        del self._store._blobs[found]
        self._store.keep(digest or found, self.memory)
        return digest or found


def test_a_store_that_believes_everybody_is_caught() -> None:
    assert "only_right_bytes_are_called_whole" in caught(make_store=with_spool(Gullible))


class Hasty(Growth):
    def received(self, total_bytes: int) -> None:
        self._shown_bytes = total_bytes
        self._wake()


class ShowsTheEnd(MemorySpool):
    def __init__(self, *args: Any, **rest: Any) -> None:
        super().__init__(*args, **rest)
        self.growth = Hasty()


def test_a_spool_that_shows_the_end_before_it_is_proven_is_caught() -> None:
    assert caught(make_store=with_spool(ShowsTheEnd)) & {
        "the_end_is_shown_only_when_proven",
        "only_right_bytes_are_called_whole",
    }


class NeverSwept(MemorySpool):
    async def abort(self, error: Exception) -> None:
        self.growth.abort(error)


def test_a_spool_that_is_not_swept_is_caught() -> None:
    assert caught(make_store=with_spool(NeverSwept)) == {"nothing_is_left"}


class Forgetful(MemoryStore):
    def crash(self) -> None:
        super().crash()
        self._blobs.clear()


def test_a_store_that_forgets_what_it_acknowledged_is_caught() -> None:
    assert caught(make_store=Forgetful) == {"nothing_acknowledged_is_lost"}


class KeepsHalves(MemoryStore):
    """Gives the first spool the name it was meant to get, whatever has come."""

    named = digest_of(b"the first fill's")

    def crash(self) -> None:
        for spool in self.spools:
            self.keep(self.named, spool.memory)
        super().crash()


class Naming(Fills):
    def get(self, key: FillKey, *args: Any, **rest: Any) -> Fill:
        KeepsHalves.named = key.digest or KeepsHalves.named
        return super().get(key, *args, **rest)


def test_a_store_that_shows_half_a_blob_after_a_crash_is_caught() -> None:
    assert "no_partial_object_is_visible" in caught(make_store=KeepsHalves, make_fills=Naming)


class NobodyJoins(Fills):
    def get(self, key: FillKey, *args: Any, **rest: Any) -> Fill:
        self._joinable.clear()
        return super().get(key, *args, **rest)


def test_fills_that_nobody_joins_are_caught() -> None:
    assert caught(make_fills=NobodyJoins) & {"one_fetch_at_a_time", "no_byte_is_fetched_twice"}


def rules_with(state: core.State, event: type[core.Event], rule: core.Rule) -> Any:
    return {**core.RULES, state: {**core.RULES[state], event: rule}}


def skips_nothing(fill: core.Fill, event: core.Event) -> core.Step:
    return core._receive(core.replace(fill, skip_bytes=0), event)


def starts_over(fill: core.Fill, event: core.Event) -> core.Step:
    fill, commands = core._lose(fill, event)
    return fill, [core.Open(c.place, 0) if isinstance(c, core.Open) else c for c in commands]


def calls_a_cut_whole(fill: core.Fill, event: core.Event) -> core.Step:
    return core._lose(fill, event) if fill.size_bytes is not None else core._prove(fill, [])


def never_resumes(fill: core.Fill, event: core.Event) -> core.Step:
    return core._lose(core.replace(fill, at=len(fill.places) - 1, resumes=99), event)


@pytest.mark.parametrize(
    ("event", "rule", "checkers"),
    [
        (core.Received, skips_nothing, {"what_can_be_had_is_had"}),
        (core.Lost, starts_over, {"no_byte_is_fetched_twice", "what_can_be_had_is_had"}),
        (core.Lost, never_resumes, {"what_can_be_had_is_had"}),
        (core.Lost, calls_a_cut_whole, {"only_right_bytes_are_called_whole"}),
    ],
)
def test_a_wrong_decision_in_the_core_is_caught(
    event: type[core.Event],
    rule: core.Rule,
    checkers: set[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(core, "RULES", rules_with(core.State.STREAMING, event, rule))
    assert caught() & checkers


async def leave_everything(flight: Flight) -> None:
    flight.end()


async def relay_unproven(
    relay: Relay, digest: Digest | None, *, when_proven: Callable[[], None]
) -> Digest | None:
    relay._proven = True
    relay._changed.set()
    when_proven()
    return digest


def nothing_changes(flight: Flight) -> None:
    """Waiters are never woken."""


@pytest.mark.parametrize(
    ("owner", "name", "bug", "checker"),
    [
        (Flight, "_leave_nothing", leave_everything, "nothing_is_left"),
        (Flight, "_beat", nothing_changes, "everybody_gets_an_answer"),
        (Relay, "commit", relay_unproven, "only_right_bytes_are_called_whole"),
    ],
)
def test_a_bug_in_the_shell_is_caught(
    owner: type[object],
    name: str,
    bug: Callable[..., object],
    checker: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(owner, name, bug)
    assert checker in caught()


async def open_whatever(place: FaithfulPlace, offset_bytes: int) -> Opened:
    return await place._place.open(offset_bytes)


def test_a_mixture_of_two_representations_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FaithfulPlace, "open", open_whatever)
    assert "only_right_bytes_are_called_whole" in caught()


def test_without_a_bug_the_same_worlds_have_nothing_to_complain_of() -> None:
    assert caught() == set()
