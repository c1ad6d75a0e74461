"""More alarms than anybody can be told of: none is lost in silence, and the grave ones are sent."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from skerry.adapters import sqlite_alarms
from skerry.telemetry import alarm_outbox
from skerry.telemetry.alarms import HELD_BACK, Alarm
from skerry.telemetry.events import Level
from tests.telemetry.test_alarm_outbox import FullDisk, Line, Scene, alarm

MAX = 5


class Reader(Line):
    """A channel that remembers what was said of alarms that were held back."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.sums: list[Alarm] = []

    async def send(self, sent: Alarm) -> None:
        if sent.kind == HELD_BACK and not self.broken:
            self.sums.append(sent)
        await super().send(sent)

    @property
    def one_by_one(self) -> list[str]:
        return [key for key in self.took if not key.startswith(HELD_BACK)]

    def summed(self) -> list[int]:
        return [int(each.what.split()[0]) for each in self.sums]


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    monkeypatch.setattr(sqlite_alarms, "WAITING_MAX", MAX)
    monkeypatch.setattr(alarm_outbox, "HELD_MAX", MAX)
    made = Scene(tmp_path)
    made.one, made.two = Reader("one"), Reader("two")
    made.open()
    return made


def reader(line: Line) -> Reader:
    assert isinstance(line, Reader)
    return line


async def sent_out(scene: Scene) -> None:
    for _ in range(5):
        await scene.outbox.look()
        scene.clock.advance(3600)


async def flood(scene: Scene, first: int, last: int, level: Level = Level.WARNING) -> None:
    for number in range(first, last + 1):
        at = 1_700_000_000.0 + number
        await scene.outbox.sound(alarm(f"{level.value}-{number:03}", at, level))


async def test_beyond_the_bound_the_oldest_are_summed_up_in_one_alarm(scene: Scene) -> None:
    reader(scene.one).broken = True
    await flood(scene, 1, 12)
    await scene.outbox.look()
    assert scene.outbox.statistics().held_back_count == 7 + 7, "of each channel its own"
    scene.one.broken = False
    await sent_out(scene)
    for channel in (reader(scene.one), reader(scene.two)):
        assert sorted(channel.one_by_one) == [f"warning-{number:03}" for number in range(8, 13)]
        assert channel.summed() == [7]
        assert channel.sums[0].what.startswith("7 alarms were held back since 2023-11-14 22:13:26")
    assert len(scene.events.recent(HELD_BACK)) == 1, "told once an hour"


async def test_the_grave_ones_stay_and_the_sum_is_as_grave_as_its_gravest(scene: Scene) -> None:
    await flood(scene, 1, 3, Level.ERROR)
    await flood(scene, 4, 6)
    await flood(scene, 7, 9, Level.INFO)
    await sent_out(scene)
    one = reader(scene.one)
    assert one.one_by_one == ["error-001", "error-002", "error-003", "warning-005", "warning-006"]
    assert (one.summed(), one.sums[0].level) == ([4], Level.WARNING)


async def test_a_channel_that_works_gets_each_and_the_one_that_does_not_its_sum(
    scene: Scene,
) -> None:
    reader(scene.two).broken = True
    for number in range(1, 13):
        await flood(scene, number, number)
        await scene.outbox.look()
    assert len(reader(scene.one).one_by_one) == 12
    assert reader(scene.one).summed() == []
    reader(scene.two).broken = False
    await sent_out(scene)
    assert len(reader(scene.two).one_by_one) == MAX
    assert reader(scene.two).summed() == [7]
    standing = {each.alarm.key: each for each in scene.file.recent(50)}
    assert standing["warning-001"].sent == ("one",)
    assert standing["warning-001"].held_back == ("two",)


async def test_a_sum_outlives_a_restart_and_a_second_flood_has_its_own(scene: Scene) -> None:
    reader(scene.one).broken = reader(scene.two).broken = True
    await flood(scene, 1, 8)
    scene.open()
    await flood(scene, 9, 10)
    reader(scene.one).broken = reader(scene.two).broken = False
    await sent_out(scene)
    await flood(scene, 11, 18)
    await sent_out(scene)
    assert reader(scene.one).summed() == [5, 3]
    assert len(reader(scene.one).one_by_one) + 8 == 18, "none is lost in silence"
    tokens = [each.token for each in reader(scene.one).sums]
    assert len(set(tokens)) == 2, "no receiver takes the second for the first"


async def test_a_sum_that_grows_while_it_is_sent_is_told_again_with_its_new_count(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    await flood(scene, 1, 7)
    one = reader(scene.one)
    plain, grown = one.send, asyncio.Event()

    async def send(sent: Alarm) -> None:
        if sent.kind == HELD_BACK and not grown.is_set():
            grown.set()
            await flood(scene, 8, 13)
        await plain(sent)

    monkeypatch.setattr(one, "send", send)
    await sent_out(scene)
    told = one.summed()
    assert told[0] == 2
    assert len(one.one_by_one) + told[-1] >= 13, "no one that was held back goes untold"


async def test_in_memory_the_sent_make_way_and_then_the_least_are_summed_up(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = FullDisk(scene, monkeypatch)
    await flood(scene, 1, 4)
    await scene.outbox.look()
    assert reader(scene.one).one_by_one == [f"warning-{number:03}" for number in range(1, 5)]
    reader(scene.one).broken = reader(scene.two).broken = True
    await flood(scene, 5, 12)
    assert scene.outbox.statistics().held_count == MAX
    assert scene.outbox.statistics().held_back_count == 4
    reader(scene.one).broken = reader(scene.two).broken = False
    disk.recovers()
    await sent_out(scene)
    one = reader(scene.one)
    assert len(one.one_by_one) + sum(one.summed()) == 12
    assert one.summed() == [4]


async def test_what_is_on_record_is_bounded_as_well(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_alarms, "KEPT_MAX", 8)
    for number in range(1, 30):
        await flood(scene, number, number)
        await scene.outbox.look()
        scene.clock.advance(2)
    assert len(scene.file.recent(100)) == 8
