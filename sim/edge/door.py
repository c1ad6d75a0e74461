"""The node's own door in virtual time: connections without sockets, and its ready answers.

Owns what a client sees of one connection: head and body as bytes, read by a parser that is not the
node's. A client that leaves takes its connection with it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import h11
from uvicorn.server import ServerState

from skerry.adapters.http_server import Door
from skerry.adapters.http_server_connection import DoorConnection
from skerry.app.edge.room import hot_fields
from skerry.base.clock import Clock
from skerry.wire.message import Handler, Headers


class Wire(asyncio.Transport):
    """A connection that keeps what is written to it, and takes it at once."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 2)})
        self.written = bytearray()
        self.closed = False
        self.changed = asyncio.Event()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self.closed:
            self.written += data
            self.changed.set()

    def close(self) -> None:
        self.closed = True
        self.changed.set()

    def abort(self) -> None:
        self.close()

    def write_eof(self) -> None:
        self.close()

    def can_write_eof(self) -> bool:
        return True

    def is_closing(self) -> bool:
        return self.closed

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        return None

    def pause_reading(self) -> None:
        return None

    def resume_reading(self) -> None:
        return None


@dataclass(frozen=True, slots=True)
class Got:
    """What came over a connection; `broken` when it ended before the body did."""

    status: int
    headers: Headers
    body: bytes
    broken: bool = False


class SimDoor:
    """One door of one life of the node. `door.hot` has its ready answers."""

    def __init__(self, handler: Handler, clock: Clock) -> None:
        self.door = Door(
            handler,
            name="edge",
            host="127.0.0.1",
            port=0,
            clock=clock,
            hot_fields=hot_fields(),
            plain_refusals=True,
        )
        self.door._config.load()
        self.door._nursery.start(self.door._beat(), name="door.beat")

    async def ask(self, method: str, target: str, headers: Headers) -> Got:
        """One request on a connection of its own."""
        lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers)]
        if method == "POST":
            lines.append("Content-Length: 0")
        wire = Wire()
        connection = DoorConnection(
            config=self.door._config, server_state=ServerState(), state=self.door._state
        )
        connection.connection_made(wire)
        try:
            connection.data_received("\r\n".join([*lines, "", ""]).encode())
            return await _answer(wire, method)
        finally:
            connection.connection_lost(None)

    async def close(self) -> None:
        """Ends its tasks."""
        await self.door.close()


async def _answer(wire: Wire, method: str) -> Got:
    reader = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)
    reader.send(h11.Request(method=method, target="/", headers=[("Host", "x")]))
    reader.send(h11.EndOfMessage())
    status, headers, body = 0, Headers(), bytearray()
    while True:
        event = reader.next_event()
        if isinstance(event, h11.Response):
            status = event.status_code
            raw = event.headers.raw_items()
            headers = Headers((name.decode(), value.decode("latin-1")) for name, value in raw)
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage):
            return Got(status, headers, bytes(body))
        elif event is h11.NEED_DATA:
            while not wire.written and not wire.closed:
                wire.changed.clear()
                await wire.changed.wait()
            if not wire.written:
                return Got(status, headers, bytes(body), broken=True)
            reader.receive_data(bytes(wire.written))
            wire.written.clear()
