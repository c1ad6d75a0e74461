"""Every kind of `Duplex` keeps the same promises: in memory, a client's, an origin's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from skerry.adapters.http_client import HttpTransport
from skerry.adapters.resolver import NameResolver
from skerry.aio.tasks import Nursery
from skerry.base.clock import SystemClock
from skerry.upstream.ports import Dial
from skerry.wire.message import Answer, BodyAborted, Duplex, Headers, Request
from skerry.wire.testing import CHECKS, Check, pair
from tests.adapters.http_door import Front, connect, guarded, opened, until

Ends = tuple[Duplex, Duplex]
SWITCH = Headers((("Connection", "upgrade"), ("Upgrade", "x")))


class StreamEnd:
    """The far end of a socket, as a test holds it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def chunks(self) -> AsyncIterator[bytes]:
        while chunk := await self._reader.read(65536):
            yield chunk

    async def write(self, data: bytes) -> None:
        try:
            self._writer.write(data)
            await self._writer.drain()
        except ConnectionError as error:
            raise BodyAborted("gone") from error

    async def finish(self) -> None:
        self._writer.write_eof()

    async def close(self) -> None:
        self._writer.transport.abort()


@asynccontextmanager
async def in_memory() -> AsyncIterator[Ends]:
    yield pair()


@asynccontextmanager
async def of_a_client() -> AsyncIterator[Ends]:
    ends: list[Duplex] = []
    over = asyncio.Event()

    async def tunnel(client: Duplex) -> None:
        ends.append(client)
        await over.wait()

    async def route(request: Request) -> Answer:
        return Answer(101, SWITCH, tunnel=tunnel)

    async with opened(Front({"/": route})) as door:
        client = await connect(door)
        await client.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
        await client.head()
        await until(lambda: len(ends) == 1)
        try:
            yield ends[0], StreamEnd(client.reader, client.writer)
        finally:
            over.set()
            client.leave()


@asynccontextmanager
async def of_an_origin() -> AsyncIterator[Ends]:
    far: list[StreamEnd] = []

    async def switch(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"
        )
        far.append(StreamEnd(reader, writer))

    server = await asyncio.start_server(switch, "127.0.0.1", 0)
    crashes: list[BaseException] = []
    nursery = Nursery(on_crash=lambda name, error: crashes.append(error))
    resolver = NameResolver(clock=SystemClock(), nursery=nursery, servers=())
    transport = HttpTransport(resolver=resolver, nursery=nursery)
    port = server.sockets[0].getsockname()[1]
    exchange = await transport.send(
        "GET", f"http://127.0.0.1:{port}/", SWITCH, Dial(private_hosts=frozenset({"127.0.0.1"}))
    )
    near = exchange.switched()
    assert near is not None
    await exchange.close()
    try:
        yield near, far[0]
    finally:
        await near.close()
        await far[0].close()
        await transport.close()
        await nursery.close()
        server.close()
        assert not crashes


MAKERS: tuple[Callable[[], AbstractAsyncContextManager[Ends]], ...] = (
    in_memory,
    of_a_client,
    of_an_origin,
)


@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_a_duplex_keeps_its_promises(
    make: Callable[[], AbstractAsyncContextManager[Ends]], check: Check
) -> None:
    async with make() as (near, far):
        work: Awaitable[None] = check(near, far)
        await guarded(work)
