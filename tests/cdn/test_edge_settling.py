"""Bodies that wait for their row in the index: how many there may be, and what comes after."""

from __future__ import annotations

import asyncio

import pytest

from skerry.cdn import entries
from skerry.cdn.ports import Entry
from skerry.store.ports import SMALL_BYTES_MAX
from tests.cdn.world import World
from tests.rig.telling import sample_of


class SlowIndex:
    """A world whose index takes no row until `gate` is set."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.world = World()
        self.gate = asyncio.Event()
        put = self.world.variants.put

        async def waits(entry: Entry, *, at_leisure: bool = False) -> None:
            await self.gate.wait()
            await put(entry, at_leisure=at_leisure)

        monkeypatch.setattr(self.world.variants, "put", waits)

    async def asked(self, path: str, size_bytes: int) -> str:
        """What the node says it did with a page that the origin has; its bytes are right."""
        body = path.encode().ljust(size_bytes, b".")
        self.world.page(path, body)
        status, got, cache = await self.world.get(path)
        assert (status, got) == (200, body)
        for _ in range(20):
            await asyncio.sleep(0)
        return cache

    @property
    def settling(self) -> tuple[int, int]:
        now = self.world.rooms.front._rooms.entries.statistics()
        return now.settling_count, now.settling_bytes

    async def catch_up(self) -> None:
        self.gate.set()
        await self.world.settle()


async def test_past_so_many_bytes_in_memory_a_miss_passes_through_until_the_index_has_caught_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slow = SlowIndex(monkeypatch)
    count = entries.SETTLING_BYTES_MAX // SMALL_BYTES_MAX
    for number in range(count):
        assert "stored" in await slow.asked(f"/{number}", SMALL_BYTES_MAX)
    assert slow.settling == (count, entries.SETTLING_BYTES_MAX)
    assert sample_of(slow.world.metrics, "skerry_edge_storing") == count
    assert "stored" not in await slow.asked("/more", 3000)
    assert slow.settling == (count, entries.SETTLING_BYTES_MAX)
    await slow.catch_up()
    assert slow.settling == (0, 0)
    assert sample_of(slow.world.metrics, "skerry_edge_storing") == 0
    assert "stored" in await slow.asked("/more", 3000)
    assert "hit" in await slow.asked("/0", SMALL_BYTES_MAX)
    await slow.world.close()


async def test_past_so_many_bodies_as_well_and_large_ones_weigh_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(entries, "SETTLING_MAX", 3)
    slow = SlowIndex(monkeypatch)
    for number in range(3):
        assert "stored" in await slow.asked(f"/{number}", SMALL_BYTES_MAX + 1)
    assert slow.settling == (3, 0)
    assert "stored" not in await slow.asked("/more", 10)
    await slow.catch_up()
    assert "stored" in await slow.asked("/more", 10)
    await slow.world.close()
