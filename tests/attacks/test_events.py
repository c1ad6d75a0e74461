"""Whoever can cause an event must not fill the disk with log lines or wash others' events away."""

from __future__ import annotations

import logging

import pytest

from skerry.base.clock import ManualClock
from skerry.telemetry.events import KIND_BURST, KIND_SECONDS, Events, Level


def test_a_flood_of_one_kind_is_counted_but_not_all_written_down(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock, told = ManualClock(), []
    events = Events(clock.now, count=told.append)
    with caplog.at_level(logging.INFO, logger="skerry.events"):
        events.emit("breaker.opened", "up.test/origin", cause="down", level=Level.WARNING)
        for n in range(50_000):
            events.emit("fill.not_stored", f"sha256:{n}", cause="full", level=Level.WARNING)
    assert len(caplog.records) == KIND_BURST + 1
    assert len(events.recent("breaker.opened")) == 1
    assert events.counts()["fill.not_stored"] == len(told) - 1 == 50_000


def test_the_next_one_says_how_many_went_unsaid() -> None:
    clock = ManualClock()
    events = Events(clock.now)
    for n in range(KIND_BURST + 7):
        events.emit("fill.not_stored", str(n), cause="full")
    clock.advance(KIND_SECONDS)
    events.emit("fill.not_stored", "next", cause="full")
    last = events.recent()[-1]
    assert last.subject == "next"
    assert last.cause == "full (and 7 more of the kind since the last one told)"
    clock.step(-1000)  # a clock set back refills nothing and breaks nothing
    events.emit("fill.not_stored", "again", cause="full")
    assert events.recent()[-1].subject == "next"
