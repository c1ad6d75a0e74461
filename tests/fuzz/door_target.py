"""A connection's bytes through the real door and the real edge, in memory.

What must hold of any bytes: nothing fails unhandled, no request is answered twice, and whatever
goes on to the origin is read there, by another parser, as exactly the request that was meant.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

import h11
from uvicorn.server import ServerState

from skerry.adapters.http_client_head import Framing, request_head
from skerry.adapters.http_server import Door
from skerry.adapters.http_server_connection import DoorConnection
from skerry.adapters.http_server_state import Stage
from skerry.app.edge.room import hot_fields
from skerry.upstream.ports import Exchange
from skerry.wire.message import Answer, Headers, Interim, Request
from tests.cdn.world import FakeExchange, FakeOrigin, World

TURNS_MAX = 400
WAITING_TURNS = 20
HOST = b"Host: www.example.org\r\n"
SEEDS = (
    b"GET /a HTTP/1.1\r\n" + HOST + b"\r\n",
    b"GET /a HTTP/1.1\r\n" + HOST + b'Range: bytes=1-2, 4-\r\nIf-Range: "1"\r\n\r\n',
    b"GET /a HTTP/1.1\r\n" + HOST + b'If-None-Match: "1"\r\nCache-Control: no-cache\r\n\r\n',
    b"HEAD /b?x=1&y=2 HTTP/1.1\r\n" + HOST + b"\r\nGET /a HTTP/1.1\r\n" + HOST + b"\r\n",
    b"POST /a HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\n\r\nhello",
    b"PUT /a HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    b"POST /a HTTP/1.1\r\n"
    + HOST
    + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /x HTTP/1.1\r\n\r\n",
    b"GET http://www.example.org/a HTTP/1.1\r\n"
    + HOST
    + b"Connection: close, X-A\r\nX-A: 1\r\n\r\n",
    b"OPTIONS /a HTTP/1.1\r\n" + HOST + b"Max-Forwards: 1\r\nExpect: 100-continue\r\n\r\n",
    b"GET /a%2e%2e/b;x.css?a=%26 HTTP/1.0\r\n" + HOST + b"\r\n",
    b"GET /a HTTP/1.1\nHost : x\n X: folded\n\n",
)

WORDS = (
    b"Content-Length: 0\r\n",
    b"Content-Length: 5\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding : chunked\r\n",
    b"Content-Length: +1\r\n",
    b"\r\n\r\n",
    b"\n\n",
    b"\r\n ",
    b"0\r\n\r\n",
    b"5\r\nhello\r\n",
    b"1;a=b\r\nx\r\n",
    HOST,
    b"Connection: keep-alive\r\n",
    b"Connection: Content-Length\r\n",
    b"Upgrade: websocket\r\nConnection: Upgrade\r\n",
    b"Range: bytes=0-0,2-3\r\n",
    b'If-Range: "1"\r\n',
    b"Expect: 100-continue\r\n",
    b" HTTP/1.1\r\n",
    b"GET /a HTTP/1.1\r\n",
    b"POST /a HTTP/1.1\r\n",
    b"CONNECT a:1 HTTP/1.1\r\n",
    b"%2f",
    b"\x00",
    b"Cookie: a=1\r\n",
    b"Authorization: x\r\n",
    b"Cache-Control: only-if-cached\r\n",
)


class Wire(asyncio.Transport):
    """A connection that keeps what is written to it."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 2)})
        self.written = b""
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self.closed:
            self.written += bytes(data)

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        return None

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True

    def pause_reading(self) -> None:
        return None

    def resume_reading(self) -> None:
        return None


class Origin(FakeOrigin):
    """An origin that checks what it is asked with a parser that is not ours."""

    async def send(
        self,
        method: str,
        target: str,
        headers: Headers,
        body: AsyncIterator[bytes] | None = None,
        interim: Interim | None = None,
    ) -> Exchange:
        sent = b"" if body is None else b"".join([chunk async for chunk in body])
        framing = Framing() if body is None else Framing(length_bytes=len(sent))
        head = request_head(method, target, headers, host="origin.example", framing=framing)
        read_as_meant(head + sent, method, target, sent)
        given = Headers((("Cache-Control", "max-age=60"), ("ETag", '"1"'), *self._dated()))
        return FakeExchange(200, given, b"0123456789")


def read_as_meant(wire: bytes, method: str, target: str, body: bytes) -> None:
    """Two other parsers read one request, this one, and nothing behind it."""
    there = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    there.receive_data(wire)
    request = there.next_event()
    assert isinstance(request, h11.Request), wire
    assert (request.method, request.target) == (method.encode(), target.encode()), wire
    got = b""
    while isinstance(event := there.next_event(), h11.Data):
        got += event.data
    assert isinstance(event, h11.EndOfMessage), wire
    assert got == body, wire
    assert there.trailing_data[0] == b"", wire


class Listening(DoorConnection):
    """The door's connection, which tells of every head that it took."""

    methods: list[str]

    def on_headers_complete(self) -> None:
        if not self.primed and self.refusal is None:
            self.methods.append(self.parser.get_method().decode("latin-1"))
        super().on_headers_complete()


class Bench:
    """One edge behind one door, used again and again."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.errors: list[str] = []
        self.world = World(make_origin=Origin, slice_bytes=None)
        self.calls = 0
        self.door = Door(
            self.front,
            name="edge",
            host="127.0.0.1",
            port=0,
            clock=self.world.clock,
            hot_fields=hot_fields(),
            plain_refusals=True,
        )
        self.world.ready.others.add(self.door.hot)
        self.door._config.load()
        loop.set_exception_handler(lambda _, context: self.errors.append(str(context)))

    async def front(self, request: Request) -> Answer:
        self.calls += 1
        return await self.world.rooms.front(request)

    async def feed(self, data: bytes) -> None:
        wire = Wire()
        state = self.door._state
        refused = sum(state.traffic.refused.values())
        connection = Listening(config=self.door._config, server_state=ServerState(), state=state)
        connection.methods = []
        connection.connection_made(wire)
        cut = data[0] % (len(data) or 1) if data else 0
        for piece in (data[:cut], data[cut:]):
            if piece and not wire.closed:
                connection.data_received(piece)
            await self.quiet(connection)
        connection.connection_lost(None)
        await self.quiet(connection)
        refusals = sum(state.traffic.refused.values()) - refused
        finals = count_finals(wire.written, connection.methods)
        assert finals <= len(connection.methods) + refusals, (data, wire.written)
        assert not self.errors, self.errors
        assert not self.world.crashes, self.world.crashes
        assert self.door.statistics().failed == 0, "a handler failed"

    async def quiet(self, connection: DoorConnection) -> None:
        """Until nothing moves, or only the client could move it."""
        waiting = 0
        for turn in range(TURNS_MAX):
            await asyncio.sleep(0)
            if turn > TURNS_MAX // 2:
                await asyncio.to_thread(int)  # behind what threads are at
            if not len(self.door._nursery) and not len(self.world.nursery):
                return
            waiting += connection.stage is Stage.BODY and connection.running()
            if waiting > WAITING_TURNS:
                return


def count_finals(written: bytes, methods: list[str]) -> int:
    """Final answers on the wire, one behind the other; `methods` are those of the requests.

    Nothing may follow an answer that closes the connection. What nobody asked for is read as the
    answer to a GET.
    """
    count, rest = 0, written
    while rest:
        method = methods[count] if count < len(methods) else "GET"
        there = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)
        there.send(h11.Request(method=method, target="/", headers=[("Host", "x")]))
        there.send(h11.EndOfMessage())
        there.receive_data(rest)
        closes = False
        while not isinstance(event := there.next_event(), h11.EndOfMessage):
            if event is h11.NEED_DATA or event is h11.PAUSED:
                return count  # a body that goes on, or another protocol
            if isinstance(event, h11.Response):
                count += 1
                closes = (b"connection", b"close") in event.headers
        rest = there.trailing_data[0]
        if closes and method == "HEAD":
            return count  # a refusal says its sentence, whatever was asked
        assert not (closes and rest), ("bytes behind the last answer", rest[:100])
    return count


_benches: dict[str, Bench] = {}
USES_MAX = 400


def run(data: bytes) -> None:
    """One connection; now and then with a fresh edge, so that none grows without end."""
    loop = asyncio.get_event_loop_policy().get_event_loop()
    bench = _benches.get("bench")
    if bench is None or bench.calls > USES_MAX:
        if bench is not None:
            loop.run_until_complete(bench.world.close())
        bench = _benches["bench"] = loop.run_until_complete(_made(loop))
    loop.run_until_complete(bench.feed(data))


async def _made(loop: asyncio.AbstractEventLoop) -> Bench:
    return Bench(loop)


def seeds() -> list[bytes]:
    logging.disable()
    return list(SEEDS)
