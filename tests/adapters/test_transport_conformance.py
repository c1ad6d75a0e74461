"""What every `Transport` must do, run on the memory twin and on aiohttp over loopback."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Protocol

import pytest
from loopback import Loopback

from skerry.adapters.http_client import HttpTransport
from skerry.adapters.resolver import NameResolver
from skerry.aio.tasks import Nursery
from skerry.base.clock import SystemClock
from skerry.upstream.ports import Dial, Transport, TransportError, Trouble
from skerry.upstream.testing_transport import MemoryTransport, Scripted
from skerry.wire.message import NO_HEADERS, Headers

DIAL = Dial(
    connect_seconds=5,
    first_byte_seconds=5,
    stall_seconds=5,
    private_hosts=frozenset({"127.0.0.1"}),
)


class World(Protocol):
    """A transport, and a server that does as it is told."""

    transport: Transport

    def on(self, path: str, *script: Scripted) -> str: ...
    def sent(self) -> str:
        """The last request's target and fields, as text."""


class MemoryWorld:
    def __init__(self) -> None:
        self.transport = MemoryTransport()

    def on(self, path: str, *script: Scripted) -> str:
        url = f"http://127.0.0.1:8000{path}"
        self.transport.on(url, *script)
        return url

    def sent(self) -> str:
        seen = self.transport.seen[-1]
        fields = "".join(f"{name}: {value}\r\n" for name, value in seen.headers)
        return f"{seen.method} {seen.url.partition(':8000')[2]} HTTP/1.1\r\n{fields}"


class RealWorld:
    def __init__(self, transport: HttpTransport, server: Loopback) -> None:
        self.transport = transport
        self.server = server

    def on(self, path: str, *script: Scripted) -> str:
        return self.server.on(path, *script)

    def sent(self) -> str:
        return self.server.heads[-1]


@pytest.fixture(params=["memory", "aiohttp"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    if request.param == "memory":
        yield MemoryWorld()
        return
    crashes: list[str] = []
    nursery = Nursery(on_crash=lambda name, error: crashes.append(name))
    resolver = NameResolver(clock=SystemClock(), nursery=nursery)
    transport = HttpTransport(resolver=resolver, nursery=nursery, environment={})
    async with Loopback() as server:
        yield RealWorld(transport, server)
        await transport.close()
    await nursery.close()
    assert crashes == []


async def body_of(world: World, url: str, dial: Dial = DIAL) -> bytes:
    exchange = await world.transport.send("GET", url, NO_HEADERS, dial)
    return b"".join([chunk async for chunk in exchange.chunks()])


async def trouble_of(world: World, url: str, dial: Dial = DIAL) -> Trouble:
    with pytest.raises(TransportError) as caught:
        await body_of(world, url, dial)
    assert "secret" not in str(caught.value)
    return caught.value.trouble


async def test_an_answer_comes_as_it_was_sent(world: World) -> None:
    fields = (("X-One", "1"), ("Link", "a"), ("Link", "b"), ("Content-Encoding", "gzip"))
    url = world.on("/x", Scripted(404, fields, b"not really gzip"))
    exchange = await world.transport.send("GET", url, NO_HEADERS, DIAL)
    assert exchange.status == 404
    assert exchange.headers.all("link") == ("a", "b")
    assert exchange.headers.get("content-length") == "15"
    assert b"".join([chunk async for chunk in exchange.chunks()]) == b"not really gzip"
    await exchange.close()
    await exchange.close()


async def test_a_large_body_comes_whole(world: World) -> None:
    body = bytes(range(256)) * 20_000
    assert await body_of(world, world.on("/x", Scripted(body=body))) == body


async def test_head_has_the_length_and_no_body(world: World) -> None:
    url = world.on("/x", Scripted(200, (), b"12345"))
    exchange = await world.transport.send("HEAD", url, NO_HEADERS, DIAL)
    assert exchange.headers.get("content-length") == "5"
    assert [chunk async for chunk in exchange.chunks()] == []


async def test_repeated_fields_and_encoded_targets_leave_as_given(world: World) -> None:
    url = world.on("/v2/a%2fb%7Ec", Scripted())
    headers = Headers((("Accept", "x/1"), ("Accept", "x/2"), ("Range", "bytes=5-")))
    await world.transport.send("GET", f"{url}?sig=a%2bb%3D+~%7E&n=1", headers, DIAL)
    sent = world.sent()
    assert sent.startswith("GET /v2/a%2fb%7Ec?sig=a%2bb%3D+~%7E&n=1 HTTP/1.1\r\n")
    assert "Accept: x/1\r\n" in sent
    assert "Accept: x/2\r\n" in sent
    assert "Accept-Encoding" not in sent
    assert "Authorization" not in sent


async def test_t05_a_redirect_is_handed_back_not_followed(world: World) -> None:
    url = world.on("/x", Scripted(307, (("Location", "/y"),)))
    exchange = await world.transport.send("GET", url, NO_HEADERS, DIAL)
    assert (exchange.status, exchange.headers.get("location")) == (307, "/y")


async def test_cookies_are_not_kept(world: World) -> None:
    url = world.on("/x", Scripted(200, (("Set-Cookie", "a=1"),)))
    await body_of(world, url)
    await body_of(world, url)
    assert "Cookie: a" not in world.sent()


async def test_a_body_that_is_cut_is_cut(world: World) -> None:
    url = world.on("/x", Scripted(body=b"x" * 100, cut_after=50))
    assert await trouble_of(world, f"{url}?secret") is Trouble.CUT


async def test_a_body_that_falls_silent_is_a_stall(world: World) -> None:
    url = world.on("/x", Scripted(body=b"x" * 100, stall_after=50))
    assert await trouble_of(world, url, replace(DIAL, stall_seconds=0.05)) is Trouble.STALL


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/x",
        "http://10.255.255.1/?secret",
        "http://[::1]:1/x",
        "http://0x7f.1/",
    ],
)
async def test_t02_inside_addresses_are_not_dialled(world: World, url: str) -> None:
    assert await trouble_of(world, url) is Trouble.FORBIDDEN_ADDRESS


@pytest.mark.parametrize("url", ["ftp://a.example/", "http://u:secret@127.0.0.1/", "http://", "x"])
async def test_what_is_no_web_address_is_protocol_trouble(world: World, url: str) -> None:
    assert await trouble_of(world, url) is Trouble.PROTOCOL


async def test_leaving_a_body_unread_is_allowed(world: World) -> None:
    url = world.on("/x", Scripted(body=b"x" * 3_000_000))
    exchange = await world.transport.send("GET", url, NO_HEADERS, DIAL)
    await anext(exchange.chunks())
    await exchange.close()
    assert await body_of(world, world.on("/y", Scripted(body=b"y"))) == b"y"
