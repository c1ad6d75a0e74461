"""The vault behind an edge: sent, taken back when the origin is gone, purged, healed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from random import Random

import pytest

from skerry.base.digest import digest_of
from skerry.cdn.core.outbox import Standing, State
from skerry.cdn.core.purge import Mode
from skerry.cdn.testing import some_entry
from skerry.cdn.vault.ports import ObjectInfo, Offer
from skerry.cdn.vault.sealing import CHUNK_BYTES
from skerry.upstream.ports import Trouble
from skerry.wire.message import BodyAborted
from tests.cdn.vault.vault_world import Vaulted

BODY = Random(1).randbytes(3 * CHUNK_BYTES + 17)


@pytest.fixture
async def node() -> AsyncIterator[Vaulted]:
    made = Vaulted()
    yield made
    await made.close()


async def test_what_is_stored_gets_a_sealed_copy_that_says_nothing(node: Vaulted) -> None:
    body = b"a public page about herrings " * 1000
    await node.fill("/herrings?n=1", body, "Cache-Control: max-age=60", "X-Word: herring")
    assert node.rooms.copies.statistics().there_count == 1
    names = list(node.memory.objects)
    assert sorted(name[:2] for name in names) == ["c/", "r/"]
    seen = b"".join(node.memory.objects.values()) + "".join(names).encode()
    for word in (b"herring", b"www.example.org", body[:16], digest_of(body).hex.encode()):
        assert word not in seen


async def test_evicted_and_the_origin_gone_it_is_served_from_the_vault(node: Vaulted) -> None:
    await node.fill("/film", BODY)
    node.world.clock.advance(20.0)
    await node.evict("/film", BODY)
    node.world.origin.down = Trouble.REFUSED
    answer = await node.world.ask("/film")
    assert answer.status == 200
    assert answer.headers.get("Age") == "20"
    status, got, cache = await node.world.get("/film")
    assert (status, got) == (200, BODY)
    await node.world.settle()
    assert node.world.store.size_of(digest_of(BODY)) == len(BODY)
    asked = node.world.origin.count()
    status, got, cache = await node.world.get("/film")
    assert (status, got) == (200, BODY)
    assert cache.startswith("hit")
    assert node.world.origin.count() == asked == 1


async def test_a_stale_copy_is_validated_and_its_body_is_not_fetched_again(node: Vaulted) -> None:
    fields = ("Cache-Control: max-age=60", 'ETag: "v1"')
    await node.fill("/page", BODY, *fields)
    node.world.clock.advance(100.0)
    await node.evict("/page", BODY)
    sent = node.world.origin.sent_bytes
    status, got, cache = await node.world.get("/page")
    assert (status, got) == (200, BODY)
    assert "fwd-status=304" in cache
    assert node.world.origin.sent_bytes == sent


async def test_a_stale_copy_stands_in_only_as_far_as_the_rules_of_staleness_let_it(
    node: Vaulted,
) -> None:
    await node.fill("/lenient", BODY, "Cache-Control: max-age=10, stale-if-error=600")
    await node.fill("/strict", BODY[:-1], "Cache-Control: max-age=10, must-revalidate")
    node.world.clock.advance(100.0)
    await node.evict("/lenient", BODY)
    await node.evict("/strict", BODY[:-1])
    node.world.origin.down = Trouble.REFUSED
    status, got, _ = await node.world.get("/lenient")
    assert (status, got) == (200, BODY)
    status, _, _ = await node.world.get("/strict")
    assert status == 504


async def test_a_range_of_an_evicted_object_is_served_from_the_vault(node: Vaulted) -> None:
    await node.fill("/film", BODY)
    await node.evict("/film", BODY)
    node.world.origin.down = Trouble.REFUSED
    status, got, _ = await node.world.get("/film", "Range: bytes=0-99")
    assert (status, got) == (206, BODY[:100])


async def test_many_who_miss_share_one_read_of_the_vault(node: Vaulted) -> None:
    await node.fill("/film", BODY)
    await node.evict("/film", BODY)
    node.world.origin.down = Trouble.REFUSED
    before = node.memory.read_bytes
    got = await asyncio.gather(*(node.world.get("/film") for _ in range(8)))
    assert {(status, body) for status, body, _ in got} == {(200, BODY)}
    assert node.memory.read_bytes - before < len(BODY) * 1.01


async def test_a_purged_copy_never_comes_back_and_leaves_the_vault(node: Vaulted) -> None:
    await node.fill("/old/film", BODY)
    await node.evict("/old/film", BODY)
    node.memory.down = True
    assert await node.purge("/old") == 1
    node.memory.down = False
    node.world.origin.pages.clear()
    assert (await node.world.get("/old/film"))[0] == 404
    await node.wait_for(lambda: not node.memory.objects)


async def test_a_purge_outlives_a_crash_before_the_vault_was_told(node: Vaulted) -> None:
    await node.fill("/old/film", BODY)
    await node.evict("/old/film", BODY)
    node.memory.down = True
    await node.purge("/old")
    node.start()
    node.memory.down = False
    assert (await node.world.get("/old/film"))[0] == 404
    await node.wait_for(lambda: not node.memory.objects)


async def test_a_softly_purged_copy_is_validated_before_it_is_used(node: Vaulted) -> None:
    await node.fill("/film", BODY, "Cache-Control: max-age=6000", 'ETag: "v1"')
    await node.evict("/film", BODY)
    await node.purge("/film", Mode.SOFT)
    asked = node.world.origin.count()
    status, got, cache = await node.world.get("/film")
    assert (status, got) == (200, BODY)
    assert "fwd-status=304" in cache
    assert node.world.origin.count() == asked + 1


async def test_a_vault_that_is_down_costs_nothing_and_is_caught_up_with(node: Vaulted) -> None:
    node.memory.down = True
    await node.fill("/a", BODY)
    await node.fill("/b", BODY[:100])
    for target, body in (("/a", BODY), ("/b", BODY[:100])):
        assert (await node.world.get(target))[1] == body
    told = node.world.events.recent("vault.unavailable")
    assert len(told) == 1
    assert told[0].next_step
    node.memory.down = False
    await node.wait_for(lambda: node.rooms.copies.statistics().there_count == 2)
    assert node.world.events.recent("vault.available")


async def test_a_cut_upload_goes_on_after_a_crash_and_sends_no_part_twice() -> None:
    node = Vaulted(part_chunks=1)
    node.memory.cut_after = 2
    await node.fill("/film", BODY)
    sent = list(node.memory.put_names)
    assert len(sent) == 2
    assert node.rooms.copies.statistics().there_count == 0
    node.start()
    node.memory.down, node.memory.cut_after = False, None
    await node.wait_for(lambda: node.rooms.copies.statistics().there_count == 1)
    assert len(node.memory.put_names) == len(set(node.memory.put_names))
    await node.evict("/film", BODY)
    node.world.origin.down = Trouble.REFUSED
    assert (await node.world.get("/film"))[1] == BODY
    await node.close()


@pytest.mark.parametrize("at", [-1, 0], ids=["late", "early"])
@pytest.mark.parametrize("part_chunks", [1, 16])
async def test_a_flipped_bit_in_the_vault_is_never_served_and_is_healed(
    part_chunks: int, at: int
) -> None:
    node = Vaulted(part_chunks=part_chunks)
    await node.fill("/film", BODY)
    longest = max(node.memory.objects, key=lambda name: len(node.memory.objects[name]))
    node.memory.flip_bit(longest, at if part_chunks == 1 else at - 300_000 * (at + 1))
    await node.evict("/film", BODY)
    with suppress(BodyAborted):  # it had begun when the damage was met: cut, never wrong
        assert (await node.world.get("/film"))[1] == BODY
    await node.world.settle()
    assert (await node.world.get("/film"))[1] == BODY
    assert node.world.origin.count() == 2
    await node.world.settle()
    await node.wait_for(lambda: bool(node.world.events.recent("vault.damaged")))
    await node.wait_for(lambda: node.rooms.copies.statistics().there_count == 1)
    content = node.rooms.copies.contents()[0]
    assert await node.rooms.bodies.prove(content)
    await node.close()


async def test_one_body_of_many_entries_is_sent_once_and_leaves_with_the_last(
    node: Vaulted,
) -> None:
    await node.fill("/a", BODY)
    await node.fill("/b", BODY)
    bodies = [name for name in node.memory.put_names if name.startswith("c/")]
    assert len(bodies) == 1
    await node.purge("/a")
    await node.wait_for(lambda: node.rooms.copies.statistics().leaving_count == 0)
    assert bodies[0] in node.memory.objects
    await node.purge("/b")
    await node.wait_for(lambda: not node.memory.objects)


async def test_a_record_older_than_a_purge_is_judged_by_the_purge_log(node: Vaulted) -> None:
    """As after a crash between the log and the record: the record has not heard of the purge."""
    await node.fill("/old/film", BODY)
    [entry] = node.rooms.copies.entries()
    content = node.rooms.copies.contents()[0]
    objects = dict(node.memory.objects)
    await node.evict("/old/film", BODY)
    await node.purge("/old")
    await node.wait_for(lambda: not node.memory.objects)
    node.memory.objects.update(objects)
    await node.rooms.copies.put_content(content)
    there = Standing(State.THERE, sent_at=1.0)
    await node.rooms.copies.put("r/ab/old", entry, there, 1e18)
    node.world.origin.pages.clear()
    assert (await node.world.get("/old/film"))[0] == 404
    await node.care.look_over()
    await node.wait_for(lambda: node.rooms.copies.content(content.digest) is None)


@pytest.mark.parametrize("mode", [Mode.HARD, Mode.SOFT])
async def test_what_is_purged_before_it_was_noted_is_never_sent_as_it_was(
    node: Vaulted, mode: Mode
) -> None:
    node.world.page("/film", BODY, "Cache-Control: max-age=6000", 'ETag: "v1"')
    assert (await node.world.get("/film"))[1] == BODY
    await node.world.settle()
    await node.purge("/film", mode)
    await node.rooms.writeback.step()
    if mode is Mode.HARD:
        assert node.memory.put_names == []
    else:
        [entry] = node.rooms.copies.entries()
        assert entry.stored.invalidated


async def test_what_is_wanted_is_on_record_while_a_long_body_is_being_sent(node: Vaulted) -> None:
    reached, gate, put = asyncio.Event(), asyncio.Event(), node.memory.put

    async def slow(offer: Offer, *, replace: bool = False) -> ObjectInfo:
        reached.set()
        await gate.wait()
        return await put(offer, replace=replace)

    node.memory.put = slow  # type: ignore[method-assign]
    node.world.page("/long", BODY)
    await node.world.get("/long")
    await node.world.settle()
    sending = node.world.nursery.start(node.rooms.writeback.step(), name="step")
    await reached.wait()
    node.rooms.writeback.want(some_entry("/next"))
    await node.rooms.writeback.note()
    assert node.rooms.copies.statistics().waiting_count == 2
    gate.set()
    await sending
    assert node.rooms.copies.statistics().there_count == 1
