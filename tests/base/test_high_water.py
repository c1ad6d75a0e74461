"""Time that never reads behind what was seen: over steps of the clock, kills and restarts."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.adapters.file_mark import MARK_FILE, FileMark
from skerry.app.clock_upkeep import ClockUpkeep
from skerry.base.clock import ManualClock
from skerry.base.high_water import SAVE_SECONDS, HighWater, Mark
from skerry.base.testing import MemoryMark
from skerry.telemetry.events import Events

NOW = 1_700_000_000.0


class Node:
    """What one machine keeps of time: a clock that may be set, and a mark that outlives kills."""

    def __init__(self, mark: Mark | None = None) -> None:
        self.clock = ManualClock(NOW)
        self.mark = mark or MemoryMark()
        self.events = Events(self.clock.now)

    async def start(self) -> None:
        self.high_water = HighWater(self.clock)
        self.keeping = ClockUpkeep(self.high_water, self.mark, clock=self.clock, events=self.events)
        await self.keeping.begin()

    async def live(self, seconds: float) -> None:
        """The time passes, and the upkeep has its turns."""
        while seconds > 0:
            step = min(seconds, SAVE_SECONDS / 4)
            self.clock.advance(step)
            seconds -= step
            await self.keeping._keep()

    @property
    def now(self) -> float:
        return self.high_water.now()


async def test_a_clock_that_is_set_back_is_not_followed_and_time_goes_on() -> None:
    node = Node()
    await node.start()
    await node.live(100)
    node.clock.step(-50 * 365 * 86400)
    assert node.now == NOW + 100
    await node.live(30)
    assert node.now == NOW + 130


async def test_a_clock_that_is_set_forward_is_followed() -> None:
    node = Node()
    await node.start()
    node.clock.step(3600)
    assert node.now == NOW + 3600


@pytest.mark.parametrize("lived", [0, 1, 29, 31, 59, 61, 3600, 43_200])
async def test_after_a_kill_no_clock_reads_behind_what_was_seen(lived: int) -> None:
    node = Node()
    await node.start()
    await node.live(lived)
    node.clock.advance(SAVE_SECONDS / 4 - 0.01)  # killed just before the next turn
    seen = node.now
    node.clock.step(-NOW)  # no battery: it is 1970
    await node.start()
    assert seen <= node.now <= seen + 2 * SAVE_SECONDS
    before = node.now
    await node.live(600)
    assert node.now == before + 600


async def test_after_a_kill_with_a_clock_that_is_right_time_waits_for_it() -> None:
    node = Node()
    await node.start()
    await node.live(600)
    await node.start()
    await node.live(2 * SAVE_SECONDS)
    assert node.now == node.clock.now()


async def test_after_an_orderly_end_time_does_not_wait() -> None:
    node = Node()
    await node.start()
    await node.live(100)
    await node.keeping.end()
    await node.start()
    assert node.now == NOW + 100


async def test_a_clock_far_behind_is_told_once_with_the_way_out() -> None:
    node = Node()
    await node.start()
    node.clock.step(-86400)
    await node.live(120)
    (event,) = node.events.recent("clock.behind")
    assert "1d0h" not in event.cause
    assert "24h00m" in event.cause
    assert "delete clock.mark" in event.next_step


async def test_a_mark_that_cannot_be_written_is_told_once_and_time_goes_on() -> None:
    mark = MemoryMark()
    node = Node(mark)
    await node.start()
    mark.broken = True
    await node.live(600)
    assert node.now == NOW + 600
    assert len(node.events.recent("clock.not_saved")) == 1
    mark.broken = False
    await node.live(60)
    assert mark.at is not None
    assert mark.at > node.now


async def test_the_mark_is_not_written_at_every_turn() -> None:
    written: list[float] = []

    class Counting(MemoryMark):
        def write(self, at: float) -> None:
            written.append(at)
            super().write(at)

    node = Node(Counting())
    await node.start()
    await node.live(3600)
    assert len(written) <= 3600 / (SAVE_SECONDS / 2)


@given(st.lists(st.tuples(st.sampled_from(["step", "advance"]), st.floats(-1e9, 1e9))))
def test_it_never_goes_back_whatever_happens(moves: list[tuple[str, float]]) -> None:
    clock = ManualClock(NOW)
    high_water = HighWater(clock)
    before = high_water.now()
    for kind, seconds in moves:
        if kind == "step":
            clock.step(seconds)
        else:
            clock.advance(abs(seconds))
        assert high_water.now() >= before
        before = high_water.now()


@pytest.fixture(params=["memory", "file"])
def mark(request: pytest.FixtureRequest, tmp_path: Path) -> Mark:
    return MemoryMark() if request.param == "memory" else FileMark(tmp_path / "data")


def test_a_mark_that_was_never_written_reads_as_none(mark: Mark) -> None:
    assert mark.read() is None


def test_a_mark_reads_as_it_was_written_last(mark: Mark) -> None:
    mark.write(NOW)
    mark.write(NOW + 0.125)
    assert mark.read() == NOW + 0.125


@pytest.mark.parametrize("content", [b"", b"nan\n", b"inf", b"-1", b"\xff\xff", b"soon\n"])
def test_a_file_that_is_no_mark_is_no_mark(tmp_path: Path, content: bytes) -> None:
    (tmp_path / MARK_FILE).write_bytes(content)
    assert FileMark(tmp_path).read() is None


async def test_a_clock_that_jumps_ahead_is_told_once_and_its_way_back_too() -> None:
    node = Node()
    await node.start()
    await node.live(300)
    assert node.events.recent("clock.ahead") == (), "time that passes is no jump"
    node.clock.step(86_400)
    await node.live(60)
    (ahead,) = node.events.recent("clock.ahead")
    assert "ahead by 24h00m" in ahead.cause
    node.clock.step(-86_400)
    await node.live(60)
    assert len(node.events.recent("clock.behind")) == 1
    node.clock.step(86_400)
    await node.live(60)
    assert node.events.recent()[-1].kind == "clock.right", "nothing is left to look at"
