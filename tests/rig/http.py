"""HTTP/1.1 small enough to lie with: the bytes that go out are exactly those that were asked for.

Owns one listener on loopback, the log of what was asked and the framing. Repeated field lines
stay apart (Go clients send several `Accept` lines). One request per connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from urllib.parse import parse_qs, urlsplit

HEAD_BYTES_MAX = 256 * 1024
Fields = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Asked:
    """One request as it came in."""

    method: str
    target: str
    fields: Fields
    body: bytes = b""
    at: float = 0.0

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    def query(self, name: str) -> list[str]:
        return parse_qs(urlsplit(self.target).query, keep_blank_values=True).get(name, [])

    def values(self, name: str) -> list[str]:
        return [value for key, value in self.fields if key.lower() == name.lower()]

    def value(self, name: str) -> str:
        return ", ".join(self.values(name))


@dataclass(frozen=True)
class Reply:
    """What goes out.

    Attributes:
        announced_bytes: a Content-Length that need not be true; None for the true one.
        cut_at_bytes: the connection ends after so much of the body.
        silent: nothing is ever sent.
    """

    status: int = 200
    fields: Fields = ()
    body: bytes = b""
    announced_bytes: int | None = None
    cut_at_bytes: int | None = None
    silent: bool = False

    def value(self, name: str) -> str:
        return next((value for key, value in self.fields if key.lower() == name.lower()), "")

    def with_field(self, name: str, value: str | None) -> Reply:
        """This field replaced, or removed with None."""
        kept = tuple(item for item in self.fields if item[0].lower() != name.lower())
        return replace(self, fields=kept if value is None else (*kept, (name, value)))


Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Answerer = Callable[[Asked, asyncio.StreamWriter], Awaitable[Reply | None]]
"""Gives the answer, or None after it has written one itself."""


@dataclass
class Log:
    """Every request in order of arrival."""

    asked: list[Asked] = field(default_factory=list)

    def paths(self, method: str = "") -> list[str]:
        return [item.path for item in self.asked if not method or item.method == method]

    def count(self, part: str, method: str = "") -> int:
        """How often a path containing `part` was asked for."""
        return sum(part in path for path in self.paths(method))

    def clear(self) -> None:
        self.asked.clear()


class TinyServer:
    """Listens on loopback and lets `answer` say everything."""

    def __init__(self, answer: Answerer, *, tls: ssl.SSLContext | None = None) -> None:
        self._answer = answer
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self.log = Log()
        self.port = 0

    @property
    def authority(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://{self.authority}"

    async def start(self, port: int = 0) -> None:
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", port, ssl=self._tls, limit=HEAD_BYTES_MAX
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for writer in tuple(self._open):
            writer.transport.abort()
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            asked = await read_request(reader)
            self.log.asked.append(asked)
            reply = await self._answer(asked, writer)
            if reply is not None:
                await write_reply(asked, reply, reader, writer)
        except (OSError, ValueError, asyncio.IncompleteReadError, asyncio.CancelledError):
            writer.transport.abort()
        finally:
            self._open.discard(writer)
            writer.close()


async def read_head(reader: asyncio.StreamReader) -> tuple[str, Fields]:
    """The first line and the fields."""
    raw = await reader.readuntil(b"\r\n\r\n")
    first, *lines = raw.decode("latin-1").split("\r\n")[:-2]
    parted = (line.partition(":") for line in lines)
    return first, tuple((name, value.strip()) for name, _, value in parted)


async def read_request(reader: asyncio.StreamReader) -> Asked:
    first, fields = await read_head(reader)
    method, target, _ = first.split(" ", 2)
    asked = Asked(method, target, fields, at=time.monotonic())
    length = int(asked.value("Content-Length") or 0)
    if asked.value("Transfer-Encoding"):
        return replace(asked, body=await read_chunked(reader))
    return replace(asked, body=await reader.readexactly(length)) if length else asked


async def read_chunked(reader: asyncio.StreamReader) -> bytes:
    whole = bytearray()
    while size := int(await reader.readline(), 16):
        whole += await reader.readexactly(size)
        await reader.readline()
    await reader.readline()
    return bytes(whole)


async def write_reply(
    asked: Asked, reply: Reply, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    if reply.silent:
        with contextlib.suppress(OSError):
            await reader.read()  # until the asker gives up
        return
    length = len(reply.body) if reply.announced_bytes is None else reply.announced_bytes
    fields = [(n, v) for n, v in reply.fields if n.lower() not in ("content-length", "connection")]
    if asked.method == "HEAD" and reply.value("Content-Length"):
        length = int(reply.value("Content-Length"))
    lines = [f"HTTP/1.1 {reply.status} Rig", *(f"{name}: {value}" for name, value in fields)]
    lines += [f"Content-Length: {length}", "Connection: close", "", ""]
    writer.write("\r\n".join(lines).encode("latin-1"))
    if asked.method != "HEAD":
        writer.write(reply.body[: reply.cut_at_bytes])
    await writer.drain()
