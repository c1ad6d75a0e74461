"""A node with a worker beside this process, its origin, and visitors at its edge."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from skerry.app.doors.workers import WorkersStatistics
from skerry.app.drill.processes import toml_text
from skerry.app.node import Node
from skerry.app.settings.load import load
from tests.rig.http import Asked, Reply, TinyServer

HOST = "www.example.org"
GUARD_SECONDS = 20.0


@dataclass(frozen=True)
class Got:
    """One answer; `whole` is False where the connection broke before its end."""

    status: int
    head: str
    body: bytes
    whole: bool = True


class Visitor:
    """One kept connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def get(self, path: str, *fields: str, method: str = "GET", body: bytes = b"") -> Got:
        """Raises ConnectionError, IncompleteReadError when no whole head comes."""
        lines = [f"{method} {path} HTTP/1.1", f"Host: {HOST}", *fields]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        self.writer.write("\r\n".join((*lines, "", "")).encode() + body)
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        status = int(head.split()[1])
        fields_of = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:-2])
        if method == "HEAD":
            return Got(status, head, b"")
        try:
            if "content-length" in fields_of:
                data = await self.reader.readexactly(int(fields_of["content-length"]))
            else:
                data = await self._chunks()
        except (ConnectionError, asyncio.IncompleteReadError) as error:
            return Got(status, head, getattr(error, "partial", b""), whole=False)
        return Got(status, head, data)

    async def _chunks(self) -> bytes:
        data = b""
        while size := int(await self.reader.readuntil(b"\r\n"), 16):
            data += (await self.reader.readexactly(size + 2))[:-2]
        await self.reader.readexactly(2)
        return data

    def leave(self) -> None:
        self.writer.transport.abort()


@dataclass
class Scene:
    """The origin answers what `replies` says by path."""

    node: Node
    origin: TinyServer
    replies: dict[str, Callable[[Asked], Reply]]
    visitors: list[Visitor] = field(default_factory=list)

    @property
    def workers(self) -> WorkersStatistics:
        assert self.node.public is not None
        found = self.node.public.workers()
        assert found is not None
        return found

    @property
    def relayed(self) -> int:
        """Requests that workers have asked the main process so far."""
        return sum(worker.relay.asked for worker in self.workers.workers)

    async def visit(self, port: int = 0) -> Visitor:
        raw = socket.create_connection(("127.0.0.1", port or self.node.edge_port))
        self.visitors.append(Visitor(*await asyncio.open_connection(sock=raw, limit=1 << 20)))
        return self.visitors[-1]

    async def visit_both(self) -> tuple[Visitor, Visitor]:
        """A connection at the main process and one at the worker: the kernel chooses, so try."""
        found: dict[bool, Visitor] = {}
        self.replies["/which"] = lambda asked: Reply(204, (("Cache-Control", "no-store"),))
        for _ in range(200):
            visitor, before = await self.visit(), self.relayed
            got = await visitor.get("/which", "Connection: keep-alive")
            assert got.status == 204, got
            found[self.relayed > before] = visitor
            if len(found) == 2:
                return found[False], found[True]
        raise AssertionError("the kernel never chose the other process")

    async def purge(self, path: str) -> None:
        token = (self.node.settings.node.data_path / "admin.token").read_text().strip()
        wanted = json.dumps({"url": f"http://{HOST}{path}"}).encode()
        visitor = await self.visit(self.node.admin_port)
        fields = ("Host: 127.0.0.1", f"Authorization: Bearer {token}")
        lines = ("POST /api/v1/purge HTTP/1.1", *fields, f"Content-Length: {len(wanted)}", "", "")
        visitor.writer.write("\r\n".join(lines).encode() + wanted)
        head = await visitor.reader.readuntil(b"\r\n\r\n")
        assert b" 200 " in head.split(b"\r\n")[0], head
        visitor.leave()


@asynccontextmanager
async def opened(folder: Path, *, workers: int = 2) -> AsyncIterator[Scene]:
    """A node with so many processes. Asserts that none is left."""
    replies: dict[str, Callable[[Asked], Reply]] = {}

    async def answer(asked: Asked, writer: asyncio.StreamWriter) -> Reply:
        return replies[asked.path](asked)

    origin = TinyServer(answer)
    await origin.start()
    config = folder / "skerry.toml"
    site = {"hosts": [HOST], "origins": [origin.url], "plain_http": True}
    config.write_text(
        toml_text(
            {
                "node": {"name": "rock", "data_dir": str(folder / "data"), "workers": workers},
                "doors": dict.fromkeys(("registry", "edge", "admin"), "127.0.0.1:0"),
                "site": [{**site, "route": [{"data_class": "public"}]}],
            }
        )
    )
    scene = Scene(Node(load(config, {}, {})), origin, replies)
    await scene.node.start()
    pids = [worker.pid for worker in scene.workers.workers] if workers > 1 else []
    try:
        yield scene
        pids = [worker.pid for worker in scene.workers.workers] if workers > 1 else []
    finally:
        for visitor in scene.visitors:
            visitor.leave()
        await scene.node.stop()
        await origin.close()
    assert not [pid for pid in pids if alive(pid)]


def alive(pid: int) -> bool:
    """Whether there is such a process; a dead child that nobody has waited for counts."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def until(condition: Callable[[], bool]) -> None:
    """Lets the loop turn until something is so."""

    async def turn() -> None:
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0)

    await asyncio.wait_for(turn(), GUARD_SECONDS)
