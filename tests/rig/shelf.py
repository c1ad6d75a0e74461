"""An origin that holds large things and counts what it gives away of them.

Its promise: it answers GET, HEAD, one Range and If-Range truthfully, by a strong validator. It may
be told to cut bodies, to have another representation, or to answer a path by a function. Contents
may be computed, so that ten gigabytes need no disk.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from random import Random
from typing import Protocol

from skerry.app.drill.processes import Setting
from skerry.base.ranges import parse_range
from tests.rig.http import Asked, Reply, TinyServer
from tests.rig.pages import HOST, Visitor
from tests.rig.processes import Rig

MIB = 1 << 20
FOREVER = (("Cache-Control", "max-age=3600"),)
PIECE_BYTES = 256 << 10


class Content(Protocol):
    """Bytes that can be had from anywhere."""

    @property
    def size_bytes(self) -> int: ...
    def read(self, start: int, stop: int) -> bytes: ...


@dataclass(frozen=True)
class Plain:
    """Bytes that are simply there."""

    data: bytes = field(repr=False)

    @property
    def size_bytes(self) -> int:
        return len(self.data)

    def read(self, start: int, stop: int) -> bytes:
        return self.data[start:stop]


class Stream:
    """A content computed from the offset: every MiB differs from every other one."""

    def __init__(self, size_bytes: int, seed: int = 1) -> None:
        self.size_bytes = size_bytes
        self._seed = seed
        self._block = Random(seed).randbytes(MIB - 16)

    def read(self, start: int, stop: int) -> bytes:
        stop = min(stop, self.size_bytes)
        pieces = []
        for number in range(start // MIB, -(-stop // MIB)):
            block = b"%08d%08d" % (self._seed % 10**8, number) + self._block
            at = number * MIB
            pieces.append(block[max(start - at, 0) : min(stop - at, MIB)])
        return b"".join(pieces)


@dataclass
class Thing:
    """What is on the shelf under one path.

    Attributes:
        cut_at_bytes: bodies end there, as often as `cut_times` says.
    """

    content: Content
    tag: str
    fields: tuple[tuple[str, str], ...] = FOREVER
    cut_at_bytes: int | None = None
    cut_times: int = 0
    sent_bytes: int = 0


Special = Callable[[Asked], Awaitable[Reply | None]]
"""An answer by a function; None lets the shelf answer."""


class Shelf:
    """The origin; `things` by path may be changed at any moment."""

    def __init__(self, special: Special | None = None) -> None:
        self.server = TinyServer(self._answer)
        self.things: dict[str, Thing] = {}
        self._special = special

    @property
    def url(self) -> str:
        return self.server.url

    @property
    def authority(self) -> str:
        return self.server.authority

    @property
    def asked(self) -> list[Asked]:
        return self.server.log.asked

    def put(self, path: str, content: Content | bytes, *fields: tuple[str, str]) -> Thing:
        """A thing, or another representation of it."""
        made = Plain(content) if isinstance(content, bytes) else content
        first = made.read(0, min(made.size_bytes, 4096))
        tag = f'"{hashlib.sha256(first).hexdigest()[:16]}-{made.size_bytes}"'
        self.things[path] = Thing(made, tag, fields or FOREVER)
        return self.things[path]

    def sent_bytes(self, path: str) -> int:
        return self.things[path].sent_bytes

    async def _answer(self, asked: Asked, writer: asyncio.StreamWriter) -> Reply | None:
        if self._special is not None and (reply := await self._special(asked)) is not None:
            return reply
        thing = self.things.get(asked.path)
        if thing is None:
            return Reply(404, (("Content-Type", "text/plain"),), b"nothing there\n")
        await self._give(thing, asked, writer)
        return None

    async def _give(self, thing: Thing, asked: Asked, writer: asyncio.StreamWriter) -> None:
        size = thing.content.size_bytes
        wanted = asked.value("Range")
        if asked.value("If-Range") not in ("", thing.tag):
            wanted = ""
        ranges = parse_range(wanted or None, size)
        status, start, stop, more = 200, 0, size, ""
        if asked.value("If-None-Match") == thing.tag:
            status, stop = 304, 0
        elif isinstance(ranges, tuple):
            status, start, stop = 206, ranges[0].start, ranges[0].stop
            more = f"Content-Range: {ranges[0].content_range}\r\n"
        elif ranges is not None:
            status, stop, more = 416, 0, f"Content-Range: bytes */{size}\r\n"
        head = f"HTTP/1.1 {status} Shelf\r\nETag: {thing.tag}\r\nAccept-Ranges: bytes\r\n{more}"
        head += "".join(f"{name}: {value}\r\n" for name, value in thing.fields)
        length = "" if status == 304 else f"Content-Length: {stop - start}\r\n"
        writer.write(f"{head}{length}Connection: close\r\n\r\n".encode())
        if asked.method != "HEAD":
            await self._body(thing, start, stop, writer)
        await writer.drain()

    async def _body(
        self, thing: Thing, start: int, stop: int, writer: asyncio.StreamWriter
    ) -> None:
        if thing.cut_times and thing.cut_at_bytes is not None and start < thing.cut_at_bytes < stop:
            stop = thing.cut_at_bytes
            thing.cut_times -= 1
        for at in range(start, stop, PIECE_BYTES):
            chunk = thing.content.read(at, min(at + PIECE_BYTES, stop))
            thing.sent_bytes += len(chunk)
            writer.write(chunk)
            await writer.drain()


def shelf(rig: Rig, special: Special | None = None) -> Shelf:
    """An origin that listens until the rig ends."""
    made = Shelf(special)
    rig.listen(_Listening(made))
    return made


def edge(rig: Rig, origin: str, *routes: dict[str, Setting], **more: Setting) -> Visitor:
    """A node before an origin's URL; one public route over everything if none is given.

    `more` goes into the site.
    """
    return Visitor(rig, rig.node(site_of(origin, *routes, **more), name="rock"))


def site_of(origin: str, *routes: dict[str, Setting], **more: Setting) -> dict[str, Setting]:
    """The settings of such a node."""
    site: dict[str, Setting] = {
        "hosts": [HOST],
        "origins": [origin],
        "plain_http": True,
        "connect": "300ms",
        "first_byte": "1s",
        "stall": "1s",
        "route": list(routes) or [{"data_class": "public"}],
        **more,
    }
    return {"site": [site]}


class _Listening:
    """A shelf's server, as the rig starts and ends it."""

    def __init__(self, made: Shelf) -> None:
        self._made = made

    async def start(self) -> None:
        await self._made.server.start()

    async def close(self) -> None:
        await self._made.server.close()
