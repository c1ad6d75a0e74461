"""Long bodies are read past aiohttp's parser: whole, within bounds, and the connection is kept."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import uvloop
from loopback import Loopback, server_tls

from skerry.adapters import http_client_connection, http_client_exchange
from skerry.adapters.http_client import HttpTransport
from skerry.adapters.http_client_exchange import HttpExchange
from skerry.adapters.resolver import NameResolver
from skerry.aio.tasks import Nursery
from skerry.base.clock import SystemClock
from skerry.upstream.ports import Dial, TransportError, Trouble
from skerry.upstream.testing_transport import Scripted
from skerry.wire.message import NO_HEADERS

LONG = random.Random(1).randbytes(8 << 20)
DIAL = Dial(
    connect_seconds=5,
    first_byte_seconds=5,
    stall_seconds=5,
    private_hosts=frozenset({"127.0.0.1", "registry.test"}),
)


@pytest.fixture
async def transport(tmp_path: Path) -> AsyncIterator[HttpTransport]:
    nursery = Nursery(on_crash=lambda name, error: None)
    transport = made(tmp_path, nursery)
    yield transport
    await transport.close()
    await nursery.close()


def made(tmp_path: Path, nursery: Nursery) -> HttpTransport:
    hosts = tmp_path / "hosts"
    hosts.write_text("127.0.0.1 registry.test\n")
    resolver = NameResolver(clock=SystemClock(), nursery=nursery, hosts_file=hosts)
    return HttpTransport(resolver=resolver, nursery=nursery, environment={})


async def opened(transport: HttpTransport, url: str, dial: Dial = DIAL) -> HttpExchange:
    exchange = await transport.send("GET", url, NO_HEADERS, dial)
    assert isinstance(exchange, HttpExchange)
    return exchange


async def whole(exchange: HttpExchange) -> bytes:
    async with asyncio.timeout(20):
        return b"".join([chunk async for chunk in exchange.chunks()])


def raw(said_bytes: int, sent: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % said_bytes + sent


async def kept_and_whole(transport: HttpTransport) -> None:
    async with Loopback() as server:
        url = server.on("/long", Scripted(body=LONG))
        for _ in range(3):
            exchange = await opened(transport, url)
            assert await whole(exchange) == LONG
            await exchange.close()
        small = server.on("/small", Scripted(body=b"small"))
        assert await whole(await opened(transport, small)) == b"small"
        assert server.connections == 1


async def test_a_long_body_is_whole_and_its_connection_serves_the_next_request(
    transport: HttpTransport,
) -> None:
    await kept_and_whole(transport)


async def over_tls(transport: HttpTransport, tmp_path: Path) -> None:
    context, ca_file = server_tls(tmp_path)
    dial = Dial(
        connect_seconds=5,
        first_byte_seconds=5,
        stall_seconds=5,
        private_hosts=DIAL.private_hosts,
        ca_file=str(ca_file),
    )
    async with Loopback(context) as server:
        server.on("/long", Scripted(body=LONG))
        url = f"https://registry.test:{server.port}/long"
        for _ in range(2):
            exchange = await opened(transport, url, dial)
            assert hashlib.sha256(await whole(exchange)).digest() == hashlib.sha256(LONG).digest()
        assert server.connections == 1


async def test_over_tls_too(transport: HttpTransport, tmp_path: Path) -> None:
    await over_tls(transport, tmp_path)


def test_in_the_loop_a_node_runs_in(tmp_path: Path) -> None:
    async def both() -> None:
        nursery = Nursery(on_crash=lambda name, error: None)
        transport = made(tmp_path, nursery)
        await kept_and_whole(transport)
        await over_tls(transport, tmp_path)
        await transport.close()
        await nursery.close()

    uvloop.run(both())


async def test_a_long_body_that_ends_early_is_cut(transport: HttpTransport) -> None:
    async with Loopback() as server:
        exchange = await opened(transport, server.on("/cut", raw(len(LONG) + 1, LONG)))
        with pytest.raises(TransportError) as caught:
            await whole(exchange)
        assert caught.value.trouble is Trouble.CUT


async def test_what_follows_a_long_body_is_no_part_of_it(transport: HttpTransport) -> None:
    async with Loopback() as server:
        more = raw(len(LONG), LONG) + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlies"
        exchange = await opened(transport, server.on("/more", more))
        assert await whole(exchange) == LONG
        fine = server.on("/fine", Scripted(body=b"fine"))
        assert await whole(await opened(transport, fine)) == b"fine"


async def test_a_long_body_that_stops_is_a_stall(transport: HttpTransport) -> None:
    dial = Dial(
        connect_seconds=5, first_byte_seconds=5, stall_seconds=0.2, private_hosts=DIAL.private_hosts
    )
    async with Loopback() as server:
        script = Scripted(body=LONG, stall_after=4 << 20)
        exchange = await opened(transport, server.on("/stall", script), dial)
        with pytest.raises(TransportError) as caught:
            await whole(exchange)
        assert caught.value.trouble is Trouble.STALL


async def test_nobody_reading_makes_the_source_wait(transport: HttpTransport) -> None:
    async with Loopback() as server:
        exchange = await opened(transport, server.on("/long", Scripted(body=LONG)))
        chunks = exchange.chunks()
        got = [await anext(chunks), await anext(chunks)]
        for _ in range(200):
            await asyncio.sleep(0)
        assert exchange.held_bytes < (
            http_client_exchange.AHEAD_BYTES_MAX + http_client_connection.READ_BYTES_MAX
        )
        got += [chunk async for chunk in chunks]
        assert b"".join(got) == LONG
