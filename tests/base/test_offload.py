"""Readings aside: one at a time, however many ask and leave."""

from __future__ import annotations

import asyncio
import threading

import pytest

from skerry.aio.offload import Aside


class Reading:
    """Work that takes until it is let go; how much of it went on at once."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.begun = threading.Semaphore(0)
        self.running = self.most = 0

    def work(self, number: int) -> int:
        self.running += 1
        self.most = max(self.most, self.running)
        self.begun.release()
        self.go_on.wait(10)
        self.running -= 1
        return number


async def test_many_who_ask_wait_for_one_another_and_nobody_for_them() -> None:
    aside, reading = Aside(), Reading()
    asked = [asyncio.ensure_future(aside.read(reading.work, number)) for number in range(40)]
    await asyncio.to_thread(reading.begun.acquire)
    assert await asyncio.to_thread(lambda: "a thread is free") == "a thread is free"
    reading.go_on.set()
    assert await asyncio.gather(*asked) == list(range(40))
    assert reading.most == 1


async def test_who_leaves_makes_no_room_before_the_reading_has_ended() -> None:
    aside, reading = Aside(), Reading()
    for number in range(5):
        asked = asyncio.ensure_future(aside.read(reading.work, number))
        if number == 0:
            await asyncio.to_thread(reading.begun.acquire)
        await asyncio.sleep(0)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
    reading.go_on.set()
    assert await aside.read(reading.work, 9) == 9
    assert reading.most == 1


async def test_what_fails_is_told_and_the_next_has_its_turn() -> None:
    def fails() -> None:
        raise ValueError("no")

    aside = Aside()
    with pytest.raises(ValueError, match="no"):
        await aside.read(fails)
    assert await aside.read(len, "four") == 4
