"""Where the site's resolver listens: datagrams and streams of one address.

Owns sockets and their limits. What is said is `trust.stub`'s. RFC 7766 (streams).
"""

from __future__ import annotations

import asyncio
from typing import Protocol, cast

from skerry.aio.tasks import Nursery
from skerry.base.address import near_of
from skerry.base.errors import Party, SkerryError

STREAMS_MAX = 256
STREAMS_EACH_MAX = 32
"""Of one client: who holds streams open without a question must not keep the others from theirs,
to which every long answer is sent."""
STREAM_IDLE_SECONDS = 10.0
TASKS_MAX = 2048
MESSAGE_BYTES_MIN = 12
QUESTION_BYTES_MAX = 4096


class DnsDoorError(SkerryError):
    """The resolver cannot listen."""

    party = Party.OPERATOR


class Answering(Protocol):
    """`trust.stub.Stub`, as far as it is needed here."""

    async def answer(self, data: bytes, address: str, *, stream: bool) -> bytes | None:
        """The answer to one message; None for none."""


class DnsDoor:
    """One address, UDP and TCP."""

    def __init__(self, stub: Answering, host: str, port: int, *, nursery: Nursery) -> None:
        self._stub = stub
        self._host, self.port = host, port
        self._nursery = nursery
        self._transport: asyncio.DatagramTransport | None = None
        self._server: asyncio.Server | None = None
        self._streams: dict[asyncio.StreamWriter, str] = {}
        self._tasks = 0

    async def open(self) -> None:
        """Listens. Raises DnsDoorError."""
        loop = asyncio.get_running_loop()
        try:
            self._server = await asyncio.start_server(
                self._connected, self._host, self.port, limit=QUESTION_BYTES_MAX + 2
            )
            self.port = self._server.sockets[0].getsockname()[1]
            self._transport, _ = await loop.create_datagram_endpoint(
                lambda: _Datagrams(self), local_addr=(self._host, self.port)
            )
        except OSError as error:
            self.close()
            raise DnsDoorError(
                f"dns.listen {self._host}:{self.port} cannot be opened: {error.strerror}",
                next_step="see who has it: ss -lup; below 1024 it takes CAP_NET_BIND_SERVICE",
            ) from error

    def close(self) -> None:
        """Stops listening and lets everybody go."""
        if self._transport is not None:
            self._transport.close()
        if self._server is not None:
            self._server.close()
        for writer in tuple(self._streams):
            writer.close()

    def arrived(self, data: bytes, address: tuple[str, int]) -> None:
        """A datagram."""
        if self._tasks < TASKS_MAX and MESSAGE_BYTES_MIN <= len(data) <= QUESTION_BYTES_MAX:
            self._tasks += 1
            self._nursery.start(self._answered(data, address), name="dns answer")

    async def _answered(self, data: bytes, address: tuple[str, int]) -> None:
        try:
            said = await self._stub.answer(data, address[0], stream=False)
            if said is not None and self._transport is not None:
                self._transport.sendto(said, address)
        finally:
            self._tasks -= 1

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = writer.get_extra_info("peername")
        address = str(peer[0]) if peer else ""  # gone before it was looked at
        near = near_of(address)
        own = sum(each == near for each in self._streams.values())
        if not peer or len(self._streams) >= STREAMS_MAX or own >= STREAMS_EACH_MAX:
            writer.close()
            return
        self._streams[writer] = near
        try:
            while True:
                async with asyncio.timeout(STREAM_IDLE_SECONDS):
                    size = int.from_bytes(await reader.readexactly(2), "big")
                    if not MESSAGE_BYTES_MIN <= size <= QUESTION_BYTES_MAX:
                        return
                    data = await reader.readexactly(size)
                said = await self._stub.answer(data, address, stream=True)
                if said is None:
                    return
                async with asyncio.timeout(STREAM_IDLE_SECONDS):
                    writer.write(len(said).to_bytes(2, "big") + said)
                    await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            return
        finally:
            self._streams.pop(writer, None)
            writer.close()


class _Datagrams(asyncio.DatagramProtocol):
    """Hands on what arrives."""

    def __init__(self, door: DnsDoor) -> None:
        self._door = door

    def datagram_received(self, data: bytes, addr: object) -> None:
        self._door.arrived(data, cast("tuple[str, int]", addr))
