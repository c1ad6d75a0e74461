"""Many askers, one request; and who may not be answered with another one's answer."""

from __future__ import annotations

import asyncio

import pytest

from skerry.cdn.core.purge import Mode, by_host
from skerry.cdn.ports import DataClass, RoutePolicy
from skerry.upstream.ports import Trouble
from skerry.wire.message import BodyAborted, Headers
from tests.cdn.world import Page, World, body_of, status_of


async def gather(world: World, count: int, *fields: str) -> list[tuple[int, bytes, str]]:
    world.origin.gate = asyncio.Event()
    tasks = [asyncio.ensure_future(world.get("/a", *fields)) for _ in range(count)]
    for _ in range(20):
        await asyncio.sleep(0)
    world.origin.gate.set()
    async with asyncio.timeout(10):
        return await asyncio.gather(*tasks)


async def test_fifty_askers_cost_one_request() -> None:
    world = World()
    world.page("/a", b"x" * 300_000)
    answers = await gather(world, 50)
    assert {answer[:2] for answer in answers} == {(200, b"x" * 300_000)}
    assert world.origin.count() == 1
    assert sum("collapsed" in answer[2] for answer in answers) == 49
    await world.close()


async def test_an_asker_who_leaves_stops_nothing_for_the_others() -> None:
    world = World()
    world.page("/a", b"x" * 300_000)
    world.origin.gate = asyncio.Event()
    first = asyncio.ensure_future(world.get("/a"))
    await asyncio.sleep(0)
    second = asyncio.ensure_future(world.get("/a"))
    for _ in range(5):
        await asyncio.sleep(0)
    first.cancel()
    world.origin.gate.set()
    assert (await second)[1] == b"x" * 300_000
    assert world.origin.count() == 1
    await world.close()


async def test_an_answer_nobody_waits_for_any_more_is_let_go() -> None:
    world = World()
    world.page("/a", b"private", "Cache-Control: no-store")
    world.origin.gate = asyncio.Event()
    only = asyncio.ensure_future(world.get("/a"))
    for _ in range(5):
        await asyncio.sleep(0)
    only.cancel()
    world.origin.gate.set()
    await world.settle()
    assert [exchange.closed for exchange in world.origin.exchanges] == [True]
    await world.close()


async def test_what_may_not_be_stored_is_fetched_by_each_for_itself() -> None:
    world = World()
    numbers = iter(range(100))

    def page(method: str, headers: Headers) -> Page:
        return Page(str(next(numbers)).encode(), (("Cache-Control", "private"),))

    world.origin.pages["/a"] = page
    answers = await gather(world, 5)
    assert len({answer[1] for answer in answers}) == 5
    assert world.origin.count() == 5
    # From now on nobody waits for another one's answer in vain.
    world.origin.gate = asyncio.Event()
    tasks = [asyncio.ensure_future(world.get("/a")) for _ in range(5)]
    for _ in range(20):
        await asyncio.sleep(0)
    assert world.origin.count() == 10
    world.origin.gate.set()
    await asyncio.gather(*tasks)
    await world.close()


async def test_askers_of_a_dead_origin_share_its_failure() -> None:
    world = World()
    world.origin.down = Trouble.REFUSED
    answers = await gather(world, 10)
    assert {answer[0] for answer in answers} == {502}
    assert world.origin.count() == 1
    await world.close()


async def test_each_variant_is_its_own_and_a_joiner_of_the_wrong_one_asks_itself() -> None:
    world = World()

    def page(method: str, headers: Headers) -> Page:
        language = headers.get("Accept-Language") or ""
        vary = (("Vary", "Accept-Language"), ("Cache-Control", "max-age=60"))
        return Page(language.encode(), vary)

    world.origin.pages["/a"] = page
    world.origin.gate = asyncio.Event()
    languages = ("de", "en", "de", "en")
    tasks = [asyncio.ensure_future(world.get("/a", f"Accept-Language: {x}")) for x in languages]
    for _ in range(10):
        await asyncio.sleep(0)
    world.origin.gate.set()
    answers = await asyncio.gather(*tasks)
    assert [answer[1] for answer in answers] == [b"de", b"en", b"de", b"en"]
    assert world.origin.count() == 2
    await world.settle()
    assert (await world.get("/a", "Accept-Language: DE "))[2].startswith("hit")
    assert (await world.get("/a", "Accept-Language: fr"))[2].startswith("fwd=vary-miss")
    await world.close()


async def test_nobody_joins_a_request_that_left_before_a_purge() -> None:
    world = World()
    world.page("/a", b"old")
    world.origin.gate = asyncio.Event()
    early = asyncio.ensure_future(world.get("/a"))
    for _ in range(5):
        await asyncio.sleep(0)
    await world.rooms.purges.purge(by_host("www.example.org"), Mode.HARD)
    late = asyncio.ensure_future(world.get("/a"))
    for _ in range(5):
        await asyncio.sleep(0)
    assert world.origin.count() == 2, "it does not even wait"
    world.page("/a", b"new")
    world.origin.gate.set()
    await early
    assert (await late)[1] == b"new"
    await world.settle()
    world.page("/a", b"newest")
    assert (await world.get("/a"))[1] == b"new"
    assert world.origin.count() == 2
    await world.close()


async def test_credentials_and_cookies_are_not_shared() -> None:
    world = World()
    world.page("/a", b"mine", "Cache-Control: max-age=60")
    assert "stored" not in (await world.get("/a", "Authorization: Bearer x"))[2]
    assert (await world.get("/a"))[2].startswith("fwd=uri-miss")
    world.page("/b", b"shared", "Cache-Control: public, max-age=60")
    assert "stored" in (await world.get("/b", "Authorization: Bearer x"))[2]
    world.page("/c", b"cookie", "Cache-Control: max-age=60", "Set-Cookie: a=1")
    answer = await world.ask("/c")
    assert answer.headers.get("Set-Cookie") == "a=1"
    assert "detail=set-cookie" in status_of(answer)
    await body_of(answer)
    assert (await world.get("/c"))[2].startswith("fwd=uri-miss")
    await world.close()


async def test_a_route_may_store_without_the_cookie() -> None:
    world = World(RoutePolicy(data_class=DataClass.PUBLIC, store_cookies=True))
    world.page("/c", b"cookie", "Cache-Control: max-age=60", "Set-Cookie: a=1")
    assert (await world.ask("/c")).headers.get("Set-Cookie") == "a=1"
    await world.settle()
    again = await world.ask("/c")
    assert status_of(again).startswith("hit")
    assert "Set-Cookie" not in again.headers
    await world.close()


@pytest.mark.parametrize("policy", [RoutePolicy(), RoutePolicy(fresh_seconds=60)])
async def test_what_is_sensitive_or_of_no_known_class_is_never_stored(policy: RoutePolicy) -> None:
    world = World(policy)
    world.page("/a", b"secret", "Cache-Control: public, max-age=60")
    for _ in range(2):
        assert (await world.get("/a"))[:2] == (200, b"secret")
    assert world.origin.count() == 2
    assert world.store.statistics().blob_count == 0
    assert world.variants.statistics().entry_count == 0
    await world.close()


async def test_a_body_that_is_cut_goes_on_where_it_was_with_a_strong_validator() -> None:
    world = World()
    page = world.page("/a", b"0123456789" * 20_000, "Cache-Control: max-age=60", 'ETag: "1"')
    page.cut_at = 65536
    answer = await world.ask("/a")
    page.cut_at = None
    assert await body_of(answer) == page.body
    assert world.origin.asked[1][2].get("Range", "").startswith("bytes=")
    await world.settle()
    assert (await world.get("/a"))[1] == page.body
    await world.close()


async def test_a_full_store_still_serves_and_stores_nothing() -> None:
    world = World()
    world.store.full = True
    world.page("/a", b"x" * 200_000, "Cache-Control: max-age=60", 'ETag: "1"')
    assert (await world.get("/a"))[1] == b"x" * 200_000
    await world.settle()
    assert (await world.get("/a"))[1] == b"x" * 200_000
    assert world.variants.statistics().entry_count == 0
    await world.close()


@pytest.mark.parametrize("sized", [True, False])
async def test_what_there_is_no_room_for_is_not_called_stored(sized: bool) -> None:
    """RFC 9211 section 2.5."""
    world = World()
    world.store.full = True
    world.page("/a", b"x" * 100_000, "Cache-Control: max-age=60", sized=sized)
    assert "stored" not in (await world.get("/a"))[2]
    world.store.full = False
    world.page("/b", b"x" * 100_000, "Cache-Control: max-age=60", sized=sized)
    assert "stored" in (await world.get("/b"))[2]
    await world.close()


async def test_the_answer_of_one_who_left_is_given_to_nobody_else() -> None:
    world = World()
    numbers = iter(range(100))

    def page(method: str, headers: Headers) -> Page:
        return Page(str(next(numbers)).encode(), (("Cache-Control", "private"),))

    world.origin.pages["/a"] = page
    world.origin.gate = asyncio.Event()
    first = asyncio.ensure_future(world.get("/a"))
    for _ in range(5):
        await asyncio.sleep(0)
    second = asyncio.ensure_future(world.get("/a"))
    for _ in range(5):
        await asyncio.sleep(0)
    assert world.origin.count() == 1
    first.cancel()
    world.origin.gate.set()
    assert (await second)[1] == b"1"
    await world.settle()
    assert world.origin.exchanges[0].closed
    await world.close()


async def test_who_wants_nothing_stored_is_not_answered_with_an_earlier_request() -> None:
    world = World()
    world.page("/a", b"x")
    world.origin.gate = asyncio.Event()
    early = asyncio.ensure_future(world.get("/a"))
    for _ in range(5):
        await asyncio.sleep(0)
    late = asyncio.ensure_future(world.get("/a", "Cache-Control: no-cache"))
    for _ in range(5):
        await asyncio.sleep(0)
    assert world.origin.count() == 2
    world.origin.gate.set()
    await asyncio.gather(early, late)
    await world.close()


async def test_a_write_invalidates_what_is_still_on_its_way_in() -> None:
    world = World()
    world.page("/a", b"x" * 200_000, "Cache-Control: max-age=60", 'ETag: "1"')
    world.origin.rest = asyncio.Event()
    growing = await world.ask("/a")
    await world.ask("/a", method="DELETE", body=b"now")
    world.origin.rest.set()
    await body_of(growing)
    await world.settle()
    assert not (await world.get("/a"))[2].startswith("hit")
    await world.close()


async def test_a_body_that_is_cut_is_not_joined_with_another_representation() -> None:
    world = World()
    page = world.page("/a", b"old" * 60_000, "Cache-Control: max-age=60", 'ETag: "1"')
    page.cut_at = 65536
    answer = await world.ask("/a")
    world.page("/a", b"new" * 60_000, "Cache-Control: max-age=60", 'ETag: "2"')
    with pytest.raises(BodyAborted):
        await body_of(answer)
    await world.settle()
    assert (await world.get("/a"))[1] == b"new" * 60_000
    await world.close()


async def test_readers_at_once_of_what_cannot_be_kept_each_get_all_of_it() -> None:
    world = World()
    world.store.full = True
    world.page("/a", b"0123456789" * 40_000, "Cache-Control: max-age=60", 'ETag: "1"')
    answers = await gather(world, 5)
    assert {answer[:2] for answer in answers} == {(200, b"0123456789" * 40_000)}
    await world.close()


async def test_a_stream_of_events_is_never_stored_and_nobody_waits_for_it() -> None:
    made = World()
    made.page("/events", b"data: x\n\n", "Content-Type: text/event-stream",
              "Cache-Control: max-age=600", sized=False)  # fmt: skip
    made.origin.gate = asyncio.Event()
    asking = [
        asyncio.ensure_future(made.ask("/events", "Accept: text/event-stream")) for _ in range(3)
    ]
    async with asyncio.timeout(10):
        while made.origin.count() < 3:  # noqa: ASYNC110
            await asyncio.sleep(0)
    made.origin.gate.set()
    for answer in await asyncio.gather(*asking):
        assert await body_of(answer) == b"data: x\n\n"
        assert "stored" not in status_of(answer)
    await body_of(await made.ask("/events"))  # fetched without saying what for
    await made.settle()
    assert list(made.variants.all()) == []
    await made.close()
