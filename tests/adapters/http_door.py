"""A small front, a growing file and a raw client, for tests of the door over real sockets."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from skerry.adapters.http_hot_way import HotFields
from skerry.adapters.http_server import Door
from skerry.adapters.http_server_state import DoorLimits
from skerry.adapters.http_server_tls import Pair, TlsNames
from skerry.base.clock import Clock, ManualClock, SystemClock
from skerry.wire.message import Answer, BodyAborted, Handler, Headers, Hot, Request
from tests.adapters.relayed import relayed

GUARD_SECONDS = 20.0
Route = Callable[[Request], Awaitable[Answer]]


@dataclass
class Front:
    """Routes by path; counts who asked."""

    routes: dict[str, Route] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    async def __call__(self, request: Request) -> Answer:
        self.asked.append(request.path)
        route = self.routes.get(request.path)
        return Answer(404) if route is None else await route(request)

    def always(self, path: str, answer: Answer) -> None:
        async def route(request: Request) -> Answer:
            return answer

        self.routes[path] = route

    def hot(self, path: str, body: bytes, *, valid_until: float = 1e12) -> list[int]:
        """The list of uses that were told, one number each time."""
        hits: list[int] = []
        hot = Hot(valid_until, lambda uses, size: hits.append(uses))
        self.always(path, Answer(200, body=body, hot=hot))
        return hits


class GrowingFile:
    """A segment over a file that a test fills; `size_bytes` is announced from the start."""

    def __init__(self, path: Path, size_bytes: int, *, offset_bytes: int = 0) -> None:
        self.offset_bytes, self.size_bytes = offset_bytes, size_bytes
        self._writer = os.open(path, os.O_RDWR | os.O_CREAT)
        self._reader = os.open(path, os.O_RDONLY)
        self._end = offset_bytes
        self._error: BodyAborted | None = None
        self._changed = asyncio.Event()
        self.closed = asyncio.Event()

    @classmethod
    def whole(cls, path: Path, data: bytes) -> GrowingFile:
        segment = cls(path, len(data))
        segment.grow(data)
        return segment

    def grow(self, data: bytes) -> None:
        self._end += os.pwrite(self._writer, data, self._end)
        self._changed.set()

    def show(self, end: int) -> None:
        """Makes bytes that are in the file already readable, whether they are or not."""
        self._end = end
        self._changed.set()

    def fail(self) -> None:
        self._error = BodyAborted("the upstream is gone")
        self._changed.set()

    def fileno(self) -> int:
        return self._reader

    async def readable(self, position: int) -> int:
        while self._end <= position and self._error is None:
            self._changed.clear()
            await self._changed.wait()
        if self._end <= position and self._error is not None:
            raise self._error
        return self._end

    def close(self) -> None:
        if not self.closed.is_set():
            os.close(self._writer)
            os.close(self._reader)
            self.closed.set()


@dataclass
class Got:
    status: int
    headers: Headers
    body: bytes


class Client:
    """Speaks raw HTTP/1.1, so that a test sees exactly what is on the wire."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def get(self, path: str, *fields: str, method: str = "GET") -> Got:
        await self.send(request(path, *fields, method=method))
        return await self.answer(method=method)

    async def head(self) -> tuple[int, Headers]:
        text = (await guarded(self.reader.readuntil(b"\r\n\r\n"))).decode("latin-1")
        first, *lines = text.split("\r\n")[:-2]
        fields = (line.partition(": ") for line in lines)
        return int(first.split()[1]), Headers((name, value) for name, _, value in fields)

    async def answer(self, *, method: str = "GET") -> Got:
        status, headers = await self.head()
        if method == "HEAD" or status in (100, 204, 304):
            return Got(status, headers, b"")
        if headers.get("transfer-encoding") == "chunked":
            return Got(status, headers, await self._chunks())
        length = headers.get("content-length")
        read = self.reader.read() if length is None else self.reader.readexactly(int(length))
        return Got(status, headers, await guarded(read))

    async def _chunks(self) -> bytes:
        body = b""
        while size := int(await guarded(self.reader.readuntil(b"\r\n")), 16):
            body += (await guarded(self.reader.readexactly(size + 2)))[:-2]
        await guarded(self.reader.readexactly(2))
        return body

    async def ended(self) -> bool:
        """Waits for the server's end of the connection; True when it is a clean one."""
        try:
            return await guarded(self.reader.read()) == b""
        except ConnectionError:
            return False

    def leave(self) -> None:
        self.writer.transport.abort()


T = TypeVar("T")


async def guarded(work: Awaitable[T]) -> T:
    return await asyncio.wait_for(work, GUARD_SECONDS)


async def until(condition: Callable[[], bool]) -> None:
    """Lets the loop turn until something is so."""

    async def turn() -> None:
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0)

    await guarded(turn())


def request(path: str, *fields: str, method: str = "GET", version: str = "1.1") -> bytes:
    lines = (f"{method} {path} HTTP/{version}", "Host: node", *fields, "", "")
    return "\r\n".join(lines).encode()


@asynccontextmanager
async def straight(front: Front) -> AsyncIterator[Handler]:
    """A door whose front is in its own process."""
    yield front


@asynccontextmanager
async def through_a_relay(front: Front) -> AsyncIterator[Handler]:
    """A door of a worker: its front is in another process."""
    async with relayed(front) as made:
        yield made.relay


way: Callable[[Front], AbstractAsyncContextManager[Handler]] = straight
"""How `opened` gets from its door to a front; a module of tests may put another here."""


@asynccontextmanager
async def opened(
    front: Front,
    *,
    clock: Clock | None = None,
    limits: DoorLimits | None = None,
    hot_fields: HotFields | None = None,
    cert_file: str | None = None,
    key_file: str | None = None,
) -> AsyncIterator[Door]:
    """A door on a free port; asserts that nothing is left when it has closed."""
    async with way(front) as handler:
        door = Door(
            handler,
            name="registry",
            host="127.0.0.1",
            port=0,
            clock=clock or SystemClock(),
            limits=limits,
            hot_fields=hot_fields,
            tls=TlsNames((Pair(cert_file, key_file or ""),)) if cert_file else None,
        )
        await door.open()
        try:
            yield door
        finally:
            await guarded(door.close(0.0))
            await until(lambda: door.statistics().connections == 0)
            statistics = door.statistics()
            assert (statistics.sending, statistics.running) == (0, 0)


async def connect(door: Door, *, receive_buffer_bytes: int | None = None) -> Client:
    raw = socket.create_connection(("127.0.0.1", door.port))
    if receive_buffer_bytes is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
    return Client(*await asyncio.open_connection(sock=raw, limit=1 << 16))


async def beats(door: Door, clock: ManualClock, seconds: int) -> None:
    """Moves a door's clock on, second by second, each with its beat."""
    for _ in range(seconds):
        wanted = clock.monotonic() + 1
        clock.advance(1)
        await until(lambda: door._state.tick >= wanted)  # noqa: B023
