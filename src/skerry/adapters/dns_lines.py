"""Datagrams and streams to one name server.

Owns sockets. A datagram has a socket and a port of its own, so that a forger has to guess it (RFC
5452); a stream is kept for some seconds and carries many questions (RFC 7766), plain or TLS (RFC
7858, the certificate always checked).
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable

from skerry.adapters.dns_messages import Sent, Verdict, read
from skerry.aio.offload import off_loop
from skerry.aio.tasks import Nursery
from skerry.trust.core.names.servers import Server
from skerry.trust.core.names.values import Message

FOREIGN_MAX = 8
"""Answers that are not ours, after which a datagram is given up for a stream."""
IDLE_SECONDS = 10.0
WAITING_MAX = 256
LONG_MESSAGE_BYTES = 4096

Trust = Callable[[], Awaitable[ssl.SSLContext]]


class Spoiled(Exception):
    """Somebody sends answers that are not the server's, or without their letters' case."""


class _Datagrams(asyncio.DatagramProtocol):
    """One question's socket."""

    def __init__(self, sent: Sent) -> None:
        self._sent = sent
        self._foreign = 0
        self.found: asyncio.Future[tuple[Verdict, Message]]
        self.found = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, addr: object) -> None:
        if self.found.done():
            return
        verdict, reply = read(self._sent, data, stream=False)
        if reply is not None:
            self.found.set_result((verdict, reply))
            return
        self._foreign += 1
        if verdict is Verdict.CASE or self._foreign >= FOREIGN_MAX:
            self.found.set_exception(Spoiled())

    def error_received(self, exc: Exception) -> None:
        if not self.found.done():
            self.found.set_exception(exc)


async def by_datagram(server: Server, sent: Sent, seconds: float) -> tuple[Verdict, Message]:
    """The answer to one datagram. Raises TimeoutError, OSError, Spoiled."""
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_datagram_endpoint(
        lambda: _Datagrams(sent), remote_addr=(server.address, server.port)
    )
    try:
        transport.sendto(sent.wire)
        async with asyncio.timeout(seconds):
            return await protocol.found
    finally:
        transport.close()
        protocol.found.cancel()


class StreamLine:
    """A connection to one server, made when it is needed and let go when it is not."""

    def __init__(self, server: Server, *, nursery: Nursery, trust: Trust) -> None:
        self._server = server
        self._nursery = nursery
        self._trust = trust
        self._writer: asyncio.StreamWriter | None = None
        self._connecting = asyncio.Lock()
        self._waiting: dict[int, tuple[Sent, asyncio.Future[Message]]] = {}
        self._idle: asyncio.TimerHandle | None = None

    async def ask(self, sent: Sent, seconds: float) -> Message:
        """The answer to one question. Raises TimeoutError, OSError (ssl.SSLError is one)."""
        async with asyncio.timeout(seconds):
            async with self._connecting:
                writer = self._writer or await self._connect()
            if sent.id in self._waiting or len(self._waiting) >= WAITING_MAX:
                raise OSError("too many questions wait for this server")
            found: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
            self._waiting[sent.id] = (sent, found)
            try:
                writer.write(len(sent.wire).to_bytes(2, "big") + sent.wire)
                await writer.drain()
                return await found
            finally:
                self._waiting.pop(sent.id, None)
                found.cancel()
                self._rest()

    def close(self) -> None:
        """Lets the connection go."""
        writer, self._writer = self._writer, None
        if self._idle is not None:
            self._idle.cancel()
        if writer is not None:
            writer.close()

    async def _connect(self) -> asyncio.StreamWriter:
        server = self._server
        context = await self._trust() if server.tls else None
        name = (server.name or server.address) if server.tls else None
        reader, writer = await asyncio.open_connection(
            server.address, server.port, ssl=context, server_hostname=name
        )
        self._writer = writer
        self._nursery.start(self._read(reader, writer), name="dns stream")
        return writer

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        error: Exception = ConnectionResetError("the server closed the connection")
        try:
            while True:
                size = int.from_bytes(await reader.readexactly(2), "big")
                await self._arrived(await reader.readexactly(size))
        except (OSError, asyncio.IncompleteReadError) as caught:
            error = caught if isinstance(caught, OSError) else error
        finally:
            if self._writer is writer:
                self._writer = None
            writer.close()
            for _, found in self._waiting.values():
                if not found.done():
                    found.set_exception(error)

    async def _arrived(self, data: bytes) -> None:
        waiting = self._waiting.get(int.from_bytes(data[:2], "big"))
        if waiting is None:
            return
        sent, found = waiting
        # The threshold is counted up to the one of `off_loop`: reading costs more than hashing.
        size = len(data) * 64 if len(data) > LONG_MESSAGE_BYTES else 0
        _, reply = await off_loop(size, lambda: read(sent, data, stream=True))
        if reply is not None and not found.done():
            found.set_result(reply)

    def _rest(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
        loop = asyncio.get_running_loop()
        self._idle = None if self._waiting else loop.call_later(IDLE_SECONDS, self.close)


def trust_of(ca_file: str | None) -> Trust:
    """The system's authorities and one more file, read once, in a thread. Always verifying."""
    made: list[ssl.SSLContext] = []

    def load() -> ssl.SSLContext:
        context = ssl.create_default_context()
        context.set_alpn_protocols(["dot"])
        if ca_file:
            context.load_verify_locations(ca_file)
        return context

    async def trust() -> ssl.SSLContext:
        if not made:
            made.append(await asyncio.to_thread(load))
        return made[0]

    return trust
