"""What follows a request with `Upgrade`: another protocol, or HTTP as before."""

from __future__ import annotations

import asyncio
import socket
import struct
from dataclasses import dataclass, field

from skerry.adapters.http_server_metrics import DoorMetrics
from skerry.telemetry.metrics import Registry
from skerry.wire.message import Answer, BodyAborted, Duplex, Headers, Request
from skerry.wire.testing import MemoryDuplex, pair
from tests.adapters.http_door import Client, Front, connect, guarded, opened, until
from tests.rig.telling import sample_of

UPGRADE = b"Connection: upgrade\r\nUpgrade: websocket\r\n"
ASK = b"GET /ws HTTP/1.1\r\nHost: node\r\n" + UPGRADE + b"\r\n"
PLAIN = b"GET /plain HTTP/1.1\r\nHost: node\r\n\r\n"
SWITCHED = Headers((("Connection", "upgrade"), ("Upgrade", "websocket")))


async def join(source: Duplex, sink: Duplex) -> None:
    async for chunk in source.chunks():
        await sink.write(chunk)
    await sink.finish()


@dataclass
class Switching:
    """A route that joins each client to one end of a memory connection."""

    offers: list[str] = field(default_factory=list)
    ends: list[MemoryDuplex] = field(default_factory=list)
    over: list[str] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    refuse: bool = False

    async def __call__(self, request: Request) -> Answer:
        body = b"".join([chunk async for chunk in request.body])
        self.offers.append(request.headers.joined("Upgrade"))
        if self.refuse or not self.offers[-1]:
            return Answer(200, body=b"plain:" + body)
        await self.gate.wait()
        near, far = pair()
        self.ends.append(far)

        async def tunnel(client: Duplex) -> None:
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(join(client, near))
                    group.create_task(join(near, client))
                self.over.append("ended")
            except* BodyAborted:
                self.over.append("cut")
            except* asyncio.CancelledError:
                self.over.append("cancelled")
            finally:
                await near.close()

        return Answer(101, SWITCHED, tunnel=tunnel)


def front(**more: bool) -> tuple[Front, Switching]:
    route = Switching(**more)
    route.gate.set()
    made = Front({"/ws": route})
    made.always("/plain", Answer(200, body=b"as before"))
    return made, route


async def take(client: Client, count: int) -> bytes:
    return await guarded(client.reader.readexactly(count))


def reset(client: Client) -> None:
    """Leaves without a word: what a half-closed connection could not be told from otherwise."""
    raw = client.writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.leave()


async def switched(client: Client, route: Switching) -> MemoryDuplex:
    status, headers = await client.head()
    assert (status, headers.get("upgrade")) == (101, "websocket")
    assert "content-length" not in headers
    assert "transfer-encoding" not in headers
    return route.ends[-1]


async def test_bytes_go_both_ways_and_each_half_ends_by_itself() -> None:
    made, route = front()
    metrics = Registry()
    async with opened(made) as door:
        DoorMetrics(metrics).add(door)
        client = await connect(door)
        await client.send(ASK + b"first")
        end = await switched(client, route)
        assert await guarded(anext(end)) == b"first"
        assert door.statistics().tunnels == 1
        assert sample_of(metrics, 'skerry_http_tunnels{door="registry"}') == 1
        await end.write(b"answer")
        assert await take(client, 6) == b"answer"
        client.writer.write_eof()
        assert [chunk async for chunk in end] == []
        await end.write(b"still here")
        assert await take(client, 10) == b"still here"
        await end.finish()
        assert await client.ended()
        await until(lambda: route.over == ["ended"])
        assert door.statistics().tunnels == 0
        assert sample_of(metrics, 'skerry_http_tunnels{door="registry"}') == 0


async def test_what_is_sent_before_the_answer_is_held_and_bounded() -> None:
    made, route = front()
    route.gate.clear()
    async with opened(made) as door:
        client = await connect(door)
        client.writer.write(ASK + b"x" * (8 << 20))
        await until(lambda: route.offers == ["websocket"])
        connection = next(iter(door._state.connections))
        await until(lambda: connection.flow.read_paused)
        assert connection.switching is not None
        assert len(connection.switching._held) < 1 << 20
        route.gate.set()
        end = await switched(client, route)
        got = 0
        while got < 8 << 20:
            got += len(await guarded(anext(end)))
        client.leave()


async def test_a_reader_that_stops_stops_the_other_side() -> None:
    made, route = front()
    async with opened(made) as door:
        client = await connect(door, receive_buffer_bytes=65536)
        await client.send(ASK)
        end = await switched(client, route)
        sent = 0
        piece = b"y" * 65536
        while sent < 64 << 20:
            try:
                await asyncio.wait_for(end.write(piece), 0.2)
            except TimeoutError:
                break
            sent += len(piece)
        assert sent < 16 << 20
        got = b"".join([await take(client, 65536) for _ in range(sent // 65536)])
        assert got == piece * (sent // 65536)
        client.leave()


async def test_what_follows_an_answer_other_than_101_is_http() -> None:
    made, _ = front(refuse=True)
    async with opened(made) as door:
        client = await connect(door)
        await client.send(ASK + PLAIN)
        assert (await client.answer()).body == b"plain:"
        assert (await client.answer()).body == b"as before"
        assert (await client.get("/plain")).body == b"as before"
        assert made.asked == ["/ws", "/plain", "/plain"]


async def test_a_body_behind_an_offer_is_a_body_and_no_request() -> None:
    made, route = front()
    hidden = b"GET /smuggled HTTP/1.1\r\nHost: node\r\n\r\n"
    head = b"POST /ws HTTP/1.1\r\nHost: node\r\nUpgrade: h2c\r\nConnection: upgrade\r\n"
    sized = head + b"Content-Length: %d\r\n\r\n" % len(hidden) + hidden
    chunked = head + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (
        len(hidden), hidden)  # fmt: skip
    async with opened(made) as door:
        for cut in (False, True):
            client = await connect(door)
            for data in (sized, chunked, PLAIN):
                if cut:
                    for byte in data:
                        await client.send(bytes([byte]))
                else:
                    await client.send(data)
            assert (await client.answer()).body == b"plain:" + hidden
            assert (await client.answer()).body == b"plain:" + hidden
            assert (await client.answer()).body == b"as before"
        assert made.asked == ["/ws", "/ws", "/plain"] * 2
        assert route.offers == [""] * 4  # who cannot switch is not shown the offer


async def test_http_1_0_cannot_switch() -> None:
    made, route = front()
    async with opened(made) as door:
        client = await connect(door)
        await client.send(ASK.replace(b"1.1", b"1.0"))
        assert (await client.answer()).body == b"plain:"
        assert route.offers == [""]


async def test_an_offer_waits_its_turn_behind_earlier_requests() -> None:
    made, route = front()
    slow = asyncio.Event()

    async def answer_late(request: Request) -> Answer:
        await slow.wait()
        return Answer(200, body=b"late")

    made.routes["/late"] = answer_late
    async with opened(made) as door:
        client = await connect(door)
        await client.send(PLAIN.replace(b"/plain", b"/late") + ASK + b"behind")
        await until(lambda: made.asked == ["/late"])
        slow.set()
        assert (await client.answer()).body == b"late"
        end = await switched(client, route)
        assert await guarded(anext(end)) == b"behind"
        client.leave()


async def test_a_client_that_leaves_ends_the_tunnel_whoever_is_reading() -> None:
    made, route = front()
    async with opened(made) as door:
        client = await connect(door)
        await client.send(ASK)
        await switched(client, route)
        reset(client)
        await until(lambda: len(route.over) == 1)
        half = await connect(door)
        await half.send(ASK)
        end = await switched(half, route)
        half.writer.write_eof()
        assert [chunk async for chunk in end] == []
        reset(half)
        await end.write(b"is somebody there?")  # the kernel tells of it only to who writes
        await until(lambda: len(route.over) == 2)


async def test_a_door_that_drains_ends_its_tunnels_at_once() -> None:
    made, route = front()
    async with opened(made) as door:
        client = await connect(door)
        await client.send(ASK)
        await switched(client, route)
        await guarded(door.close(3600.0))
        await until(lambda: len(route.over) == 1)
        assert await client.ended()


async def test_a_101_that_nobody_asked_for_is_a_fault_of_the_handler() -> None:
    async def tunnel(client: Duplex) -> None:
        raise AssertionError("never opened")

    made = Front({})
    made.always("/plain", Answer(101, SWITCHED, tunnel=tunnel))
    async with opened(made) as door:
        client = await connect(door)
        assert (await client.get("/plain")).status == 500


async def test_interim_answers_come_before_the_answer_and_only_in_http_1_1() -> None:
    async def hinting(request: Request) -> Answer:
        if request.interim is not None:
            request.interim(103, Headers((("Link", "</a.css>"), ("Content-Length", "9"))))
            request.interim(103, Headers((("Bad\n", "x"), ("X-Two", "a\r\nb"), ("X-Three", "3"))))
        return Answer(200, body=b"ok")

    async with opened(Front({"/hint": hinting})) as door:
        client = await connect(door)
        await client.send(b"GET /hint HTTP/1.1\r\nHost: node\r\n\r\n")
        status, headers = await client.head()
        assert (status, list(headers)) == (103, [("link", "</a.css>")])
        status, headers = await client.head()
        assert (status, list(headers)) == (103, [("x-three", "3")])
        assert (await client.answer()).body == b"ok"
        old = await connect(door)
        await old.send(b"GET /hint HTTP/1.0\r\nHost: node\r\n\r\n")
        assert (await guarded(old.reader.read())).startswith(b"HTTP/1.1 200")


async def test_an_interim_answer_after_the_answer_is_left_out() -> None:
    kept: list[Request] = []

    async def hinting(request: Request) -> Answer:
        kept.append(request)
        return Answer(200, body=b"ok")

    async with opened(Front({"/hint": hinting})) as door:
        client = await connect(door)
        assert (await client.get("/hint")).body == b"ok"
        assert kept[0].interim is not None
        kept[0].interim(103, Headers((("Link", "</a.css>"),)))
        assert (await client.get("/hint")).status == 200
