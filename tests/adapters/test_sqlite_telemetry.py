"""The record of events and incidents, in memory and in a file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from skerry.adapters.sqlite_telemetry import TRIM_EVERY_COUNT, SqliteTelemetry
from skerry.telemetry.core.incidents import Incident, Lost, Origin
from skerry.telemetry.events import Event, Events, Level
from skerry.telemetry.ports import Beat, TelemetryUnusable

Open = Callable[[], SqliteTelemetry]
AT = 1_700_000_000.0
EVER = {"since": 0.0, "until": 1e12, "kind": "", "count_max": 100}


@pytest.fixture(params=["memory", "file"])
async def book(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[SqliteTelemetry]:
    path = None if request.param == "memory" else tmp_path / "telemetry.sqlite"
    opened = SqliteTelemetry(path, keep_seconds=1000.0, bytes_max=1 << 30)
    yield opened
    await opened.close()


def event(number: int, kind: str = "tag.moved") -> Event:
    return Event(AT + number, kind, f"image {number}", "because", "do it", Level.WARNING)


async def written(book: SqliteTelemetry) -> None:
    """Behind everything that was kept so far."""
    await book.beat(Beat(AT, ended=False))


async def test_what_was_kept_is_told_again_in_order(book: SqliteTelemetry) -> None:
    kept = [event(number) for number in range(5)]
    for each in kept:
        book.keep(each)
    await written(book)
    assert book.history(**EVER) == kept
    assert book.history(**{**EVER, "since": AT + 2, "until": AT + 4}) == kept[2:4]
    assert book.history(**{**EVER, "count_max": 2}) == kept[-2:], "the newest"


async def test_kinds_are_asked_for_whole_or_by_their_first_words(book: SqliteTelemetry) -> None:
    for number, kind in enumerate(("breaker.opened", "breaker.closed", "breakers.all", "tag.gone")):
        book.keep(event(number, kind))
    await written(book)

    def kinds(wanted: str) -> list[str]:
        return [each.kind for each in book.history(**{**EVER, "kind": wanted})]

    assert kinds("breaker") == ["breaker.opened", "breaker.closed"]
    assert kinds("breaker.closed") == ["breaker.closed"]
    assert kinds("break") == []
    assert kinds("%") == []


async def test_the_newest_are_found_without_sorting_all_that_is_kept(tmp_path: Path) -> None:
    asked: list[tuple[str, tuple[object, ...]]] = []
    book = SqliteTelemetry(tmp_path / "telemetry.sqlite", keep_seconds=1000.0, bytes_max=1 << 30)
    read = book.file.read

    def noted(sql: str, parameters: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
        asked.append((sql, parameters))
        return read(sql, parameters)

    book.file.read = noted  # type: ignore[method-assign]
    book.history(**EVER)
    book.history(**{**EVER, "kind": "tag"})
    assert len(asked) == 2
    for sql, parameters in asked:
        plan = str(read(f"EXPLAIN QUERY PLAN {sql}", parameters))
        assert "event_at" in plan
        assert "TEMP B-TREE" not in plan
    await book.close()


async def test_what_is_too_old_goes(book: SqliteTelemetry) -> None:
    book.keep(event(0))
    for number in range(TRIM_EVERY_COUNT):
        book.keep(event(2000 + number))
    await written(book)
    assert book.history(**{**EVER, "count_max": 10_000})[0] == event(2000)


async def test_the_oldest_go_when_it_is_too_much(tmp_path: Path) -> None:
    size = 200_000
    book = SqliteTelemetry(tmp_path / "t.sqlite", keep_seconds=1e9, bytes_max=size)
    count = 30 * TRIM_EVERY_COUNT
    for number in range(count):
        book.keep(event(number))
        if number % TRIM_EVERY_COUNT == 0:
            await written(book)
    await written(book)
    found = book.history(**{**EVER, "count_max": count})
    assert found[-1] == event(count - 1)
    assert 100 < len(found) < count
    assert book.statistics().used_bytes < 1.3 * size
    await book.close()


async def test_incidents_are_changed_in_place_and_open_ones_never_forgotten(
    book: SqliteTelemetry,
) -> None:
    first = await book.put(Incident(Lost.UPSTREAM, "up.test", AT, AT + 1, cause="refused"))
    drill = Incident(Lost.NODE, "rock", AT + 50, AT + 51, AT + 52, AT + 52, 2.5, Origin.DRILL)
    second = await book.put(drill)
    assert (first.number, second.number) == (1, 2)
    changed = await book.put(replace(first, good_at=AT + 2))
    assert list(book.incidents()) == [changed, second]
    assert list(book.incidents(since=AT + 40)) == [changed, second], "the first goes on"
    closed = await book.put(replace(changed, back_at=AT + 60))
    assert list(book.incidents(since=AT + 40)) == [second]
    assert closed.number == 1


async def test_the_last_sign_of_life_is_the_one_before_this_life(tmp_path: Path) -> None:
    path = tmp_path / "t.sqlite"

    def opened() -> SqliteTelemetry:
        return SqliteTelemetry(path, keep_seconds=1e9, bytes_max=1 << 30)

    first = opened()
    assert first.last_beat() is None
    await first.beat(Beat(AT, ended=False))
    await first.beat(Beat(AT + 5, ended=False))
    assert first.last_beat() is None
    await first.close()
    second = opened()
    assert second.last_beat() == Beat(AT + 5, ended=False)
    await second.beat(Beat(AT + 9, ended=True))
    await second.close()
    third = opened()
    assert third.last_beat() == Beat(AT + 9, ended=True)
    await third.close()


async def test_another_programs_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.sqlite"
    path.write_bytes(b"not a database, surely" * 100)
    with pytest.raises(TelemetryUnusable):
        SqliteTelemetry(path, keep_seconds=1.0, bytes_max=1)


async def test_an_event_that_cannot_be_kept_stops_nobody(tmp_path: Path) -> None:
    book = SqliteTelemetry(tmp_path / "t.sqlite", keep_seconds=1.0, bytes_max=1 << 30)
    await book.close()
    events = Events(lambda: AT)
    events.keep_in(book)
    events.emit("tag.moved", "image")
    assert len(events.recent()) == 1


KILLED = """
import asyncio, os, sys
from pathlib import Path
from skerry.adapters.sqlite_telemetry import SqliteTelemetry
from skerry.telemetry.events import Events

async def main():
    book = SqliteTelemetry(Path(sys.argv[1]), keep_seconds=1e9, bytes_max=1 << 30)
    events = Events(lambda: 1_700_000_000.0)
    events.keep_in(book)
    for number in range(50):
        events.emit("tag.moved", str(number))
    await asyncio.sleep(0.9)
    events.emit("tag.gone", "late")
    print("kept", flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


def test_kill_9_loses_at_most_the_last_second(tmp_path: Path) -> None:
    path = tmp_path / "t.sqlite"
    child = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE, env={**os.environ}
    )
    assert child.stdout is not None
    assert child.stdout.readline() == b"kept\n"
    child.send_signal(signal.SIGKILL)
    child.wait()
    book = SqliteTelemetry(path, keep_seconds=1e9, bytes_max=1 << 30)
    found = [each.subject for each in book.history(**EVER)]
    assert found[:50] == [str(number) for number in range(50)]
