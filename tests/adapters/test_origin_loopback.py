"""A site's servers over real sockets: bodies in both directions, interim answers, hang-ups."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from random import Random

import pytest

from skerry.adapters.http_client import HttpTransport
from skerry.adapters.resolver import NameResolver
from skerry.aio.tasks import Nursery
from skerry.base.clock import SystemClock
from skerry.telemetry.events import Events
from skerry.telemetry.metrics import Registry
from skerry.telemetry.validation import ValidationFailures
from skerry.upstream.measures import UpstreamMetrics
from skerry.upstream.origin import OriginClient
from skerry.upstream.ports import Dial, Trouble, Unavailable
from skerry.upstream.sources import Source, Upstream
from skerry.wire.message import NO_HEADERS, Headers

DIAL = Dial(connect_seconds=5, first_byte_seconds=5, stall_seconds=5)
BODY = Random(1).randbytes(3_000_000)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(serve: Serve) -> AsyncIterator[str]:
    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            await serve(reader, writer)
        writer.close()

    server = await asyncio.start_server(one, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()


@asynccontextmanager
async def client(*urls: str, dial: Dial = DIAL) -> AsyncIterator[OriginClient]:
    clock = SystemClock()
    crashes: list[str] = []
    nursery = Nursery(on_crash=lambda name, _: crashes.append(name))
    resolver = NameResolver(clock=clock, nursery=nursery)
    transport = HttpTransport(resolver=resolver, nursery=nursery, environment={})
    made = OriginClient(
        Upstream("www.example.org", tuple(Source(url, url, dial=dial) for url in urls)),
        transport=transport,
        clock=clock,
        events=Events(clock.now),
        metrics=UpstreamMetrics(Registry(), ValidationFailures(Registry())),
        rng=Random(1),
    )
    async with asyncio.timeout(60):
        yield made
    assert all(source.in_flight == 0 for source in made.statistics().sources)
    await transport.close()
    await nursery.close()
    assert not crashes


async def read(
    origin: OriginClient,
    method: str = "GET",
    headers: Headers = NO_HEADERS,
    body: AsyncIterator[bytes] | None = None,
) -> bytes:
    answer = await origin.send(method, "/a?b=c", headers, body)
    return b"".join([chunk async for chunk in answer.chunks()])


async def pieces(data: bytes, *, size: int = 100_000) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]
        yield b""


async def read_chunked(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while size := int(await reader.readline(), 16):
        body += await reader.readexactly(size)
        await reader.readexactly(2)
    await reader.readexactly(2)
    return body


@pytest.mark.parametrize("sized", [True, False])
async def test_a_body_is_sent_as_it_comes_by_length_or_in_chunks(sized: bool) -> None:
    heads: list[str] = []
    got: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
        got.append(await (reader.readexactly(len(BODY)) if sized else read_chunked(reader)))
        writer.write(OK)
        await writer.drain()

    fields = (("Host", "www.example.org"), ("Content-Type", "image/png"))
    if sized:
        fields = (*fields, ("Content-Length", str(len(BODY))))
    async with serving(serve) as url, client(url) as origin:
        assert await read(origin, "POST", Headers(fields), pieces(BODY)) == b"ok"
    assert got == [BODY]
    lines = heads[0].lower().split("\r\n")
    assert lines[0] == "post /a?b=c http/1.1"
    assert "host: www.example.org" in lines
    assert "content-type: image/png" in lines
    assert ("transfer-encoding: chunked" in lines) is not sized
    assert not [line for line in lines if line.startswith(("expect", "accept-encoding"))]


async def test_a_body_is_on_its_way_before_its_end_is_known() -> None:
    arrived = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"first")
        arrived.set()
        await reader.readuntil(b"last")
        writer.write(OK)
        await writer.drain()

    async def slow() -> AsyncIterator[bytes]:
        yield b"first"
        await arrived.wait()
        yield b"last"

    async with serving(serve) as url, client(url) as origin:
        assert await read(origin, "PUT", Headers((("Content-Length", "9"),)), slow()) == b"ok"


async def test_a_server_that_does_not_answer_a_body_is_given_up() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(-1)

    dial = Dial(connect_seconds=5, first_byte_seconds=0.1, stall_seconds=5)
    async with serving(serve) as url, client(url, dial=dial) as origin:
        with pytest.raises(Unavailable) as caught:
            await read(origin, "PUT", NO_HEADERS, pieces(b"x" * 100))
        assert caught.value.causes[0].trouble is Trouble.FIRST_BYTE_TIMEOUT
        assert origin.statistics().sources[0].troubles == (("first_byte_timeout", 1),)


async def test_a_server_that_does_not_take_a_body_is_given_up() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.Event().wait()

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield BODY

    dial = Dial(connect_seconds=5, first_byte_seconds=5, stall_seconds=0.1)
    async with serving(serve) as url, client(url, dial=dial) as origin:
        with pytest.raises(Unavailable):
            await read(origin, "PUT", NO_HEADERS, endless())


async def test_hanging_up_on_a_slow_upload_is_not_counted_against_the_server() -> None:
    gone = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"x")
        writer.close()
        gone.set()

    async def slow() -> AsyncIterator[bytes]:
        yield b"x"
        await gone.wait()
        while True:
            await asyncio.sleep(0)
            yield b"y"

    async with serving(serve) as url, client(url) as origin:
        for _ in range(4):
            gone.clear()
            with pytest.raises(Unavailable) as caught:
                await read(origin, "POST", NO_HEADERS, slow())
            assert caught.value.causes[0].trouble is Trouble.CUT
        assert origin.statistics().sources[0].breaker == "closed"


async def test_a_client_that_leaves_in_mid_upload_is_the_callers_to_know() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(-1)

    async def leaving() -> AsyncIterator[bytes]:
        yield b"x"
        raise ZeroDivisionError

    async with serving(serve) as url, client(url) as origin:
        for _ in range(4):
            with pytest.raises(ZeroDivisionError):
                await read(origin, "POST", NO_HEADERS, leaving())
        assert origin.statistics().sources[0].breaker == "closed"


async def test_an_answer_that_comes_before_the_end_of_the_request_is_given() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"x")
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig")
        await writer.drain()
        await reader.read(-1)

    async def waiting() -> AsyncIterator[bytes]:
        yield b"x"
        await asyncio.Event().wait()

    async with serving(serve) as url, client(url) as origin:
        answer = await origin.send("POST", "/a", NO_HEADERS, waiting())
        assert answer.status == 413
        assert b"".join([chunk async for chunk in answer.chunks()]) == b"big"


async def test_interim_answers_are_passed_over() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n")
        writer.write(b"HTTP/1.1 102 Processing\r\n\r\n")
        writer.write(OK)
        await writer.drain()

    async with serving(serve) as url, client(url) as origin:
        assert await read(origin) == b"ok"


async def test_a_refused_server_is_passed_over_for_the_next() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        await writer.drain()

    async with serving(serve) as dead:
        pass
    async with serving(serve) as url, client(dead, url) as origin:
        answer = await origin.send("POST", "/a", NO_HEADERS, pieces(b""))
        assert answer.source == url
        assert b"".join([chunk async for chunk in answer.chunks()]) == b"ok"
