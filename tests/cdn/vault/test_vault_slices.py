"""Large objects in slices: copied one by one, and read from the vault where the disk has none."""

from __future__ import annotations

from collections.abc import AsyncIterator
from random import Random

import pytest

from skerry.cdn.vault.told import Wanted
from skerry.upstream.ports import Trouble
from tests.cdn.vault.vault_world import Vaulted

SLICE = 64 << 10
BODY = Random(4).randbytes(10 * SLICE + 100)
FIELDS = ("Cache-Control: max-age=600, stale-if-error=6000", 'ETag: "v1"')


@pytest.fixture
async def node() -> AsyncIterator[Vaulted]:
    made = Vaulted(slice_bytes=SLICE)
    yield made
    await made.close()


async def seek(node: Vaulted, first: int, last: int, body: bytes = BODY) -> None:
    status, got, _ = await node.world.get("/film", f"Range: bytes={first}-{last}")
    assert (status, got) == (206, body[first : last + 1])
    await node.world.settle()


async def sent(node: Vaulted) -> None:
    await node.rooms.writeback.step()
    await node.wait_for(lambda: node.rooms.copies.statistics().waiting_count == 0)


async def drop(node: Vaulted) -> None:
    """What eviction does, and a restart: nothing of the object is on the disk or in memory."""
    for entry in list(node.world.variants.all()):
        for digest, _ in node.world.variants.slices(entry).values():
            await node.world.store.delete(digest)
        await node.world.variants.remove([entry])
    node.start()


async def test_touched_slices_come_back_from_the_vault_when_the_origin_is_gone(
    node: Vaulted,
) -> None:
    node.world.page("/film", BODY, *FIELDS)
    await seek(node, 5 * SLICE + 3, 5 * SLICE + 900)
    await seek(node, 8 * SLICE, 9 * SLICE - 1)
    await sent(node)
    assert sum(name.startswith("c/") for name in node.memory.objects) >= 2
    await drop(node)
    node.world.origin.down = Trouble.REFUSED
    await seek(node, 5 * SLICE + 3, 5 * SLICE + 900)
    await seek(node, 8 * SLICE + 7, 8 * SLICE + 70)
    assert node.world.origin.count() == 0


async def test_what_the_vault_has_not_is_asked_of_the_origin_and_sent_too(node: Vaulted) -> None:
    node.world.page("/film", BODY, *FIELDS)
    await seek(node, 0, 99)
    await sent(node)
    before = sum(name.startswith("c/") for name in node.memory.objects)
    await drop(node)
    node.world.page("/film", BODY, *FIELDS)
    await seek(node, 0, 99)
    assert node.world.origin.count() == 0
    await seek(node, 7 * SLICE, 7 * SLICE + 99)
    assert node.world.origin.sent_bytes <= 2 * SLICE
    await sent(node)
    assert sum(name.startswith("c/") for name in node.memory.objects) > before


async def test_slices_of_two_representations_never_meet_in_the_vault(node: Vaulted) -> None:
    node.world.page("/film", BODY, *FIELDS)
    await seek(node, 0, 99)
    await sent(node)
    other = Random(5).randbytes(len(BODY))
    node.world.page("/film", other, "Cache-Control: max-age=600", 'ETag: "v2"')
    node.world.clock.advance(7000.0)
    await seek(node, 6 * SLICE, 6 * SLICE + 99, other)
    await sent(node)
    await drop(node)
    node.world.origin.down = Trouble.REFUSED
    await seek(node, 6 * SLICE, 6 * SLICE + 99, other)
    status, got, _ = await node.world.get("/film", "Range: bytes=0-99")
    assert status != 206 or got == other[:100]


async def test_an_object_is_safe_when_all_its_slices_here_are(node: Vaulted) -> None:
    node.world.page("/film", BODY, *FIELDS)
    await seek(node, 0, 99)
    await sent(node)
    assert [group.refetchable for group in node.world.rooms.inventory.groups()] == [True]
    node.memory.down = True
    await seek(node, 9 * SLICE, 9 * SLICE + 99)
    await node.rooms.writeback.step()
    assert [group.refetchable for group in node.world.rooms.inventory.groups()] == [False]


async def test_a_purge_takes_slices_in_the_vault_too(node: Vaulted) -> None:
    node.world.page("/film", BODY, *FIELDS)
    await seek(node, 0, 99)
    await sent(node)
    await drop(node)
    assert await node.purge("/film") == 1
    node.world.origin.pages.clear()
    status, _, _ = await node.world.get("/film", "Range: bytes=0-99")
    assert status == 404
    await node.wait_for(lambda: not node.memory.objects)


async def test_slices_are_restored_with_their_object_on_an_empty_node(node: Vaulted) -> None:
    node.world.page("/film", BODY, *FIELDS)
    await seek(node, 3 * SLICE, 4 * SLICE + 99)
    await sent(node)
    node.start(wiped=True)
    node.world.origin.down = Trouble.REFUSED
    last = (await node.told(node.restoring.restore(Wanted())))[-1]
    assert (last.healed_count, last.lost_count) == (1, 0)
    await seek(node, 3 * SLICE, 4 * SLICE + 99)
