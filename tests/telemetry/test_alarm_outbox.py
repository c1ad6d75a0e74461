"""Alarms on their way out: through an outage, over a restart, and never doubled."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from skerry.adapters.sqlite_alarms import SqliteAlarms
from skerry.base.clock import ManualClock
from skerry.telemetry.alarm_outbox import AlarmOutbox, wait_seconds
from skerry.telemetry.alarms import Alarm, AlarmsUnusable, ChannelFailed
from skerry.telemetry.events import Events, Level


def alarm(
    key: str = "budget/node/2026-06/notice",
    at: float = 1_700_000_000.0,
    level: Level = Level.WARNING,
) -> Alarm:
    return Alarm(key, "budget.rung", "node", level, "half is spent", "look", at)


class Line:
    """A channel that works or does not."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.broken = False
        self.tried = 0
        self.took: list[str] = []

    async def send(self, sent: Alarm) -> None:
        self.tried += 1
        if self.broken:
            raise ChannelFailed(f"{self.name} is down", next_step="wait")
        self.took.append(sent.key)


class Scene:
    """An outbox on disk and two channels."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "alarms.sqlite"
        self.clock = ManualClock()
        self.events = Events(self.clock.now)
        self.one, self.two = Line("one"), Line("two")
        self.open()

    def open(self) -> None:
        self.file = SqliteAlarms(self.path)
        self.outbox = AlarmOutbox(
            self.file,
            (self.one, self.two),
            clock=self.clock,
            chance=random.Random(1),
            events=self.events,
        )


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


async def test_an_alarm_goes_to_every_channel_once_however_often_it_is_sounded(
    scene: Scene,
) -> None:
    for _ in range(3):
        await scene.outbox.sound(alarm())
        await scene.outbox.look()
    assert scene.one.took == scene.two.took == [alarm().key]


async def test_an_outage_delays_its_own_channel_alone(scene: Scene) -> None:
    scene.two.broken = True
    await scene.outbox.sound(alarm("a"))
    await scene.outbox.sound(alarm("b"))
    await scene.outbox.look()
    assert scene.two.tried == 1, "the others of a channel in trouble wait with it"
    for _ in range(2000):
        await scene.outbox.look()
        scene.clock.advance(60)
    assert scene.one.took == ["a", "b"]
    assert 30 < scene.two.tried < 120, "with growing pauses, up to an hour"
    scene.two.broken = False
    for _ in range(100):
        await scene.outbox.look()
        scene.clock.advance(60)
    assert sorted(scene.two.took) == ["a", "b"]
    kinds = ["alarm.channel_failed", "alarm.channel_works"]
    assert [event.kind for event in scene.events.recent()] == kinds


async def test_what_waits_is_sent_after_a_restart_and_what_was_sent_is_not(scene: Scene) -> None:
    scene.two.broken = True
    await scene.outbox.sound(alarm())
    await scene.outbox.look()
    scene.two.broken = False
    scene.open()
    scene.clock.advance(60)
    await scene.outbox.sound(alarm())
    await scene.outbox.look()
    assert scene.one.took == scene.two.took == [alarm().key]
    (standing,) = scene.file.recent(10)
    assert (standing.sent, standing.waiting) == (("one", "two"), ())


async def test_what_cannot_be_sent_for_a_week_is_given_up_and_told_of(scene: Scene) -> None:
    scene.one.broken = True
    await scene.outbox.sound(alarm(at=scene.clock.now()))
    await scene.outbox.look()
    scene.clock.advance(7 * 86400 + 1)
    scene.one.broken = False
    await scene.outbox.look()
    assert scene.one.took == []
    assert [event.kind for event in scene.events.recent("alarm.given_up")] == ["alarm.given_up"]


async def test_a_disk_that_takes_no_writes_holds_an_alarm_in_memory(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*_: object) -> bool:
        raise AlarmsUnusable("the disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(scene.file, "add", full)
        await scene.outbox.sound(alarm())
        assert scene.outbox.statistics().held_count == 1
    await scene.outbox.look()
    assert scene.one.took == [alarm().key]


def test_pauses_grow_to_an_hour_and_are_spread() -> None:
    waits = [wait_seconds(attempts, 0.5) for attempts in range(1, 12)]
    assert waits == sorted(waits)
    assert waits[0] == 15
    assert waits[-1] == 3600
    assert wait_seconds(1, 0.0) < wait_seconds(1, 0.99)


async def test_a_fault_with_one_alarm_does_not_silence_the_ones_after_it(scene: Scene) -> None:
    poison, good = alarm("a"), alarm("b")

    async def send(sent: Alarm) -> None:
        if sent.key == poison.key:
            raise UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed")
        await Line.send(scene.one, sent)

    scene.one.send = send  # type: ignore[method-assign]
    await scene.outbox.sound(poison)
    await scene.outbox.look()
    await scene.outbox.sound(good)
    await scene.outbox.look()
    assert scene.one.took == [good.key]
    assert scene.two.took == [poison.key, good.key]
    assert [event.subject for event in scene.events.recent("alarm.channel_failed")] == ["one"]


async def test_a_channel_that_never_ends_holds_up_no_other(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("skerry.telemetry.alarm_outbox.SEND_SECONDS_MAX", 0.01)

    async def for_ever(sent: Alarm) -> None:
        await asyncio.Event().wait()

    scene.one.send = for_ever  # type: ignore[method-assign]
    await scene.outbox.sound(alarm())
    await scene.outbox.look()
    assert scene.two.took == [alarm().key]
    assert [event.subject for event in scene.events.recent("alarm.channel_failed")] == ["one"]


class FullDisk:
    """An outbox whose disk takes no writes for a while; what is on it can be read."""

    def __init__(self, scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
        self._broken = monkeypatch
        for name in ("add", "sent", "failed", "drop"):
            monkeypatch.setattr(scene.file, name, self._refuse)

    async def _refuse(self, *_: object, **__: object) -> int:
        raise AlarmsUnusable("the disk is full")

    def recovers(self) -> None:
        self._broken.undo()


async def test_a_full_disk_delays_no_alarm_and_doubles_none(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    await scene.outbox.sound(alarm("before"))
    disk = FullDisk(scene, monkeypatch)
    await scene.outbox.sound(alarm("meanwhile"))
    for _ in range(3):
        await scene.outbox.look()
        scene.clock.advance(60)
    assert scene.one.took == scene.two.took == ["before", "meanwhile"]
    disk.recovers()
    await scene.outbox.sound(alarm("meanwhile"))
    for _ in range(3):
        await scene.outbox.look()
        scene.clock.advance(60)
    assert scene.one.took == scene.two.took == ["before", "meanwhile"]
    scene.open()
    await scene.outbox.look()
    assert scene.one.took == ["before", "meanwhile"], "the disk was told in the end"


async def test_a_broken_channel_is_left_alone_between_attempts_even_on_a_full_disk(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.one.broken = True
    FullDisk(scene, monkeypatch)
    await scene.outbox.sound(alarm())
    for _ in range(600):
        await scene.outbox.look()
        scene.clock.advance(1)
    assert 3 <= scene.one.tried <= 8


async def test_a_row_that_somebody_has_changed_silences_no_other(scene: Scene) -> None:
    await scene.outbox.sound(alarm("a"))
    await scene.outbox.sound(alarm("b"))
    await scene.file._file.write(lambda db: db.execute("UPDATE alarm SET level='x' WHERE key='a'"))
    await scene.outbox.look()
    assert scene.one.took == ["a", "b"]
    assert scene.file.recent(2)
