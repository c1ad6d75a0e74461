"""A client's connection whose bytes belong to another protocol, and the way there and back.

Owns what follows a request with `Upgrade`: held until the answer is known, then the first bytes of
the other protocol (101) or parsed as HTTP (every other answer). Never looks into the bytes; says
nothing of who may switch to what. RFC 9110 section 7.8.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import httptools

from skerry.adapters.http_server_speech import Fields, encode_head
from skerry.adapters.http_server_state import Stage
from skerry.adapters.http_server_strict import announces_body
from skerry.wire.message import Answer, BodyAborted

if TYPE_CHECKING:
    from skerry.adapters.http_server_connection import DoorConnection

HELD_BYTES_MAX = 64 << 10
"""What a client may send ahead of its reader before it has to wait."""

_FRAMING = (b"content-length", b"transfer-encoding")


class ClientSide:
    """`Duplex` over a client's connection; holds what comes before anybody reads."""

    def __init__(self, connection: DoorConnection) -> None:
        self._connection = connection
        self._held = bytearray()
        self._changed = asyncio.Event()
        self._ended = self._lost = self._read = False
        self.open = False
        self.task: asyncio.Task[None] | None = None

    # what the connection tells

    def received(self, data: bytes) -> None:
        """More bytes of the client."""
        self._held += data
        if len(self._held) > HELD_BYTES_MAX:
            self._connection.flow.pause_reading()
        self._changed.set()

    def ended(self) -> bool:
        """The client ended its half; whether the connection stays open for ours."""
        self._ended = True
        self._changed.set()
        return self.open

    def lost(self) -> None:
        """The connection is gone."""
        self._lost = True
        self._changed.set()
        if self._read and self.task is not None:
            self.task.cancel()  # nobody reads here any more, so nobody would notice

    def taken(self) -> bytes:
        """What was held, which is nobody's then."""
        held, self._held = bytes(self._held), bytearray()
        return held

    # Duplex

    def chunks(self) -> AsyncIterator[bytes]:
        return self

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        while not self._held:
            if self._lost:
                raise BodyAborted("the client has left")
            if self._ended:
                self._read = True
                raise StopAsyncIteration
            self._changed.clear()
            await self._changed.wait()
        if not self._lost:
            self._connection.flow.resume_reading()
        return self.taken()

    async def write(self, data: bytes) -> None:
        if not self._lost:
            self._connection.transport.write(data)
            await self._connection.flow.drain()
        if self._lost or self._connection.transport.is_closing():
            raise BodyAborted("the client has left")

    async def finish(self) -> None:
        if self._lost or self._connection.transport.is_closing():
            return
        if self._connection.transport.can_write_eof():
            self._connection.transport.write_eof()
        else:
            await self.close()  # this TLS has no halves

    async def close(self) -> None:
        self._connection.transport.close()


async def switch(connection: DoorConnection, fields: Fields, answer: Answer) -> None:
    """Answers 101 and lets the tunnel speak until it returns; then the connection closes."""
    client, cycle, tunnel = connection.switching, connection.active, answer.tunnel
    assert client is not None  # noqa: S101  the handler is shown no Upgrade without it
    assert tunnel is not None  # noqa: S101  the caller looked
    assert cycle is not None  # noqa: S101  one that is being answered
    traffic = connection.state.traffic
    traffic.tunnel_count += 1
    try:
        if not connection.outlet.lost:
            client.open, client.task = True, asyncio.current_task()
            connection.transport.write(encode_head(101, fields))
        await tunnel(client)
    except asyncio.CancelledError:
        if not connection.outlet.lost:
            raise
    finally:
        traffic.tunnel_count -= 1
        client.open = False
        cycle.response_started = cycle.response_complete = True
        connection.transport.close()


def may_switch(connection: DoorConnection) -> bool:
    """Whether the request whose head has just been read may end as a tunnel."""
    parser = connection.parser
    return (
        parser.should_upgrade()
        and parser.get_method() == b"GET"
        and parser.get_http_version() == "1.1"
        and not announces_body(connection.headers)
    )


def read_on(connection: DoorConnection, rest: bytes) -> None:
    """Reads what follows a request with `Upgrade` that will not switch: its body, or the next
    request.

    The parser takes everything behind such a head for another protocol, also a body that the head
    announces. A new one is shown the same framing without the offer.
    """
    parser = fresh_parser(connection)
    if announces_body(connection.headers) and connection.stage is Stage.BODY:
        framing = [field for field in connection.headers if field[0] in _FRAMING]
        connection.primed = True
        lines = [b"POST / HTTP/1.1", *(name + b": " + value for name, value in framing), b"", b""]
        parser.feed_data(b"\r\n".join(lines))
        connection.primed = False
    connection.parser = parser
    if rest:
        connection.data_received(rest)


def fresh_parser(connection: DoorConnection) -> httptools.HttpRequestParser:
    """As uvicorn makes it, also for what follows a request that closes the connection."""
    parser = httptools.HttpRequestParser(connection)
    parser.set_dangerous_leniencies(lenient_data_after_close=True)
    return parser
