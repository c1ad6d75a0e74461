"""Verify, repair, restore, and what a vault does by itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from random import Random

import pytest

from skerry.base.digest import digest_of
from skerry.cdn.core.route import Route, Site
from skerry.cdn.vault.records import record_name
from skerry.cdn.vault.told import Step, Wanted
from skerry.cdn.vault.writeback import Limits
from skerry.upstream.ports import Trouble
from skerry.wire.message import NO_HEADERS
from tests.cdn.vault.vault_world import KEY, Vaulted
from tests.cdn.world import ANY_METHOD, PUBLIC

ONE, TWO = Random(1).randbytes(300_000), Random(2).randbytes(5_000)


@pytest.fixture
async def node() -> AsyncIterator[Vaulted]:
    made = Vaulted()
    await made.fill("/one", ONE)
    await made.fill("/two", TWO)
    yield made
    await made.close()


def body_of(node: Vaulted, body: bytes) -> str:
    """The object of a body."""
    content = node.rooms.copies.content(digest_of(body))
    assert content is not None
    return content.name


def record_of(node: Vaulted, target: str) -> str:
    """The object of a record."""
    [entry] = [each for each in node.world.variants.all() if each.key.target == target]
    return record_name(KEY, entry)


async def test_a_sound_vault_is_told_to_be_sound_and_the_cost_is_known_before(
    node: Vaulted,
) -> None:
    lines = await node.told(node.care.verify(Wanted()))
    plan, last = lines[0], lines[-1]
    assert (plan.step, plan.total_count, plan.total_bytes) == (Step.PLAN, 2, 305_000)
    assert plan.read_micros == -(-305_000 * 90_000 // 2**30)
    assert plan.request_count >= 2
    assert (last.step, last.done_count, last.damaged_count) == (Step.DONE, 2, 0)


async def test_a_plan_reads_nothing_and_a_cap_holds(node: Vaulted) -> None:
    before = node.memory.read_bytes
    [plan] = await node.told(node.care.verify(Wanted(plan_only=True)))
    assert plan.step is Step.PLAN
    assert node.memory.read_bytes == before
    lines = await node.told(node.care.verify(Wanted(bytes_max=10_000)))
    assert lines[-1].read_bytes == len(TWO)


async def test_verify_finds_damage_in_either_tier_and_repair_heals_each_from_the_other(
    node: Vaulted,
) -> None:
    node.memory.flip_bit(body_of(node, ONE))
    node.world.store.flip_bit(digest_of(TWO))
    node.world.origin.down = Trouble.REFUSED
    steps = {line.step for line in await node.told(node.care.verify(Wanted(), heal=True))}
    assert {Step.DAMAGED_VAULT, Step.DAMAGED_DISK, Step.HEALED} <= steps
    assert Step.LOST not in steps
    assert (await node.world.get("/one"))[1] == ONE
    assert (await node.world.get("/two"))[1] == TWO
    last = (await node.told(node.care.verify(Wanted())))[-1]
    assert last.damaged_count == 0


async def test_a_body_that_neither_tier_has_whole_is_said_to_be_lost(node: Vaulted) -> None:
    node.memory.flip_bit(body_of(node, ONE))
    node.world.store.flip_bit(digest_of(ONE))
    last = (await node.told(node.care.verify(Wanted(), heal=True)))[-1]
    assert last.lost_count == 1
    await node.wait_for(lambda: node.rooms.copies.statistics().there_count == 1)
    assert (await node.world.get("/one"))[1] == ONE  # from the origin


@pytest.mark.parametrize("how", ["flipped", "gone"])
async def test_a_record_that_is_damaged_or_gone_is_written_again(node: Vaulted, how: str) -> None:
    name = record_of(node, "/one")
    if how == "flipped":
        node.memory.flip_bit(name)
    else:
        node.memory.lose(name)
    last = (await node.told(node.care.verify(Wanted())))[-1]
    assert last.damaged_count == 1
    last = (await node.told(node.care.verify(Wanted(), heal=True)))[-1]
    assert (last.healed_count, last.lost_count) == (1, 0)
    assert (await node.told(node.care.verify(Wanted())))[-1].damaged_count == 0


async def test_rot_that_a_scrub_found_is_healed_from_the_vault(node: Vaulted) -> None:
    node.world.store.flip_bit(digest_of(ONE))
    assert not await node.world.store.verify(digest_of(ONE))
    node.world.origin.down = Trouble.REFUSED
    assert await node.care.heal(digest_of(ONE))
    assert node.care.holds(digest_of(ONE))
    assert (await node.world.get("/one"))[1] == ONE
    assert not await node.care.heal(digest_of(b"never seen"))


@pytest.mark.parametrize("bodies", [False, True])
async def test_an_empty_node_with_the_key_is_restored_and_serves_without_an_origin(
    node: Vaulted, bodies: bool
) -> None:
    node.world.clock.advance(30.0)
    node.start(wiped=True)
    node.world.origin.down = Trouble.REFUSED
    assert (await node.world.get("/one"))[0] == 502
    lines = await node.told(node.restoring.restore(Wanted(), bodies=bodies))
    assert (lines[0].step, lines[0].total_count) == (Step.PLAN, 2)
    assert (lines[-1].healed_count, lines[-1].lost_count) == (2, 0)
    assert (node.world.store.size_of(digest_of(ONE)) is not None) == bodies
    answer = await node.world.ask("/one")
    assert (answer.status, answer.headers.get("Age")) == (200, "30")
    assert (await node.world.get("/two"))[1] == TWO


async def test_restore_believes_nothing_that_the_key_does_not_vouch_for(node: Vaulted) -> None:
    [one, two] = [name for name in node.memory.objects if name.startswith("r/")]
    node.memory.objects[one], node.memory.objects[two] = (
        node.memory.objects[two],
        node.memory.objects[one],
    )
    node.memory.objects["r/ab/planted"] = b"SKVT\x01 and more of the like" * 40
    node.start(wiped=True)
    last = (await node.told(node.restoring.restore(Wanted())))[-1]
    assert (last.done_count, last.healed_count, last.lost_count) == (3, 0, 3)


async def test_restore_leaves_out_what_no_route_lets_in_now(node: Vaulted) -> None:
    node.routes = (Route("/", "site"),)
    node.start(wiped=True)
    steps = [line.step for line in await node.told(node.restoring.restore(Wanted()))]
    assert steps.count(Step.SKIPPED) == 2
    assert node.rooms.copies.statistics().there_count == 0


async def test_restore_of_the_record_alone_does_not_bring_back_what_was_purged(
    node: Vaulted,
) -> None:
    node.memory.down = True
    await node.purge("/one")
    node.vault_file = Vaulted().vault_file  # vault.sqlite was lost, the purge log was not
    node.start()
    node.memory.down = False
    await node.told(node.restoring.restore(Wanted(), bodies=True))
    node.world.origin.pages.clear()
    assert (await node.world.get("/one"))[0] == 404
    await node.wait_for(lambda: len(node.memory.objects) == 2)


async def test_what_was_never_sent_is_found_by_looking_over_the_index() -> None:
    node = Vaulted(limits=Limits(waiting_max=1))
    node.memory.down = True
    for number in range(4):
        await node.fill(f"/{number}", TWO + b"%d" % number)
    assert node.rooms.copies.statistics().waiting_count == 1
    assert node.world.events.recent("vault.outbox_full")
    assert node.rooms.writeback.statistics().dropped_count >= 3
    assert (await node.world.get("/3"))[1] == TWO + b"3"
    node.memory.down = False
    for _ in range(4):
        await node.care.look_over()
        node.world.clock.advance(700.0)
        await node.rooms.writeback.step()
    assert node.rooms.copies.statistics().there_count == 4
    await node.close()


async def test_a_route_made_sensitive_has_its_copies_deleted(node: Vaulted) -> None:
    node.world.rooms.front.use([Site("site", ("www.example.org",), (Route("/", "site"),))])
    assert await node.rooms.tier.find(next(iter(node.world.variants.all())).key, NO_HEADERS) is None
    await node.care.look_over()
    await node.wait_for(lambda: not node.memory.objects)


async def test_a_copy_is_deleted_when_its_time_is_over() -> None:
    routes = (
        Route("/", "site", PUBLIC, None, ANY_METHOD),
        Route("/brief", "site", PUBLIC, None, ANY_METHOD, vault_seconds=100.0),
        Route("/not", "site", PUBLIC, None, ANY_METHOD, vaulted=False),
    )
    node = Vaulted(*routes, limits=Limits(lifetime_seconds=1000.0))
    for target in ("/long", "/brief", "/not"):
        await node.fill(target, TWO + target.encode())
    assert node.rooms.copies.statistics().there_count == 2
    node.world.clock.advance(101.0)
    assert await node.rooms.writeback.expire() == 1
    await node.wait_for(lambda: len(node.memory.objects) == 2)
    node.world.clock.advance(1000.0)
    assert await node.rooms.writeback.expire() == 1
    await node.wait_for(lambda: not node.memory.objects)
    await node.close()


async def test_eviction_prefers_what_is_safe_in_the_vault(node: Vaulted) -> None:
    node.memory.down = True
    await node.fill("/three", TWO + b"3")
    groups = {len(TWO) + 1: False, len(TWO): True, len(ONE): True}
    found = {
        sum(group.members.values()): group.refetchable
        for group in node.world.rooms.inventory.groups()
    }
    assert found == groups


async def test_copies_are_proven_in_turn_and_none_before_its_time(node: Vaulted) -> None:
    now = node.world.clock.now()
    assert await node.care.prove_next(now - 10) is None
    node.world.clock.advance(1000.0)
    read = node.memory.read_bytes
    assert await node.care.prove_next(now + 500) in (len(ONE), len(TWO))
    assert node.memory.read_bytes > read
    assert await node.care.prove_next(now + 500) is not None
    assert await node.care.prove_next(now + 500) is None


async def test_rot_in_the_vault_is_found_without_being_asked_for(node: Vaulted) -> None:
    node.memory.flip_bit(body_of(node, TWO))
    node.world.clock.advance(1000.0)
    while await node.care.prove_next(node.world.clock.now() - 500) is not None:
        pass
    assert node.world.events.recent("vault.damaged")
    last = (await node.told(node.care.verify(Wanted())))[-1]
    assert last.damaged_count == 0


async def test_a_body_that_rots_before_it_is_sent_never_becomes_the_copy() -> None:
    node = Vaulted()
    node.memory.down = True
    await node.fill("/one", ONE)
    node.world.store.flip_bit(digest_of(ONE))
    node.memory.down = False
    await node.wait_for(lambda: node.rooms.copies.statistics().waiting_count == 0)
    assert not any(name.startswith("c/") for name in node.memory.objects)
    await node.close()
