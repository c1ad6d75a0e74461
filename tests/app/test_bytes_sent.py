"""What the ledger calls egress is what left, to the byte: on either way, of either process."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from skerry.budget.core.usage import Meter, total, totals
from tests.app.workers_scene import GUARD_SECONDS, HOST, Scene, Visitor, opened
from tests.rig.http import Reply

FRESH = (("Cache-Control", "max-age=600"), ("ETag", '"a"'))
SMALL, FILM = os.urandom(30_000), os.urandom(1 << 20) * 24
FULL_WAY = "Connection: close"
"""The fast way keeps its connections."""


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with opened(tmp_path) as made:
        made.replies["/small"] = lambda asked: Reply(200, FRESH, SMALL)
        made.replies["/film"] = lambda asked: Reply(200, FRESH, FILM)
        yield made


async def egress(scene: Scene) -> int:
    budget = scene.node.budget
    await budget.beat()
    return total(totals(budget.ledger.hours(0, 1 << 40)).values())[Meter.EGRESS_BYTES]


async def comes_to(scene: Scene, wanted: int) -> None:
    """A worker reports once a second."""
    async with asyncio.timeout(GUARD_SECONDS):
        while (found := await egress(scene)) < wanted:  # noqa: ASYNC110
            await asyncio.sleep(0)
    assert found == wanted


async def until_fast(scene: Scene, visitor: Visitor, path: str) -> int:
    """Asks until an answer takes the fast way; how many bytes that were."""

    def full() -> int:
        assert scene.node.edge_door is not None
        return scene.node.edge_door.statistics().full + scene.relayed

    read = 0
    async with asyncio.timeout(GUARD_SECONDS):
        while True:
            before = full()
            got = await visitor.get(path)
            assert got.whole
            read += len(got.body)
            if full() == before:
                return read


Which = Callable[[Scene], Awaitable[Visitor]]


async def main(scene: Scene) -> Visitor:
    return (await scene.visit_both())[0]


async def worker(scene: Scene) -> Visitor:
    return (await scene.visit_both())[1]


@pytest.mark.parametrize("which", [main, worker])
async def test_wholes_parts_heads_and_304s_are_exact(scene: Scene, which: Which) -> None:
    visitor = await which(scene)
    read = len((await visitor.get("/film")).body)
    for _ in range(4):  # from the origin, from the store, and then the fast way
        read += len((await visitor.get("/small")).body)
        assert (await visitor.get("/small", method="HEAD")).status == 200
        assert (await visitor.get("/small", 'If-None-Match: "a"', method="HEAD")).status == 304
        part = await visitor.get("/small", "Range: bytes=100-1099")
        assert (part.status, len(part.body)) == (206, 1000)
        read += 1000
        part = await visitor.get("/film", "Range: bytes=-70000")
        assert (part.status, part.body) == (206, FILM[-70000:])
        read += 70_000
    assert read == 4 * (len(SMALL) + 71_000) + len(FILM)
    for path in ("/small", "/film"):
        read += await until_fast(scene, visitor, path)
    for _ in range(3):
        part = await visitor.get("/film", "Range: bytes=-70000")
        assert (part.status, part.body) == (206, FILM[-70000:])
        read += 70_000
    await comes_to(scene, read)


@pytest.mark.parametrize("which", [main, worker])
@pytest.mark.parametrize("fields", [(), (FULL_WAY,)], ids=["fast", "full"])
async def test_a_visitor_that_leaves_in_the_middle_is_counted_for_what_went(
    scene: Scene, which: Which, fields: tuple[str, ...]
) -> None:
    visitor = await which(scene)
    before = await until_fast(scene, visitor, "/film")
    await comes_to(scene, before)
    lines = ["GET /film HTTP/1.1", f"Host: {HOST}", *fields, "", ""]
    visitor.writer.write("\r\n".join(lines).encode())
    await visitor.reader.readuntil(b"\r\n\r\n")
    read = len(await visitor.reader.readexactly(1 << 20))
    raw: socket.socket = visitor.writer.get_extra_info("socket")
    raw.shutdown(socket.SHUT_WR)  # it has gone; what the kernel holds is still on its way
    while piece := await visitor.reader.read(1 << 20):
        read += len(piece)
    assert read < len(FILM), "or it was no leaving"
    await comes_to(scene, before + read)
