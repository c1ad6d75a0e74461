"""The door over real sockets: order, bodies, breaks and leaving, on asyncio's loop and uvloop."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import uvloop
from http_door import Client, Front, GrowingFile, connect, guarded, opened, request, until

from skerry.adapters.http_server import Door, DoorError
from skerry.adapters.http_server_metrics import DoorMetrics
from skerry.base.clock import SystemClock
from skerry.telemetry.metrics import Registry
from skerry.wire.message import Answer, BodyAborted, Headers, Request
from tests.rig.telling import sample_of

POLICIES = [asyncio.DefaultEventLoopPolicy(), uvloop.EventLoopPolicy()]
pytestmark = pytest.mark.filterwarnings("ignore:Overriding the .event_loop_policy")


@pytest.fixture(params=POLICIES, ids=["asyncio", "uvloop"])
def event_loop_policy(request: pytest.FixtureRequest) -> asyncio.AbstractEventLoopPolicy:
    return request.param  # type: ignore[no-any-return]


async def test_one_connection_carries_many_requests() -> None:
    front = Front()
    front.always("/a", Answer(200, Headers([("X-Y", "z")]), b"first"))
    async with opened(front) as door:
        client = await connect(door)
        for _ in range(3):
            got = await client.get("/a")
            assert (got.status, got.body, got.headers.get("x-y")) == (200, b"first", "z")
            assert got.headers.get("server") == "skerry"
            assert got.headers.get("date", "").endswith("GMT")
        assert (await client.get("/b")).status == 404
        assert door.statistics().connections == 1


async def test_a_request_arrives_whole_at_the_handler() -> None:
    seen: list[Request] = []

    async def keep(request: Request) -> Answer:
        seen.append(request)
        return Answer(200, body=b"".join([chunk async for chunk in request.body]))

    async with opened(Front({"/a b": keep})) as door:
        client = await connect(door)
        await client.send(
            request("/a%20b?n=1&m=%2F", "X-Bin: \xe9", "Transfer-Encoding: chunked", method="PUT")
            + b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
        )
        assert (await client.answer()).body == b"abcde"
    (got,) = seen
    assert (got.method, got.path, got.raw_path) == ("PUT", "/a b", "/a%20b")
    assert (got.query_value("m"), got.client, got.scheme) == ("/", "127.0.0.1", "http")


async def test_pipelined_requests_are_answered_in_order() -> None:
    gate = asyncio.Event()

    async def slow(request: Request) -> Answer:
        await gate.wait()
        return Answer(200, body=b"slow")

    front = Front({"/slow": slow})
    front.always("/quick", Answer(200, body=b"quick"))
    async with opened(front) as door:
        client = await connect(door)
        await client.send(request("/slow") + request("/quick") + request("/slow"))
        await until(lambda: front.asked == ["/slow"])
        gate.set()
        assert [(await client.answer()).body for _ in range(3)] == [b"slow", b"quick", b"slow"]


async def test_a_large_file_leaves_whole_and_the_connection_goes_on(tmp_path: Path) -> None:
    data = os.urandom(1 << 20) * 48
    front = Front()
    segment = GrowingFile.whole(tmp_path / "blob", data)
    front.always("/blob", Answer(200, body=segment))
    front.always("/next", Answer(200, body=b"next"))
    async with opened(front) as door:
        client = await connect(door)
        await client.send(request("/next") + request("/blob") + request("/next"))
        assert (await client.answer()).body == b"next"
        got = await client.answer()
        assert got.headers.get("content-length") == str(len(data))
        assert hashlib.sha256(got.body).digest() == hashlib.sha256(data).digest()
        assert (await client.answer()).body == b"next"
        assert segment.closed.is_set()
        assert (await client.get("/next")).body == b"next"
        assert door.statistics().sent_bytes == len(data) + 12


async def test_a_file_waits_for_the_bytes_before_it(tmp_path: Path) -> None:
    sent = 0
    front = Front()

    async def fill() -> AsyncIterator[bytes]:
        nonlocal sent
        (connection,) = door._state.connections
        while connection.transport.get_write_buffer_size() == 0:
            sent += 1
            yield b"before.." * 2048

    async def before(request: Request) -> Answer:
        return Answer(200, body=fill())

    front.routes["/before"] = before
    front.always("/blob", Answer(200, body=GrowingFile.whole(tmp_path / "blob", b"file" * 5000)))
    async with opened(front) as door:
        client = await connect(door, receive_buffer_bytes=65536)
        await client.send(request("/before") + request("/blob"))
        await until(lambda: front.asked == ["/before", "/blob"])
        assert (await client.answer()).body == b"before.." * 2048 * sent
        assert (await client.answer()).body == b"file" * 5000


async def test_a_part_of_a_file_leaves_from_its_offset(tmp_path: Path) -> None:
    (tmp_path / "blob").write_bytes(b"0123456789")
    segment = GrowingFile(tmp_path / "blob", 4, offset_bytes=3)
    segment.show(10)
    front = Front()
    front.always("/part", Answer(206, body=segment))
    async with opened(front) as door:
        got = await (await connect(door)).get("/part")
        assert (got.status, got.body) == (206, b"3456")


async def test_a_growing_file_is_sent_as_it_grows(tmp_path: Path) -> None:
    segment = GrowingFile(tmp_path / "spool", 10)
    front = Front()
    front.always("/blob", Answer(200, body=segment))
    async with opened(front) as door:
        client = await connect(door)
        await client.send(request("/blob"))
        assert (await client.head())[0] == 200
        segment.grow(b"01234")
        assert await guarded(client.reader.readexactly(5)) == b"01234"
        segment.grow(b"56789")
        assert await guarded(client.reader.readexactly(5)) == b"56789"
        assert (await client.get("/none")).status == 404


async def test_a_file_that_breaks_resets_the_connection(tmp_path: Path) -> None:
    segment = GrowingFile(tmp_path / "spool", 10)
    front = Front()
    front.always("/blob", Answer(200, body=segment))
    async with opened(front) as door:
        client = await connect(door)
        await client.send(request("/blob"))
        await client.head()
        segment.grow(b"01234")
        await guarded(client.reader.readexactly(5))
        segment.fail()
        assert not await client.ended()
        await guarded(segment.closed.wait())
        assert door.statistics().aborted == 1


async def test_a_file_shorter_than_announced_resets_the_connection(tmp_path: Path) -> None:
    segment = GrowingFile.whole(tmp_path / "blob", b"01234")
    segment.size_bytes = 10
    segment.show(10)
    front = Front()
    front.always("/blob", Answer(200, body=segment))
    async with opened(front) as door:
        client = await connect(door)
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await client.get("/blob")
        assert segment.closed.is_set()


@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_a_body_of_unknown_length_ends_clean_or_not_at_all(version: str) -> None:
    async def chunks(broken: bool) -> AsyncIterator[bytes]:
        yield b"one"
        yield b"two"
        if broken:
            raise BodyAborted("cut")

    async def whole(request: Request) -> Answer:
        return Answer(200, body=chunks(False))

    async def cut(request: Request) -> Answer:
        return Answer(200, body=chunks(True))

    async with opened(Front({"/whole": whole, "/cut": cut})) as door:
        client = await connect(door)
        await client.send(request("/whole", version=version))
        assert (await client.answer()).body == b"onetwo"
        client = await connect(door)
        await client.send(request("/cut", version=version))
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await client.answer()


async def test_a_slow_reader_stalls_nobody_else(tmp_path: Path) -> None:
    data = bytes(32 << 20)
    front = Front()

    async def blob(request: Request) -> Answer:
        return Answer(200, body=GrowingFile.whole(tmp_path / "blob", data))

    front.routes["/blob"] = blob
    async with opened(front) as door:
        slow = await connect(door, receive_buffer_bytes=4096)
        await slow.send(request("/blob"))
        await slow.head()
        quick = await connect(door)
        assert len((await quick.get("/blob")).body) == len(data)
        metrics = Registry()
        DoorMetrics(metrics).add(door)
        assert sample_of(metrics, 'skerry_http_sending{door="registry"}') == 1
        assert sample_of(metrics, 'skerry_http_connections{door="registry"}') == 2


async def test_a_client_that_leaves_mid_body_leaves_nothing_behind(tmp_path: Path) -> None:
    growing = GrowingFile(tmp_path / "spool", 1 << 20)
    stuck = GrowingFile.whole(tmp_path / "blob", bytes(32 << 20))
    front = Front()
    front.always("/growing", Answer(200, body=growing))
    front.always("/stuck", Answer(200, body=stuck))
    async with opened(front) as door:
        for path, segment in (("/growing", growing), ("/stuck", stuck)):
            client = await connect(door, receive_buffer_bytes=4096)
            await client.send(request(path))
            await client.head()
            client.leave()
            await guarded(segment.closed.wait())
        await until(lambda: door.statistics().connections == 0)
        assert door.statistics().left == 2
        assert (door.statistics().aborted, len(door._nursery)) == (0, 1)


async def test_a_generator_is_closed_when_its_client_leaves() -> None:
    closed = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        try:
            while True:
                yield bytes(65536)
        finally:
            closed.set()

    async def route(request: Request) -> Answer:
        return Answer(200, body=endless())

    async with opened(Front({"/endless": route})) as door:
        client = await connect(door)
        await client.send(request("/endless"))
        await client.head()
        client.leave()
        await guarded(closed.wait())


@pytest.mark.parametrize("broken", ["raises", "field", "length"])
async def test_a_broken_handler_is_a_500_without_details(broken: str) -> None:
    async def route(request: Request) -> Answer:
        if broken == "raises":
            raise RuntimeError("secret")
        name, value = ("X-A", "a\r\nb: c") if broken == "field" else ("Content-Length", "7")
        return Answer(200, Headers([(name, value)]), b"body")

    async with opened(Front({"/broken": route})) as door:
        client = await connect(door)
        got = await client.get("/broken")
        assert got.status == 500
        assert got.body == b'{"errors":[{"code":"UNKNOWN","message":"internal error"}]}'
        assert (await client.get("/none")).status == 404
        assert door.statistics().failed == 1


async def test_a_head_says_the_length_of_what_a_get_would_send(tmp_path: Path) -> None:
    segment = GrowingFile(tmp_path / "spool", 77)
    front = Front()
    front.always("/file", Answer(200, body=segment))
    front.always("/told", Answer(200, Headers([("Content-Length", "1234")])))
    front.always("/same", Answer(304, Headers([("ETag", '"x"')])))
    async with opened(front) as door:
        client = await connect(door)
        assert (await client.get("/file", method="HEAD")).headers.get("content-length") == "77"
        assert (await client.get("/told", method="HEAD")).headers.get("content-length") == "1234"
        assert (await client.get("/same")).headers.get("content-length") is None
        assert (await client.get("/none")).status == 404
        assert segment.closed.is_set()


async def test_a_taken_port_is_named_with_the_next_step() -> None:
    async with opened(Front()) as door:
        second = Door(Front(), name="admin", host="127.0.0.1", port=door.port, clock=SystemClock())
        with pytest.raises(DoorError, match=rf"door admin: 127.0.0.1:{door.port} is taken.*ss -lt"):
            await second.open()


async def test_closing_lets_a_running_answer_end_and_takes_no_new_one() -> None:
    gate = asyncio.Event()

    async def slow(request: Request) -> Answer:
        await gate.wait()
        return Answer(200, body=b"slow")

    async with opened(Front({"/slow": slow})) as door:
        idle, busy = await connect(door), await connect(door)
        assert (await idle.get("/none")).status == 404
        await busy.send(request("/slow"))
        await until(lambda: door.statistics().running == 1)
        closing = asyncio.create_task(door.close(60.0))
        assert await idle.ended()
        with pytest.raises(ConnectionError):
            await connect(door)
        gate.set()
        assert (await busy.answer()).body == b"slow"
        assert await busy.ended()
        await guarded(closing)


async def test_closing_resets_what_does_not_end(tmp_path: Path) -> None:
    segment = GrowingFile(tmp_path / "spool", 10)
    front = Front()
    front.always("/blob", Answer(200, body=segment))
    async with opened(front) as door:
        client: Client = await connect(door)
        await client.send(request("/blob"))
        await client.head()
        await guarded(door.close(0.0))
        assert not await client.ended()
        assert segment.closed.is_set()
