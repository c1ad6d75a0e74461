"""The seam of the nearer tiers: what one holds is taken in by our own rules, then decided."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from skerry.base.digest import digest_of
from skerry.cdn.core.dates import format_date
from skerry.cdn.core.key import CacheKey
from skerry.cdn.core.purge import Mode, by_host
from skerry.cdn.ports import Copy, DataClass, RoutePolicy
from skerry.upstream.ports import Trouble, Unavailable
from skerry.upstream.testing import Act, ScriptedPlace
from skerry.wire.message import Headers
from tests.cdn.world import PUBLIC, World, body_of

BODY = b"near" * 40_000
HERS = "her;hit;ttl=50"


@dataclass
class FakeTier:
    """A tier with one body for every key.

    Promise: it gives what it is told to give, at once or after `gate`, and its place fails as
    `ScriptedPlace` does. It never raises.
    """

    headers: tuple[tuple[str, str], ...] = (("Cache-Control", "max-age=60"), ("Age", "10"))
    body: bytes = BODY
    status: int = 200
    acts: tuple[Act, ...] = ()
    asked: list[str] = field(default_factory=list)
    gate: asyncio.Event | None = None
    has: bool = True
    began: asyncio.Event = field(default_factory=asyncio.Event)

    async def find(self, key: CacheKey, headers: Headers) -> Copy | None:
        self.asked.append(key.target)
        self.began.set()
        if self.gate is not None:
            await self.gate.wait()
        if not self.has:
            return None
        place = ScriptedPlace("her", self.body, *self.acts) if self.body else None
        fields = Headers((*self.headers, ("Cache-Status", HERS)))
        digest = digest_of(self.body) if self.body else None
        return Copy("sibling", self.status, fields, len(self.body), digest, place)


def world_of(tier: FakeTier, policy: RoutePolicy = PUBLIC, **options: object) -> World:
    world = World(policy, tiers=(tier,), **options)  # type: ignore[arg-type]
    dated = ("Date", format_date(world.clock.now() - 10))
    tier.headers = (*tier.headers, dated)
    return world


async def test_a_copy_is_served_and_kept_and_the_origin_never_hears_of_it() -> None:
    world = world_of(tier := FakeTier())
    world.origin.down = Trouble.REFUSED
    answer = await world.ask("/a")
    assert await body_of(answer) == BODY
    assert answer.headers.get("Age") == "10"
    status = answer.headers.get("Cache-Status") or ""
    assert status.startswith(f"{HERS}, rock;fwd=uri-miss")
    assert "detail=sibling" in status
    await world.settle()
    world.clock.advance(5)
    again = await world.ask("/a")
    assert again.headers.get("Age") == "15"
    assert (again.headers.get("Cache-Status") or "").startswith("rock;hit;ttl=45")
    assert await body_of(again) == BODY
    assert (tier.asked, world.origin.count()) == (["/a"], 0)
    await world.close()


async def test_many_at_once_take_one_copy() -> None:
    world = world_of(tier := FakeTier(gate=asyncio.Event()))
    asking = [asyncio.ensure_future(world.get("/a")) for _ in range(5)]
    await tier.began.wait()
    assert tier.gate is not None
    tier.gate.set()
    assert {got[1] for got in await asyncio.gather(*asking)} == {BODY}
    assert tier.asked == ["/a"]
    await world.close()


async def test_a_stale_copy_is_confirmed_by_the_origin_before_it_is_used() -> None:
    tier = FakeTier(headers=(("Cache-Control", "max-age=5"), ("Age", "10"), ("ETag", '"1"')))
    world = world_of(tier)
    world.page("/a", BODY, "Cache-Control: max-age=60", 'ETag: "1"')
    status, body, told = await world.get("/a")
    assert (status, body) == (200, BODY)
    assert "fwd=stale;fwd-status=304" in told
    assert world.origin.sent_bytes == 0
    await world.close()


async def test_a_stale_copy_is_used_when_the_origin_is_gone_and_that_is_allowed() -> None:
    lasting = (("Cache-Control", "max-age=5, stale-if-error=600"), ("Age", "10"))
    world = world_of(FakeTier(headers=lasting))
    world.origin.down = Trouble.REFUSED
    assert (await world.get("/a"))[:2] == (200, BODY)
    await world.close()
    strict = (("Cache-Control", "max-age=5, must-revalidate"), ("Age", "10"))
    world = world_of(FakeTier(headers=strict))
    world.origin.down = Trouble.REFUSED
    assert (await world.get("/a"))[0] == 504
    await world.close()


async def test_a_copy_with_wrong_bytes_is_never_served_and_the_origin_is_asked() -> None:
    for act in (Act(flip_at=2), Act(ends_at=3), Act(instead=b"else")):
        world = world_of(FakeTier(body=b"small", acts=(act,)))
        world.page("/a", b"true")
        assert (await world.get("/a"))[:2] == (200, b"true")
        await world.settle()
        assert world.store.statistics().blob_count == 1
        await world.close()


@pytest.mark.parametrize(
    "headers",
    [(("Cache-Control", "no-store"),), (("Cache-Control", "private"),), (("Set-Cookie", "a=b"),)],
)
async def test_what_may_not_be_stored_is_not_taken(headers: tuple[tuple[str, str], ...]) -> None:
    world = world_of(FakeTier(headers=headers))
    world.page("/a", b"mine")
    assert (await world.get("/a"))[:2] == (200, b"mine")
    await world.close()


@pytest.mark.parametrize("data_class", [DataClass.SENSITIVE, "something"])
async def test_a_tier_is_never_asked_for_what_is_not_public(data_class: DataClass) -> None:
    world = world_of(tier := FakeTier(), RoutePolicy(data_class=data_class))
    world.page("/a", b"mine")
    assert (await world.get("/a"))[:2] == (200, b"mine")
    assert tier.asked == []
    await world.close()


async def test_a_purge_while_the_copy_is_on_its_way_takes_it_too() -> None:
    world = world_of(tier := FakeTier(gate=asyncio.Event()))
    world.page("/a", b"mine")
    asking = asyncio.ensure_future(world.get("/a"))
    await tier.began.wait()
    await world.rooms.purges.purge(by_host("www.example.org"), Mode.HARD)
    assert tier.gate is not None
    tier.gate.set()
    assert (await asking)[:2] == (200, b"mine")
    await world.settle()
    assert (await world.get("/a"))[1] == b"mine"
    await world.close()


async def test_after_a_write_the_origin_is_asked_and_no_tier() -> None:
    world = world_of(tier := FakeTier())
    world.page("/a", b"mine")
    await world.ask("/a", method="POST", body=b"x")
    assert (await world.get("/a"))[1] == b"mine"
    assert tier.asked == []
    await world.close()


async def test_a_body_that_is_here_already_is_not_fetched_again() -> None:
    world = world_of(FakeTier())
    await world.get("/a")
    await world.settle()
    taken = [await world.get("/b"), await world.get("/b")]
    assert [got[1] for got in taken] == [BODY, BODY]
    assert world.store.statistics().blob_count == 1
    await world.close()


async def test_a_tier_without_it_costs_one_question() -> None:
    world = world_of(tier := FakeTier(has=False))
    world.origin.down = Trouble.REFUSED
    assert (await world.get("/a"))[0] == 502
    assert tier.asked == ["/a"]
    with pytest.raises(Unavailable):
        await world.origin.send("GET", "/a", Headers())
    await world.close()
