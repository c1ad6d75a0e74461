"""The aiohttp transport over real sockets: each way a network fails has its own name."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from loopback import Loopback, server_tls

from skerry.adapters.http_client import HttpTransport
from skerry.adapters.proxies import proxy_for
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
    private_hosts=frozenset({"127.0.0.1", "registry.test"}),
)
FINE = Scripted(body=b"fine")


@pytest.fixture
async def transport(tmp_path: Path) -> AsyncIterator[HttpTransport]:
    hosts = tmp_path / "hosts"
    hosts.write_text("127.0.0.1 registry.test rebound.test\n")
    nursery = Nursery(on_crash=lambda name, error: None)
    resolver = NameResolver(clock=SystemClock(), nursery=nursery, hosts_file=hosts)
    made = HttpTransport(resolver=resolver, nursery=nursery, environment={})
    yield made
    await made.close()
    await nursery.close()


@pytest.fixture
async def server() -> AsyncIterator[Loopback]:
    async with Loopback() as made:
        yield made


async def fetch(transport: HttpTransport, url: str, dial: Dial = DIAL) -> bytes:
    exchange = await transport.send("GET", url, NO_HEADERS, dial)
    return b"".join([chunk async for chunk in exchange.chunks()])


async def trouble(transport: HttpTransport, url: str, dial: Dial = DIAL) -> Trouble:
    with pytest.raises(TransportError) as caught:
        await asyncio.wait_for(fetch(transport, url, dial), 10)
    assert "127.0.0.1" in caught.value.what or "registry.test" in caught.value.what
    return caught.value.trouble


def closed_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


async def test_t25_a_refused_connection(transport: HttpTransport) -> None:
    url = f"http://127.0.0.1:{closed_port()}/"
    assert await trouble(transport, url) is Trouble.REFUSED


async def test_t25_a_port_that_never_completes_the_handshake(transport: HttpTransport) -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        crowd = [socket.socket() for _ in range(3)]
        for one in crowd:  # fills the backlog: further SYNs are dropped, as in a black hole
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        url = f"http://127.0.0.1:{full.getsockname()[1]}/"
        found = await trouble(transport, url, replace(DIAL, connect_seconds=0.1))
        for one in crowd:
            one.close()
    assert found is Trouble.CONNECT_TIMEOUT


async def test_t25_a_tls_handshake_that_stalls(transport: HttpTransport) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(5)
        url = f"https://127.0.0.1:{silent.getsockname()[1]}/"
        found = await trouble(transport, url, replace(DIAL, connect_seconds=0.1))
    assert found is Trouble.CONNECT_TIMEOUT


async def test_t25_accepted_and_then_silence(transport: HttpTransport, server: Loopback) -> None:
    url = server.on("/", Scripted(hang=True))
    dial = replace(DIAL, first_byte_seconds=0.05)
    assert await trouble(transport, url, dial) is Trouble.FIRST_BYTE_TIMEOUT


async def test_t25_an_idle_connection_into_a_black_hole_is_bounded(
    transport: HttpTransport, server: Loopback
) -> None:
    dial = replace(DIAL, first_byte_seconds=0.05)
    url = server.on("/", FINE)
    assert await fetch(transport, url, dial) == b"fine"
    server.dead = True
    assert await trouble(transport, url, dial) is Trouble.FIRST_BYTE_TIMEOUT
    server.dead = False
    assert await fetch(transport, url, dial) == b"fine"
    assert server.connections == 2, "the silent connection was not used again"


async def test_a_kept_connection_that_was_closed_is_replaced_without_a_word(
    transport: HttpTransport, server: Loopback
) -> None:
    server.close_after_reply = True
    url = server.on("/", FINE)
    for _ in range(5):
        assert await fetch(transport, url) == b"fine"


async def test_connections_are_kept(transport: HttpTransport, server: Loopback) -> None:
    url = server.on("/", FINE)
    for _ in range(5):
        await fetch(transport, url)
    assert server.connections == 1
    assert transport.statistics().reused == 4


async def test_each_dial_has_a_pool_of_its_own(transport: HttpTransport, server: Loopback) -> None:
    url = server.on("/", FINE)
    await fetch(transport, url)
    await fetch(transport, url, replace(DIAL, connections_max=3))
    assert (transport.statistics().pools, server.connections) == (2, 2)


@pytest.mark.parametrize(
    "raw",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"A: " + b"x" * 100_000 + b"\r\n\r\n",
    ],
)
async def test_what_is_not_http_is_protocol_trouble(
    transport: HttpTransport, server: Loopback, raw: bytes
) -> None:
    assert await trouble(transport, server.on("/", raw)) is Trouble.PROTOCOL


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n123",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n",
    ],
)
async def test_t13_an_end_before_the_end_is_a_cut(
    transport: HttpTransport, server: Loopback, raw: bytes
) -> None:
    assert await trouble(transport, server.on("/", raw)) is Trouble.CUT


async def test_a_header_that_would_split_the_request_is_not_sent(
    transport: HttpTransport, server: Loopback
) -> None:
    url = server.on("/", FINE)
    with pytest.raises(TransportError) as caught:
        await transport.send("GET", url, Headers((("X", "a\r\nB: c"),)), DIAL)
    assert caught.value.trouble is Trouble.PROTOCOL
    assert server.heads == []


# ---- TLS


async def test_t08_an_unknown_certificate_is_tls_trouble_and_the_ca_file_cures_it(
    transport: HttpTransport, tmp_path: Path
) -> None:
    tls, ca_file = server_tls(tmp_path)
    async with Loopback(tls) as server:
        url = server.on("/", FINE)
        assert await trouble(transport, url) is Trouble.TLS
        assert server.heads == []
        trusting = replace(DIAL, ca_file=str(ca_file))
        assert await fetch(transport, url, trusting) == b"fine"
        named = url.replace("127.0.0.1", "registry.test")
        assert await fetch(transport, named, trusting) == b"fine"
        missing = replace(DIAL, ca_file=str(tmp_path / "none.pem"))
        with pytest.raises(TransportError, match=r"none\.pem"):
            await fetch(transport, url, missing)


async def test_a_certificate_of_another_name_is_tls_trouble(
    tmp_path: Path, transport: HttpTransport
) -> None:
    tls, ca_file = server_tls(tmp_path)
    async with Loopback(tls) as server:
        url = server.on("/", FINE).replace("127.0.0.1", "rebound.test")
        dial = replace(DIAL, ca_file=str(ca_file), private_hosts=frozenset({"rebound.test"}))
        with pytest.raises(TransportError, match="rebound") as caught:
            await fetch(transport, url, dial)
        assert caught.value.trouble is Trouble.TLS


# ---- addresses


async def test_t05_a_name_that_resolves_inside_is_refused_when_it_is_dialled(
    transport: HttpTransport, server: Loopback
) -> None:
    url = server.on("/", FINE).replace("127.0.0.1", "rebound.test")
    with pytest.raises(TransportError) as caught:
        await fetch(transport, url)
    assert caught.value.trouble is Trouble.FORBIDDEN_ADDRESS
    assert server.connections == 0


# ---- proxies


async def test_a_plain_request_goes_through_the_proxy(
    transport: HttpTransport, server: Loopback
) -> None:
    server.on("http://registry.example/x", FINE)
    dial = replace(DIAL, proxy=f"http://user:pw@127.0.0.1:{server.port}")
    assert await fetch(transport, "http://registry.example/x", dial) == b"fine"
    assert server.heads[0].startswith("GET http://registry.example/x HTTP/1.1\r\n")
    assert "Proxy-Authorization: Basic " in server.heads[0]


async def test_a_secure_request_asks_the_proxy_for_a_tunnel(
    transport: HttpTransport, server: Loopback
) -> None:
    server.on("registry.example:443", Scripted(407))
    dial = replace(DIAL, proxy=f"http://127.0.0.1:{server.port}")
    with pytest.raises(TransportError, match="proxy: 407"):
        await fetch(transport, "https://registry.example/x", dial)
    assert server.heads[0].startswith("CONNECT registry.example:443 ")


async def test_a_dead_proxy_is_named(transport: HttpTransport) -> None:
    dial = replace(DIAL, proxy=f"http://127.0.0.1:{closed_port()}")
    with pytest.raises(TransportError, match="proxy") as caught:
        await fetch(transport, "https://registry.example/x", dial)
    assert caught.value.trouble is Trouble.REFUSED


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("https://a.example/x", "http://secure:3128"),
        ("http://a.example/x", "http://plain:3128"),
        ("https://a.internal/x", ""),
        ("https://internal/x", ""),
        ("https://notinternal/x", "http://secure:3128"),
        ("https://b.dotted/x", ""),
        ("https://dotted/x", "http://secure:3128"),
        ("https://10.1.2.3/x", ""),
        ("https://11.1.2.3/x", "http://secure:3128"),
        ("https://ported.example:5000/x", ""),
        ("https://ported.example/x", "http://secure:3128"),
        ("http://localhost:5000/x", ""),
        ("http://127.0.0.1:5000/x", ""),
        ("http://[::1]:5000/x", ""),
    ],
)
def test_the_environment_is_read_as_go_programs_read_it(url: str, wanted: str) -> None:
    environment = {
        "HTTPS_PROXY": "http://secure:3128",
        "http_proxy": "plain:3128",
        "NO_PROXY": "internal, .dotted,10.0.0.0/8,ported.example:5000",
    }
    assert proxy_for(url, environment) == wanted
    assert proxy_for(url, {}) == ""
    assert proxy_for(url, {"ALL_PROXY": "http://p", "NO_PROXY": "*"}) == ""


async def test_logs_never_hold_a_token(
    transport: HttpTransport, server: Loopback, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    url = server.on("/", FINE, Scripted(body=b"xx", cut_after=1), b"junk\r\n\r\n", b"")
    headers = Headers((("Authorization", "Bearer tok-1a2b"),))
    said = []
    for _ in range(4):
        try:
            exchange = await transport.send("GET", f"{url}?sig=tok-1a2b", headers, DIAL)
            said.append(repr(exchange))
            said += [repr(chunk) async for chunk in exchange.chunks()]
        except TransportError as error:
            said.append(f"{error!r} {error}")
    assert len(server.heads) >= 4
    assert "tok-1a2b" not in "".join([*said, caplog.text])


async def test_cancelling_leaves_nothing(transport: HttpTransport, server: Loopback) -> None:
    url = server.on("/", Scripted(hang=True))
    before = asyncio.all_tasks()
    sending = asyncio.ensure_future(transport.send("GET", url, NO_HEADERS, DIAL))
    await asyncio.wait_for(server.was_asked.wait(), 5)
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    await transport.close()
    ours = {t for t in asyncio.all_tasks() - before if "Loopback" not in repr(t)}
    assert ours == set()
