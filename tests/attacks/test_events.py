"""Whoever can cause an event must not fill the disk with log lines or wash others' events away."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from skerry.adapters.sqlite_telemetry import SqliteTelemetry
from skerry.base.clock import ManualClock
from skerry.telemetry.events import KIND_BURST, KIND_SECONDS, TEXT_CHARS_MAX, Events, Level
from skerry.telemetry.ports import Beat


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


async def test_what_others_wrote_is_bounded_and_can_be_kept_whatever_it_is(tmp_path: Path) -> None:
    book = SqliteTelemetry(tmp_path / "telemetry.sqlite", keep_seconds=1e9, bytes_max=1 << 30)
    events = Events(ManualClock().now)
    events.keep_in(book)
    half = json.loads('"half \\ud800 a character"')
    events.emit("source.failed", half, cause="x" * 1_000_000, next_step=half)
    (event,) = events.recent()
    assert event.subject == event.next_step == "half ? a character"
    assert len(event.cause) < TEXT_CHARS_MAX + 10
    await book.beat(Beat(1.0, ended=False))  # behind what is kept
    assert book.history(since=0.0, until=1e12, kind="", count_max=9) == [event]
    await book.close()
