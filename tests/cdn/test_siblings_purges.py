"""Purges between siblings: told at once, caught up with after a cut, refused from strangers."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from skerry.adapters.sqlite_edge_file import EdgeFile
from skerry.cdn.core.letters import Purged, read, write
from skerry.cdn.core.purge import Mode, by_host, by_surrogate_key
from skerry.cdn.core.receipt import read as read_receipt
from skerry.cdn.purges import Ordered
from skerry.cdn.sibling_link import PURGES_PATH
from skerry.upstream.ports import Trouble
from skerry.wire.message import Headers, Request
from tests.cdn.sibling_world import Site, request_of
from tests.cdn.world import World
from tests.rig.telling import sample_of

HOST = "www.example.org"
ALL = by_host(HOST)


async def warm(world: World) -> None:
    world.page("/a", b"old", "Cache-Control: max-age=600, stale-if-error=600")
    await world.get("/a")
    await world.rooms.purges.work.all_noted()
    for _ in range(50):
        await asyncio.sleep(0)
    world.origin.down = Trouble.REFUSED
    assert (await world.get("/a"))[0] == 200


async def purge(site: Site, name: str, target: object = ALL) -> tuple[Ordered, dict[str, bool]]:
    world = site.worlds[name]
    ordered = await world.rooms.purges.purge(target, Mode.HARD)  # type: ignore[arg-type]
    told = asyncio.ensure_future(world.rooms.siblings.siblings.confirm(ordered.sequence))
    await site.quiet()
    if not told.done():
        site.clock.advance(1.0)
    return ordered, dict(await told)


async def serves(world: World) -> bool:
    return (await world.get("/a"))[0] == 200


async def test_a_purge_is_in_force_on_every_sibling_when_the_call_returns() -> None:
    site = Site("a", "b", "c")
    await site.start()
    for world in site.worlds.values():
        await warm(world)
    began = site.clock.monotonic()
    _, confirmed = await purge(site, "a")
    assert confirmed == {"b": True, "c": True}
    assert site.clock.monotonic() == began
    for world in site.worlds.values():
        assert not await serves(world)
    await site.quiet()
    for name in "bc":
        [line] = site.worlds[name].rooms.purges.receipts()
        assert read_receipt(line).ordered_by == site.worlds["a"].rooms.purges.node
    await site.close()


async def test_a_purge_goes_round_no_circles() -> None:
    site = Site("a", "b", "c")
    await site.start()
    await purge(site, "a")
    await site.later(1)
    for line in site.lines.values():
        line.sent.clear()
    await site.later(4)
    assert sum(line.letters("purges") for line in site.lines.values()) <= 6  # a heartbeat each
    await site.close()


async def test_a_sibling_that_is_cut_off_is_named_and_nobody_waits_for_it_twice() -> None:
    site = Site("a", "b")
    await site.start()
    await warm(site.worlds["b"])
    site.cut("a", "b")
    _, confirmed = await purge(site, "a")
    assert confirmed == {"b": False}
    assert await serves(site.worlds["b"])  # it cannot know
    began = site.clock.monotonic()
    _, confirmed = await purge(site, "a", by_surrogate_key("k"))
    assert confirmed == {"b": False}
    assert site.clock.monotonic() == began
    [link] = site.worlds["a"].rooms.siblings.siblings.statistics()
    assert (link.current, link.behind_count) == (False, 2)
    metrics = site.worlds["a"].metrics
    assert sample_of(metrics, 'skerry_sibling_current{sibling="b"}') == 0
    assert sample_of(metrics, 'skerry_sibling_behind{sibling="b"}') == 2
    site.cut("a", "b", cut=False)
    await site.later(2)
    assert sample_of(metrics, 'skerry_sibling_current{sibling="b"}') == 1
    assert sample_of(metrics, 'skerry_sibling_behind{sibling="b"}') == 0
    assert len(site.worlds["a"].events.recent("sibling.lost")) == 1
    await site.close()


@pytest.mark.parametrize("healed", [("a", "b"), ("b", "a")], ids=["it asks", "it is told"])
async def test_a_link_that_heals_in_one_direction_is_enough_within_a_second(
    healed: tuple[str, str],
) -> None:
    site = Site("a", "b")
    await site.start()
    await warm(site.worlds["b"])
    site.cut("a", "b")
    await purge(site, "a")
    await site.later(600)
    assert await serves(site.worlds["b"])
    site.lines[healed].cut = False
    await site.later(1)
    assert not await serves(site.worlds["b"])
    await site.close()


async def test_a_node_catches_up_at_its_start_before_it_serves(tmp_path: Path) -> None:
    site = Site("a", "b")
    b = site.make("b", file=EdgeFile(tmp_path / "edge.sqlite"))
    await site.start()
    await warm(b)
    await b.close()
    del site.worlds["b"]
    await purge(site, "a")
    await site.later(30)
    again = site.make("b", file=EdgeFile(tmp_path / "edge.sqlite"), store=b.store)
    again.origin.down = Trouble.REFUSED
    assert await serves(again)  # what it would do if nobody could be asked
    await again.rooms.siblings.siblings.start()
    assert not await serves(again)
    await site.close()
    for each in (again, b):
        await each.file.close()


async def test_a_start_waits_two_seconds_for_a_sibling_and_no_more() -> None:
    site = Site("a", "b")
    hanging = asyncio.Event()

    async def hangs(*_: object) -> None:
        await hanging.wait()

    site.lines["b", "a"].post = hangs  # type: ignore[method-assign,assignment]
    starting = asyncio.ensure_future(site.worlds["b"].rooms.siblings.siblings.start())
    await site.quiet()
    assert not starting.done()
    site.clock.advance(2.0)
    await site.quiet()
    assert starting.done()
    await site.close()


async def test_a_third_node_hands_on_what_it_knows() -> None:
    site = Site("a", "b", "c")
    await site.start()
    await warm(site.worlds["c"])
    site.cut("a", "c")
    _, confirmed = await purge(site, "a")
    assert confirmed["b"]
    await site.later(1)
    assert not await serves(site.worlds["c"])
    await site.close()


async def test_lost_answers_and_letters_that_come_twice_change_nothing() -> None:
    site = Site("a", "b")
    await site.start()
    line = site.lines["a", "b"]
    line.twice = line.answers_lost = True
    await purge(site, "a")
    await site.later(3)
    line.answers_lost = False
    await site.later(3)
    b = site.worlds["b"].rooms.purges
    assert b.vector == site.worlds["a"].rooms.purges.vector
    assert len(b.receipts()) == 1
    await site.close()


async def test_a_replayed_letter_changes_nothing() -> None:
    site = Site("a", "b")
    await site.start()
    await purge(site, "a")
    old = list(site.lines["a", "b"].sent)
    await purge(site, "a", by_surrogate_key("x"))
    b = site.worlds["b"].rooms
    before = b.purges.vector
    assert b.siblings.door is not None
    for path, headers, body in old:
        assert (await b.siblings.door(request_of(path, headers, body))).status == 200
    assert b.purges.vector == before
    assert len(b.purges.receipts()) == 2
    await site.close()


async def test_nobody_but_a_listed_sibling_is_heard() -> None:
    site, strangers = Site("a", "b"), Site("a", "b")
    door = site.worlds["b"].rooms.siblings.door
    assert door is not None
    mine, theirs = site.keys_of("a"), strangers.keys_of("a")
    letter = write(Purged(mine.of("b"), "0", "node-x", {"node-x": 1}, {"node-x": 1}))
    for_another = write(Purged(theirs.of("b"), "0", "node-x", {"node-x": 1}, {"node-x": 1}))
    good = mine.sealed(PURGES_PATH, letter)
    forged = theirs.sealed(PURGES_PATH, letter).with_fields(("Skerry-Key", mine.me))
    tries = {
        "no signature": (Headers(), letter),
        "a stranger": (theirs.sealed(PURGES_PATH, letter), letter),
        "a stranger in a sibling's name": (forged, letter),
        "another body": (good, letter.replace(b"node-x", b"node-y")),
        "another path": (mine.sealed("/.well-known/skerry/sibling/object", letter), letter),
        "an answer for a question": (mine.sealed(PURGES_PATH, letter, answer=True), letter),
        "for another node": (mine.sealed(PURGES_PATH, for_another), for_another),
        "no letter": (mine.sealed(PURGES_PATH, b"{}"), b"{}"),
        "no JSON": (mine.sealed(PURGES_PATH, b"\xff["), b"\xff["),
    }
    for what, (headers, body) in tries.items():
        answer = await door(request_of(PURGES_PATH, headers, body))
        assert answer.status == 403, what
        assert site.worlds["b"].rooms.purges.vector == {}, what
    assert (await door(Request("GET", PURGES_PATH))).status == 404
    assert (await door(request_of(PURGES_PATH, good, letter))).status == 200
    for each in (site, strangers):
        await each.close()


async def test_a_forged_answer_is_not_believed() -> None:
    site = Site("a", "b")

    def meddle(path: str, body: bytes) -> bytes:
        if not path.endswith("purges"):
            return body
        letter = read(Purged, body)
        return write(Purged(letter.to, letter.nonce, letter.node, {"node-x": 9}, {"node-x": 9}))

    site.lines["a", "b"].meddle = meddle
    await site.start("a")
    assert site.worlds["a"].rooms.purges.vector == {}
    [link] = site.worlds["a"].rooms.siblings.siblings.statistics()
    assert not link.current
    assert "not written by b" in link.trouble
    await site.close()


async def test_an_answer_to_an_older_question_is_not_believed() -> None:
    site = Site("a", "b")
    await site.start()
    site.lines["a", "b"].replays = True
    site.lines["b", "a"].cut = True
    await site.later(6)
    [link] = site.worlds["a"].rooms.siblings.siblings.statistics()
    assert not link.current
    assert link.trouble == "b answered somebody else"
    await site.close()


async def test_a_sibling_with_a_new_log_is_told_everything_again() -> None:
    site = Site("a", "b")
    await site.start()
    await purge(site, "a")
    old = site.worlds.pop("b")
    await old.close()
    site.make("b")
    await site.start("b")
    await site.later(1)
    a, b = (site.worlds[name].rooms.purges for name in "ab")
    assert b.vector[a.node] == 1
    assert b.node != old.rooms.purges.node
    await site.close()


async def test_a_node_that_missed_too_many_serves_nothing_of_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    site = Site("a", "b")
    await site.start()
    await warm(site.worlds["b"])
    site.cut("a", "b")
    purges = site.worlds["a"].rooms.purges
    for number in range(5_001):
        purges._order(by_surrogate_key(f"k{number}"), Mode.HARD)
    await purges.work.all_noted()
    site.cut("a", "b", cut=False)
    await site.later(2)
    assert site.worlds["b"].rooms.purges.vector == purges.vector
    assert not await serves(site.worlds["b"])
    assert site.worlds["b"].events.recent("edge.purges_missed")
    await site.close()


async def test_nothing_is_left_when_a_node_stops() -> None:
    site = Site("a", "b")
    await site.start()
    site.cut("a", "b")
    world = site.worlds["a"]
    ordered = await world.rooms.purges.purge(ALL, Mode.HARD)
    waiting = asyncio.ensure_future(world.rooms.siblings.siblings.confirm(ordered.sequence))
    await asyncio.sleep(0)
    waiting.cancel()
    await site.close()
    assert not any(len(each.nursery) for each in site.worlds.values())
