"""Other protocols and interim answers through the edge: never stored, never for another one."""

from __future__ import annotations

import asyncio

import pytest

from skerry.wire.message import BodyAborted, Headers
from skerry.wire.testing import MemoryDuplex, pair
from tests.cdn.world import Page, World, body_of

OFFER = ("Connection: keep-alive, Upgrade", "Upgrade: h2c, WebSocket", "Sec-WebSocket-Key: k")
TOOK = (("Connection", "upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Accept", "a"))


def world() -> World:
    return World(upgrades=frozenset({"websocket"}))


async def opened(made: World) -> tuple[MemoryDuplex, MemoryDuplex, asyncio.Task[None]]:
    """The visitor's end, the origin's end, and the tunnel between them."""
    near, origin = pair()
    made.origin.pages["/ws"] = Page(b"", TOOK, 101, sized=False, duplex=near)
    answer = await made.ask("/ws", *OFFER)
    assert answer.status == 101
    assert answer.tunnel is not None
    visitor, door = pair()
    task = asyncio.get_running_loop().create_task(answer.tunnel(door))  # type: ignore[arg-type]
    return visitor, origin, task


async def test_an_offer_goes_on_as_far_as_the_route_allows_it() -> None:
    made = world()
    visitor, origin, task = await opened(made)
    method, target, sent = made.origin.asked[0]
    assert (method, target) == ("GET", "/ws")
    assert (sent.joined("Connection"), sent.joined("Upgrade")) == ("upgrade", "WebSocket")
    assert sent.get("Sec-WebSocket-Key") == "k"
    await visitor.write(b"ping")
    assert await anext(origin) == b"ping"
    await origin.write(b"pong")
    assert await anext(visitor) == b"pong"
    assert made.rooms.front._rooms.tunnels.statistics().open == {"site": 1}
    await visitor.finish()
    with pytest.raises(StopAsyncIteration):
        await anext(origin)
    await origin.write(b"last words")
    await origin.finish()
    assert [chunk async for chunk in visitor] == [b"last words"]
    await task
    text = made.metrics.expose()
    assert 'skerry_edge_tunnels_ended_total{end="finished"} 1' in text
    assert 'skerry_edge_tunnel_bytes_total{to="client"} 14' in text
    assert made.origin.exchanges[0].closed
    await made.close()


async def test_a_tunnel_that_one_side_cuts_ends_for_the_other() -> None:
    made = world()
    visitor, origin, task = await opened(made)
    visitor.cut()
    await task
    with pytest.raises((StopAsyncIteration, BodyAborted)):
        await anext(origin)
    assert 'skerry_edge_tunnels_ended_total{end="cut"} 1' in made.metrics.expose()
    await made.close()


async def test_a_heartbeat_keeps_a_tunnel_and_silence_ends_it() -> None:
    made = world()
    visitor, origin, task = await opened(made)
    for _ in range(100):  # 2,500 s of a heartbeat of 25 s
        made.clock.advance(25)
        await origin.write(b"beat")
        assert await anext(visitor) == b"beat"
    assert not task.done()
    for _ in range(30):
        made.clock.advance(30)
        for _ in range(10):
            await asyncio.sleep(0)
    await asyncio.wait_for(task, 5)
    assert 'skerry_edge_tunnels_ended_total{end="silent"} 1' in made.metrics.expose()
    await made.close()


async def test_a_half_that_has_ended_makes_the_other_one_s_silence_short() -> None:
    made = world()
    visitor, _, task = await opened(made)
    await visitor.finish()
    for _ in range(5):
        for _ in range(10):
            await asyncio.sleep(0)
        made.clock.advance(30)
    await asyncio.wait_for(task, 5)
    await made.close()


async def test_a_slow_visitor_makes_the_origin_wait() -> None:
    made = world()
    visitor, origin, task = await opened(made)
    written = 0
    while written < 64 << 20:
        try:
            await asyncio.wait_for(origin.write(b"x" * 65536), 0.1)
        except TimeoutError:
            break
        written += 65536
    assert written <= 1 << 20
    got = 0
    while got < written:
        got += len(await anext(visitor))
    visitor.cut()
    await task
    await made.close()


async def test_another_answer_than_101_is_passed_on_and_not_stored() -> None:
    made = world()
    made.page("/ws", b"not here")
    for _ in range(2):
        answer = await made.ask("/ws", *OFFER)
        assert (answer.status, await body_of(answer)) == (200, b"not here")
    assert made.origin.count() == 2
    assert list(made.variants.all()) == []
    await made.close()


async def test_on_a_route_that_does_not_allow_it_the_offer_is_left_out() -> None:
    made = World()
    made.page("/ws", b"page")
    answer = await made.ask("/ws", *OFFER)
    assert await body_of(answer) == b"page"
    _, _, sent = made.origin.asked[0]
    assert "Upgrade" not in sent
    assert "Connection" not in sent
    await made.settle()
    await made.close()


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ((("Upgrade", "h2c"),), 502),
        ((("Upgrade", "websocket, h2c"),), 502),
    ],
)
async def test_an_origin_that_switches_to_what_was_not_offered_is_at_fault(
    fields: tuple[tuple[str, str], ...], status: int
) -> None:
    made = world()
    near, _ = pair()
    made.origin.pages["/ws"] = Page(b"", fields, 101, sized=False, duplex=near)
    assert (await made.ask("/ws", *OFFER)).status == status
    assert near.closed
    await made.close()


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_an_offer_of_http_2_is_never_forwarded(method: str) -> None:
    made = world()
    made.page("/ws", b"page")
    answer = await made.ask("/ws", "Connection: upgrade, http2-settings", "Upgrade: h2c",
                            "HTTP2-Settings: AAMAAABkAAQAAP__", method=method)  # fmt: skip
    assert answer.status == 200
    _, _, sent = made.origin.asked[0]
    assert not [name for name in ("Upgrade", "Connection", "HTTP2-Settings") if name in sent]
    await body_of(answer)
    await made.settle()
    await made.close()


HINT = Headers((("Link", "</a.css>; rel=preload"), ("Connection", "x-hop"), ("X-Hop", "1")))


async def test_early_hints_reach_the_one_who_asked_without_fields_of_the_hop() -> None:
    made = World()
    page = made.page("/a", b"page")
    page.interim = ((103, HINT),)
    seen: list[tuple[int, Headers]] = []
    answer = await made.ask("/a", interim=lambda *hint: seen.append(hint))
    assert await body_of(answer) == b"page"
    assert seen == [(103, Headers((("Link", "</a.css>; rel=preload"),)))]
    await made.settle()
    assert (await made.get("/a"))[2].startswith("hit")
    hints: list[tuple[int, Headers]] = []
    await body_of(await made.ask("/a", interim=lambda *hint: hints.append(hint)))
    assert hints == []  # nothing of them was stored
    await made.close()


async def test_early_hints_go_to_no_one_who_waits_for_the_same() -> None:
    made = World()
    made.page("/a", b"page").interim = ((103, HINT),)
    made.origin.gate = asyncio.Event()
    seen: list[str] = []
    asking = [
        asyncio.ensure_future(made.ask("/a", interim=lambda *hint, who=who: seen.append(who)))
        for who in ("first", "second")
    ]
    while made.origin.count() < 1:  # noqa: ASYNC110
        await asyncio.sleep(0)
    made.origin.gate.set()
    for answer in await asyncio.gather(*asking):
        assert await body_of(answer) == b"page"
    assert made.origin.count() == 1
    assert seen == ["first"]
    await made.settle()
    await made.close()


async def test_early_hints_pass_on_a_route_that_stores_nothing_and_for_a_write() -> None:
    made = World()
    made.page("/a", b"page", "Cache-Control: no-store").interim = ((103, HINT),)
    for method in ("GET", "POST"):
        seen: list[int] = []
        answer = await made.ask(
            "/a", method=method, interim=lambda status, fields: seen.append(status)  # noqa: B023
        )  # fmt: skip
        await body_of(answer)
        assert seen == [103]
    await made.close()
