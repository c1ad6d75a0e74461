"""What a node shows of its store, its housekeeper and its fills is how these are now."""

from __future__ import annotations

import asyncio

from skerry.app.telemetry.gauges import show_rooms
from skerry.store.testing import MemoryStore
from skerry.telemetry.metrics import Registry
from skerry.upstream.testing import Act, ScriptedPlace
from tests.rig.telling import sample_of
from tests.store.test_housekeeper import MIB, House
from tests.upstream.fills_bench import DATA, Bench, read, settle


def shown(bench: Bench, house: House, store: MemoryStore) -> Registry:
    metrics = Registry()
    show_rooms(metrics, store, bench.fills, house.keeper)
    return metrics


async def test_a_content_on_its_way_in_is_shown_while_it_is_and_so_are_its_bytes() -> None:
    bench, house = Bench(), House()
    metrics = shown(bench, house, bench.store)
    flying = 'skerry_fills_in_flight{authority="docker.io"}'
    spools = 'skerry_store_bytes{part="spools"}'
    place = ScriptedPlace("origin", DATA, Act(stall_at=200_000))
    reading = asyncio.ensure_future(read(bench.get(place, size=len(DATA))))
    while not bench.store.statistics().spool_bytes >= 190_000:  # noqa: ASYNC110
        await asyncio.sleep(0)
    assert sample_of(metrics, flying) == 1
    assert sample_of(metrics, spools) == bench.store.statistics().spool_bytes
    place.release()
    assert await reading == DATA
    await settle(bench)
    assert sample_of(metrics, flying) is None
    assert sample_of(metrics, spools) == 0
    assert sample_of(metrics, 'skerry_store_bytes{part="blobs"}') == len(DATA)


async def test_what_rotted_and_what_left_is_counted_by_cause() -> None:
    house = House()
    metrics = shown(Bench(), house, house.store)
    bad = await house.image("bad")
    for number in range(3):
        await house.image(str(number), last_used=1.0 + number)
    house.store.flip_bit(bad, 5)
    quarantined = "skerry_store_quarantined_total"
    assert sample_of(metrics, quarantined) == 0
    await house.keeper.scrub_now(lambda progress: None)
    assert sample_of(metrics, quarantined) == 1
    assert sample_of(metrics, 'skerry_store_bytes{part="quarantine"}') == MIB
    del house.shelves.all["bad"]
    await house.keeper.evict(2 * MIB)
    assert sample_of(metrics, 'skerry_store_evicted_total{cause="operator"}') == 2
    assert sample_of(metrics, "skerry_store_evicted_bytes_total") == 2 * MIB
    writable = "skerry_store_writable"
    assert sample_of(metrics, writable) == 1
    house.store.full = True
    assert sample_of(metrics, writable) == 0
    await house.nursery.close()
