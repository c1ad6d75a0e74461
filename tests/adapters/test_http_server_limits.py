"""What a door refuses, how long it waits, and how uploads press back."""

from __future__ import annotations

import asyncio
import os
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import uvloop
from http_door import (
    Client,
    Front,
    GrowingFile,
    beats,
    connect,
    guarded,
    opened,
    request,
    until,
)

from skerry.adapters.http_server import Door
from skerry.adapters.http_server_state import DoorLimits
from skerry.adapters.http_server_tls import CertificateError, Pair, TlsNames
from skerry.base.clock import ManualClock, SystemClock
from skerry.wire.message import Answer, BodyAborted, Request

POLICIES = [asyncio.DefaultEventLoopPolicy(), uvloop.EventLoopPolicy()]
pytestmark = pytest.mark.filterwarnings("ignore:Overriding the .event_loop_policy")


@pytest.fixture(params=POLICIES, ids=["asyncio", "uvloop"])
def event_loop_policy(request: pytest.FixtureRequest) -> asyncio.AbstractEventLoopPolicy:
    return request.param  # type: ignore[no-any-return]


async def count_body(request: Request) -> Answer:
    size = 0
    async for chunk in request.body:
        size += len(chunk)
    return Answer(201, body=b"%d" % size)


async def refuse(request: Request) -> Answer:
    return Answer(401)


# uploads


async def test_a_body_is_asked_for_when_the_handler_reads_it() -> None:
    async with opened(Front({"/up": count_body})) as door:
        client = await connect(door)
        line = "Expect: 100-continue"
        await client.send(request("/up", line, "Content-Length: 5", method="PUT"))
        assert (await client.head())[0] == 100
        await client.send(b"hello")
        assert (await client.answer()).body == b"5"
        assert (await client.get("/none")).status == 404


async def test_a_body_that_was_never_asked_for_ends_the_connection() -> None:
    async with opened(Front({"/up": refuse})) as door:
        client = await connect(door)
        line = "Expect: 100-continue"
        got = await client.get("/up", line, "Content-Length: 5", method="PUT")
        assert (got.status, got.headers.get("connection")) == (401, "close")
        assert await client.ended()


async def test_an_unread_body_is_passed_over() -> None:
    async with opened(Front({"/up": refuse})) as door:
        client = await connect(door)
        body = bytes(1 << 20)
        await client.send(request("/up", f"Content-Length: {len(body)}", method="PUT") + body)
        assert (await client.answer()).status == 401
        assert (await client.get("/none")).status == 404


async def test_an_upload_right_behind_a_hot_request_arrives() -> None:
    front = Front({"/up": count_body})
    front.hot("/hot", b"hot")
    async with opened(front) as door:
        client = await connect(door)
        await client.get("/hot")
        upload = request("/up", "Content-Length: 5", method="PUT") + b"hello"
        await client.send(request("/hot") + upload + request("/hot"))
        assert [(await client.answer()).body for _ in range(3)] == [b"hot", b"5", b"hot"]


async def test_an_upload_waits_for_its_reader() -> None:
    gate = asyncio.Event()
    chunk_sizes: list[int] = []

    async def slow(request: Request) -> Answer:
        await gate.wait()
        async for chunk in request.body:
            chunk_sizes.append(len(chunk))
        return Answer(201)

    data = bytes(64 << 20)
    async with opened(Front({"/up": slow})) as door:
        client = await connect(door)
        head = request("/up", f"Content-Length: {len(data)}", method="PUT")
        sending = asyncio.create_task(client.send(head + data))
        await until(lambda: any(c.flow and c.flow.read_paused for c in door._state.connections))
        for _ in range(50):
            await asyncio.sleep(0)
        (connection,) = door._state.connections
        assert len(connection.cycle.body) <= (512 << 10)
        assert not sending.done()
        gate.set()
        assert (await client.answer()).status == 201
        await guarded(sending)
    assert sum(chunk_sizes) == len(data)
    assert max(chunk_sizes) <= (512 << 10)


@pytest.mark.parametrize("rest", [b"", b"this is not a chunk\r\n"])
async def test_an_upload_that_breaks_is_told_to_its_handler(rest: bytes) -> None:
    told = asyncio.Event()

    async def read(request: Request) -> Answer:
        try:
            return await count_body(request)
        except BodyAborted:
            told.set()
            raise

    async with opened(Front({"/up": read})) as door:
        client = await connect(door)
        await client.send(request("/up", "Transfer-Encoding: chunked", method="PUT"))
        await client.send(b"5\r\nhello\r\n" + rest)
        if not rest:
            client.leave()
        await guarded(told.wait())
        await until(lambda: door.statistics().connections == 0)


# limits

SMALL = DoorLimits(header_bytes_max=4096, header_count_max=20, url_bytes_max=1000)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (request("/", "X-A: " + "a" * 5000), 431),
        (request("/", "X-A: " + "a" * 3_000_000), 431),
        (request("/", *(f"X-{n}: a" for n in range(30))), 431),
        (request("/" + "a" * 1001), 414),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (
            b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            400,
        ),
        (b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", 501),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a TLS hello", 400),
    ],
)
async def test_what_cannot_be_understood_is_refused_and_the_connection_ends(
    data: bytes, status: int
) -> None:
    front = Front()
    async with opened(front, limits=SMALL) as door:
        client = await connect(door)
        await client.send(data)
        got = await client.answer()
        assert (got.status, got.headers.get("connection")) == (status, "close")
        assert got.body.startswith(b'{"errors":')
        assert await client.ended()
        assert (front.asked, door.statistics().refused) == ([], 1)


async def test_a_field_that_never_ends_is_refused_early() -> None:
    async with opened(Front(), limits=SMALL) as door:
        client = await connect(door)
        await client.send(b"GET / HTTP/1.1\r\nHost: a\r\nX-A: ")
        for _ in range(3):
            await client.send(b"a" * 2000)
        assert (await client.answer()).status == 431


async def test_a_refusal_waits_for_the_answers_before_it() -> None:
    front = Front()
    front.always("/a", Answer(200, body=b"first"))
    async with opened(front, limits=SMALL) as door:
        client = await connect(door)
        await client.send(request("/a") + request("/a") + b"nonsense\r\n\r\n")
        assert [(await client.answer()).status for _ in range(3)] == [200, 200, 400]


async def test_one_connection_too_many_is_told_so() -> None:
    gate = asyncio.Event()

    async def slow(request: Request) -> Answer:
        await gate.wait()
        return Answer(204)

    front = Front({"/slow": slow})
    async with opened(front, limits=DoorLimits(connections_max=2)) as door:
        kept = [await connect(door), await connect(door)]
        for client in kept:
            await client.send(request("/slow"))
        await until(lambda: len(front.asked) == 2)
        surplus = await connect(door)
        got = await surplus.answer()
        assert (got.status, got.headers.get("retry-after")) == (503, "1")
        surplus.leave()
        await until(lambda: door.statistics().connections == 2)
        gate.set()
        assert [(await client.answer()).status for client in kept] == [204, 204]


async def test_an_upgrade_that_nobody_wants_is_answered_as_plain_http() -> None:
    front = Front()
    front.hot("/a", b"body")
    async with opened(front) as door:
        client = await connect(door)
        got = await client.get("/a", "Connection: Upgrade", "Upgrade: h2c")
        assert (got.body, got.headers.get("connection")) == (b"body", None)
        assert (await client.get("/a")).body == b"body"


# silence


async def test_an_idle_connection_is_closed_after_its_time() -> None:
    clock = ManualClock()
    async with opened(Front(), clock=clock, limits=DoorLimits(keep_alive_seconds=5)) as door:
        client = await connect(door)
        await client.get("/none")
        await beats(door, clock, 4)
        assert (await client.get("/none")).status == 404
        await beats(door, clock, 4)
        assert (await client.get("/none")).status == 404
        await beats(door, clock, 6)
        assert await client.ended()


@pytest.mark.parametrize("start", [b"", b"GET / HT"])
async def test_a_head_that_does_not_come_is_given_up(start: bytes) -> None:
    clock = ManualClock()
    async with opened(Front(), clock=clock, limits=DoorLimits(head_seconds=3)) as door:
        client = await connect(door)
        await client.send(start)
        await until(lambda: door.statistics().connections == 1)
        await beats(door, clock, 2)
        if start:
            await client.send(b"T")  # one byte now and then does not help
        await beats(door, clock, 3)
        assert (await client.answer()).status == 408
        assert await client.ended()


async def test_an_upload_that_falls_silent_is_given_up() -> None:
    clock = ManualClock()
    front = Front({"/up": count_body})
    async with opened(front, clock=clock, limits=DoorLimits(body_stall_seconds=3)) as door:
        client = await connect(door)
        await client.send(request("/up", "Content-Length: 5", method="PUT") + b"he")
        await until(lambda: front.asked == ["/up"])
        await beats(door, clock, 4)
        assert not await client.ended()


async def test_a_reader_that_reads_nothing_is_given_up_but_a_waiting_one_is_not(
    tmp_path: Path,
) -> None:
    clock = ManualClock()
    stuck = GrowingFile.whole(tmp_path / "blob", bytes(32 << 20))
    growing = GrowingFile(tmp_path / "spool", 5)
    front = Front()
    front.always("/stuck", Answer(200, body=stuck))
    front.always("/growing", Answer(200, body=growing))
    async with opened(front, clock=clock, limits=DoorLimits(send_stall_seconds=3)) as door:
        deaf = await connect(door, receive_buffer_bytes=4096)
        await deaf.send(request("/stuck"))
        patient = await connect(door)
        await patient.send(request("/growing"))
        await patient.head()
        await until(
            lambda: any(c.outlet.taken_bytes() is not None for c in door._state.connections)
        )
        await beats(door, clock, 6)
        await guarded(stuck.closed.wait())
        growing.grow(b"12345")
        assert await guarded(patient.reader.readexactly(5)) == b"12345"


async def test_the_date_moves_on_in_ready_answers_too() -> None:
    clock = ManualClock()
    front = Front()
    front.hot("/hot", b"hot")
    async with opened(front, clock=clock) as door:
        client = await connect(door)
        before = [(await client.get("/hot")).headers.get("date") for _ in range(2)]
        await beats(door, clock, 2)
        after = (await client.get("/hot")).headers.get("date")
        assert before[0] == before[1] != after
        assert front.asked == ["/hot"]


# TLS


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[str, str]:
    openssl = shutil.which("openssl")
    assert openssl, "openssl makes the certificate of this test"
    cert, key = str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=127.0.0.1",
         "-addext", "subjectAltName=IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip
    return cert, key


async def test_a_file_leaves_whole_over_tls(tmp_path: Path, certificate: tuple[str, str]) -> None:
    cert, key = certificate
    data = os.urandom(3 << 20)
    front = Front()
    front.always("/blob", Answer(200, body=GrowingFile.whole(tmp_path / "blob", data)))
    cut = GrowingFile(tmp_path / "spool", 10)
    front.always("/cut", Answer(200, body=cut))
    async with opened(front, cert_file=cert, key_file=key) as door:
        context = ssl.create_default_context(cafile=cert)
        streams = await asyncio.open_connection("127.0.0.1", door.port, ssl=context)
        client = Client(*streams)
        assert door.scheme == "https"
        assert (await client.get("/blob")).body == data
        assert (await client.get("/none")).status == 404
        await client.send(request("/cut"))
        await client.head()
        cut.fail()
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError, ssl.SSLError)):
            await guarded(client.reader.readexactly(10))
        await guarded(cut.closed.wait())


async def test_a_certificate_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    missing = str(tmp_path / "none.pem")
    door = Door(
        Front(),
        name="registry",
        host="127.0.0.1",
        port=0,
        clock=SystemClock(),
        tls=TlsNames((Pair(missing, missing),)),
    )
    with pytest.raises(CertificateError, match=r"none.pem.*no such file"):
        await door.open()


async def test_a_generator_body_presses_back() -> None:
    made = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal made
        while True:
            made += 1
            yield bytes(1 << 20)

    async def route(request: Request) -> Answer:
        return Answer(200, body=endless())

    async with opened(Front({"/endless": route})) as door:
        client = await connect(door, receive_buffer_bytes=4096)
        await client.send(request("/endless"))
        await until(
            lambda: any(c.outlet.taken_bytes() is not None for c in door._state.connections)
        )
        for _ in range(200):
            await asyncio.sleep(0)
        assert made < 20
        client.leave()
        await until(lambda: door.statistics().connections == 0)
