"""What a bad origin may try: every shape that could be read in two ways is refused, and bounded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import uvloop
from loopback import Loopback, server_tls

from skerry.adapters.http_client import HttpTransport
from skerry.adapters.resolver import NameResolver
from skerry.aio.tasks import Nursery
from skerry.base.clock import SystemClock
from skerry.upstream.ports import Dial, TransportError, Trouble
from skerry.upstream.testing_transport import Scripted
from skerry.wire.message import NO_HEADERS, Headers

DIAL = Dial(
    connect_seconds=5,
    first_byte_seconds=5,
    stall_seconds=5,
    private_hosts=frozenset({"127.0.0.1"}),
)
OK = b"HTTP/1.1 200 OK\r\n"
THREE = OK + b"Content-Length: 3\r\n\r\nabc"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.fixture
async def transport() -> AsyncIterator[HttpTransport]:
    crashes: list[str] = []
    nursery = Nursery(on_crash=lambda name, error: crashes.append(name))
    resolver = NameResolver(clock=SystemClock(), nursery=nursery)
    made = HttpTransport(resolver=resolver, nursery=nursery, environment={})
    yield made
    await made.close()
    await nursery.close()
    assert not crashes


@pytest.fixture
async def server() -> AsyncIterator[Loopback]:
    async with Loopback() as made:
        yield made


async def fetch(transport: HttpTransport, url: str, method: str = "GET") -> bytes:
    async with asyncio.timeout(10):
        exchange = await transport.send(method, url, NO_HEADERS, DIAL)
        return b"".join([chunk async for chunk in exchange.chunks()])


@pytest.mark.parametrize(
    "raw",
    [
        OK + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        OK + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        OK + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
        OK + b"Content-Length: 3, 3\r\n\r\nabc",
        OK + b"Content-Length: +3\r\n\r\nabc",
        OK + b"Content-Length: -3\r\n\r\nabc",
        OK + b"Content-Length: 99999999999999999999999\r\n\r\nabc",
        OK + b"Content-Length : 3\r\n\r\nabc",
        OK + b"Content-Length:\r\n 3\r\n\r\nabc",
        OK + b"A: b\r\n c\r\nContent-Length: 3\r\n\r\nabc",
        OK + b"A: b\nContent-Length: 3\r\n\r\nabc",
        OK + b"A: b\rc\r\nContent-Length: 3\r\n\r\nabc",
        OK + b"A: b\0c\r\nContent-Length: 3\r\n\r\nabc",
        b"HTTP/1.1 200 OK\nContent-Length: 3\n\nabc",
        b"HTTP/1.1 200 OK\r\n: x\r\nContent-Length: 3\r\n\r\nabc",
        b"HTTP/1.1 20 OK\r\nContent-Length: 3\r\n\r\nabc",
        b"HTTP/1.1 099 OK\r\nContent-Length: 3\r\n\r\nabc",
        b"HTTP/2.0 200 OK\r\nContent-Length: 3\r\n\r\nabc",
        b"HTTP/0.9 200 OK\r\nContent-Length: 3\r\n\r\nabc",
        b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: gzip\r\n\r\nabc",
        OK + b"Transfer-Encoding: chunked, x\r\n\r\nabc",
        OK + b"Transfer-Encoding: xchunked\r\n\r\nabc",
        OK + b"A: b\r\n" * 257 + b"Content-Length: 3\r\n\r\nabc",
        OK + b"A: " + b"x" * (1 << 20),
        b"HTTP/1.1 200 " + b"x" * (1 << 20),
        CHUNKED + b"-3\r\nabc\r\n0\r\n\r\n",
        CHUNKED + b"fffffffffffffffff\r\nabc\r\n0\r\n\r\n",
        CHUNKED + b"3 \r\nabc\r\n0\r\n\r\n",
        CHUNKED + b"3\nabc\n0\n\n",
        CHUNKED + b"3\r\nabcd\r\n0\r\n\r\n",
        CHUNKED + b"3;" + b"x" * (1 << 20),
        CHUNKED + b"0\r\n" + b"A: b\r\n" * (1 << 17),
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 33 + OK + b"\r\n",
        b"HTTP/1.1 103 Early Hints\r\nLink: " + b"x" * (1 << 17) + b"\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nx",
    ],
)
async def test_a_shape_that_can_be_read_in_two_ways_is_protocol_trouble(
    transport: HttpTransport, server: Loopback, raw: bytes
) -> None:
    with pytest.raises(TransportError) as caught:
        await fetch(transport, server.on("/", raw))
    assert caught.value.trouble is Trouble.PROTOCOL
    assert transport.statistics().idle == 0
    assert await fetch(transport, server.on("/", Scripted(body=b"fine"))) == b"fine"


@pytest.mark.parametrize(
    ("method", "raw", "body"),
    [
        (
            "GET",
            OK + b"Content-Length: 3\r\n\r\nabc" + OK + b"Content-Length: 4\r\n\r\nevil",
            b"abc",
        ),
        ("GET", THREE + b"d", b"abc"),
        ("GET", CHUNKED + b"3\r\nabc\r\n0\r\n\r\n" + OK + b"\r\nevil", b"abc"),
        ("GET", b"HTTP/1.1 204 X\r\nContent-Length: 4\r\n\r\nevil", b""),
        ("GET", b"HTTP/1.1 304 X\r\nContent-Length: 4\r\n\r\nevil", b""),
        ("HEAD", OK + b"Content-Length: 4\r\n\r\nevil", b""),
        ("HEAD", CHUNKED + b"4\r\nevil\r\n0\r\n\r\n", b""),
    ],
)
async def test_what_follows_an_answer_is_never_read_as_the_next_one(
    transport: HttpTransport, server: Loopback, method: str, raw: bytes, body: bytes
) -> None:
    assert await fetch(transport, server.on("/", raw), method) == body
    assert await fetch(transport, server.on("/", Scripted(body=b"fine"))) == b"fine"
    assert server.connections == 2


async def test_an_answer_nobody_asked_for_ends_a_kept_connection(
    transport: HttpTransport, server: Loopback
) -> None:
    url = server.on("/", Scripted(body=b"fine"))
    assert await fetch(transport, url) == b"fine"
    server.say(OK + b"Content-Length: 4\r\n\r\nevil")
    while transport.statistics().connections:  # noqa: ASYNC110
        await asyncio.sleep(0)
    assert await fetch(transport, url) == b"fine"
    assert server.connections == 2


@pytest.mark.parametrize(
    "raw",
    [
        CHUNKED + b"1\r\na\r\n2;x=y\r\nbc\r\n0\r\nDigest: no\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\nabc",
        b"HTTP/1.0 200 OK\r\n\r\nabc",
        b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 3\r\n\r\nabc",
        b"HTTP/1.1 200\r\nContent-Length: 3\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\nabc",
    ],
)
async def test_what_is_allowed_is_read(
    transport: HttpTransport, server: Loopback, raw: bytes
) -> None:
    assert await fetch(transport, server.on("/", raw)) == b"abc"


async def test_bytes_of_a_field_come_as_they_were_sent(
    transport: HttpTransport, server: Loopback
) -> None:
    raw = OK + b"X-Name: caf\xc3\xa9 \xff\r\nContent-Length: 0\r\n\r\n"
    exchange = await transport.send("GET", server.on("/", raw), NO_HEADERS, DIAL)
    assert (exchange.headers.get("x-name") or "").encode("latin-1") == b"caf\xc3\xa9 \xff"


async def test_a_body_in_tiny_chunks_makes_its_source_wait(
    transport: HttpTransport, server: Loopback
) -> None:
    raw = CHUNKED + b"1\r\na\r\n" * 2_000_000 + b"0\r\n\r\n"
    exchange = await transport.send("GET", server.on("/", raw), NO_HEADERS, DIAL)
    total = 0
    async for chunk in exchange.chunks():
        total += len(chunk)
        await asyncio.sleep(0)
    assert total == 2_000_000


async def test_only_a_request_that_may_be_repeated_is_sent_again_on_a_stale_connection(
    transport: HttpTransport, server: Loopback
) -> None:
    fine = server.on("/fine", Scripted(body=b"fine"))
    closes = server.on("/closes", b"")
    for method, asked in (("GET", 2), ("POST", 1)):
        await fetch(transport, fine)
        heads = len(server.heads)
        with pytest.raises(TransportError) as caught:
            await fetch(transport, closes, method)
        assert caught.value.trouble is Trouble.CUT
        assert len(server.heads) == heads + asked


async def test_interim_answers_are_handed_on_as_they_come(
    transport: HttpTransport, server: Loopback
) -> None:
    got: list[tuple[int, str | None]] = []
    raw = (
        b"HTTP/1.1 100 Continue\r\n\r\n"
        b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"
        b"HTTP/1.1 102 Processing\r\n\r\n" + OK + b"Content-Length: 2\r\n\r\nok"
    )
    exchange = await transport.send(
        "GET",
        server.on("/", raw),
        NO_HEADERS,
        DIAL,
        interim=lambda status, headers: got.append((status, headers.get("link"))),
    )
    assert [chunk async for chunk in exchange.chunks()] == [b"ok"]
    assert got == [(103, "</a.css>"), (102, None)]
    assert exchange.switched() is None


async def test_interim_answers_do_not_put_off_the_bound_on_the_answer(
    transport: HttpTransport,
) -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 102 Processing\r\n\r\n")
        await reader.read(-1)
        writer.close()

    drips = await asyncio.start_server(drip, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{drips.sockets[0].getsockname()[1]}/"
    with pytest.raises(TransportError) as caught:
        await transport.send("GET", url, NO_HEADERS, replace(DIAL, first_byte_seconds=0.1))
    assert caught.value.trouble is Trouble.FIRST_BYTE_TIMEOUT
    drips.close()


SWITCH = Headers((("Connection", "Upgrade"), ("Upgrade", "echo")))


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nhello "
    )
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.write(b" bye")
    writer.close()


async def test_after_a_101_the_connection_is_the_askers_in_both_directions(
    transport: HttpTransport,
) -> None:
    echoes = await asyncio.start_server(echo, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{echoes.sockets[0].getsockname()[1]}/"
    exchange = await transport.send("GET", url, SWITCH, DIAL)
    assert exchange.status == 101
    duplex = exchange.switched()
    assert duplex is not None
    await exchange.close()  # the duplex is its user's to close
    chunks = duplex.chunks()
    sent = b"x" * 3_000_000

    async def write() -> None:
        await duplex.write(sent)
        await duplex.finish()

    got, _ = await asyncio.gather(_joined(chunks), write())
    assert got == b"hello " + sent + b" bye"
    await duplex.close()
    await duplex.close()
    assert transport.statistics().idle == 0
    echoes.close()


async def test_a_101_that_nobody_takes_is_let_go(transport: HttpTransport) -> None:
    echoes = await asyncio.start_server(echo, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{echoes.sockets[0].getsockname()[1]}/"
    exchange = await transport.send("GET", url, SWITCH, DIAL)
    await exchange.close()
    async with asyncio.timeout(10):
        while transport.statistics().connections:  # noqa: ASYNC110
            await asyncio.sleep(0)
    echoes.close()


async def ends_signed_or_not(tmp_path: Path) -> None:
    context, ca_file = server_tls(tmp_path)
    dial = replace(DIAL, ca_file=str(ca_file))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        writer.write(OK + b"\r\nabc")
        await writer.drain()
        if b"/signed" in head:
            writer.close()
        else:
            writer.transport.abort()

    nursery = Nursery(on_crash=print)
    resolver = NameResolver(clock=SystemClock(), nursery=nursery)
    transport = HttpTransport(resolver=resolver, nursery=nursery, environment={})
    ends = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    url = f"https://127.0.0.1:{ends.sockets[0].getsockname()[1]}"
    exchange = await transport.send("GET", f"{url}/signed", NO_HEADERS, dial)
    assert await _joined(exchange.chunks()) == b"abc"
    exchange = await transport.send("GET", f"{url}/", NO_HEADERS, dial)
    with pytest.raises(TransportError) as caught:
        await _joined(exchange.chunks())
    assert caught.value.trouble is Trouble.CUT
    ends.close()
    await transport.close()
    await nursery.close()


async def test_over_tls_an_end_that_nobody_signed_is_a_cut(tmp_path: Path) -> None:
    await ends_signed_or_not(tmp_path)


def test_and_in_the_loop_a_node_runs_in(tmp_path: Path) -> None:
    uvloop.run(ends_signed_or_not(tmp_path))


async def test_a_name_with_a_dead_address_is_reached_at_the_next(
    tmp_path: Path, server: Loopback
) -> None:
    hosts = tmp_path / "hosts"
    hosts.write_text("127.0.0.2 both.test\n127.0.0.1 both.test\n")
    nursery = Nursery(on_crash=print)
    resolver = NameResolver(clock=SystemClock(), nursery=nursery, hosts_file=hosts)
    transport = HttpTransport(resolver=resolver, nursery=nursery, environment={})
    url = server.on("/", Scripted(body=b"fine")).replace("127.0.0.1", "both.test")
    dial = replace(DIAL, private_hosts=frozenset({"both.test"}))
    exchange = await transport.send("GET", url, NO_HEADERS, dial)
    assert await _joined(exchange.chunks()) == b"fine"
    await transport.close()
    await nursery.close()


async def _joined(chunks: AsyncIterator[bytes]) -> bytes:
    return b"".join([chunk async for chunk in chunks])
