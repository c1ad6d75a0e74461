"""Ready answers whose bodies lie in files, over real sockets: order, slow readers, and the end."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import uvloop
from http_door import Client, Front, beats, connect, guarded, opened, request, until

from skerry.adapters.http_hot_way import HotFields, part_of
from skerry.adapters.http_server import Door
from skerry.adapters.http_server_state import DoorLimits
from skerry.adapters.http_server_tls import Pair, TlsNames
from skerry.base.clock import ManualClock, SystemClock
from skerry.base.ranges import ByteRange, parse_range
from skerry.store.growth import FileSegment
from skerry.wire.message import Answer, Headers, Hot, Request
from tests.rig.processes import certificate

POLICIES = [asyncio.DefaultEventLoopPolicy(), uvloop.EventLoopPolicy()]
pytestmark = pytest.mark.filterwarnings("ignore:Overriding the .event_loop_policy")
SOME = 64 << 10
BIG = bytes(range(256)) * (16 << 10)
RANGED = HotFields(harmless=None, decisive=frozenset({b"if-range"}), ranges=True)


@pytest.fixture(params=POLICIES, ids=["asyncio", "uvloop"])
def event_loop_policy(request: pytest.FixtureRequest) -> asyncio.AbstractEventLoopPolicy:
    return request.param  # type: ignore[no-any-return]


class Files(Front):
    """Answers with a file, or the part of it that is asked for; counts how often it was asked."""

    def __init__(self, path: Path, body: bytes = BIG) -> None:
        super().__init__()
        self.path, self.body, self.told = path, body, list[tuple[int, int]]()
        path.write_bytes(body)
        self.routes["/file"] = self.file
        self.always("/cold", Answer(200, body=b"cold"))

    async def file(self, request: Request) -> Answer:
        size = len(self.body)
        hot = Hot(1e12, self.count, ("blob",), fields=(), whole_bytes=size)
        if request.method == "HEAD":
            return Answer(200, Headers([("Content-Length", str(size))]), hot=hot)
        parts = parse_range(request.headers.get("Range"), size)
        descriptor = os.open(self.path, os.O_RDONLY)
        if isinstance(parts, tuple):
            fields = Headers([("Content-Range", parts[0].content_range)])
            part = FileSegment(descriptor, offset_bytes=parts[0].start, size_bytes=parts[0].size)
            return Answer(206, fields, part, hot)
        return Answer(200, body=FileSegment(descriptor, offset_bytes=0, size_bytes=size), hot=hot)

    def count(self, uses: int, body_bytes: int) -> None:
        self.told.append((uses, body_bytes))


@asynccontextmanager
async def warm(
    front: Files, *, clock: ManualClock | None = None, limits: DoorLimits | None = None
) -> AsyncIterator[Door]:
    async with opened(front, clock=clock, limits=limits, hot_fields=RANGED) as door:
        client = await connect(door)
        assert (await client.get("/file")).body == front.body
        client.leave()
        await until(lambda: door.statistics().connections == 0)
        yield door


async def test_a_file_and_its_parts_are_sent_without_the_handler(tmp_path: Path) -> None:
    front = Files(tmp_path / "file")
    async with warm(front) as door:
        client = await connect(door)
        for _ in range(2):
            got = await client.get("/file")
            assert (got.status, got.body) == (200, BIG)
            assert (await client.get("/file", method="HEAD")).headers.get("content-length") == str(
                len(BIG)
            )
            for first, last in ((0, 0), (70_000, 140_000), (1, 3_000_000)):
                part = await client.get("/file", f"Range: bytes={first}-{last}")
                assert (part.status, part.body) == (206, BIG[first : last + 1])
                wanted = f"bytes {first}-{last}/{len(BIG)}"
                assert part.headers.get("content-range") == wanted
        assert front.asked == ["/file", "/file"]
        front.told.clear()
        door.settle()
        assert sum(uses for uses, _ in front.told) == 9


async def test_a_part_alone_makes_the_whole_file_ready(tmp_path: Path) -> None:
    front = Files(tmp_path / "file")
    async with opened(front, hot_fields=RANGED) as door:
        client = await connect(door)
        assert (await client.get("/file", "Range: bytes=5-9")).body == BIG[5:10]
        assert (await client.get("/file", "Range: bytes=6-9")).body == BIG[6:10]
        assert (await client.get("/file")).body == BIG
        assert front.asked == ["/file"]


async def test_pipelined_answers_keep_their_order_and_their_bytes(tmp_path: Path) -> None:
    front = Files(tmp_path / "file")
    front.hot("/hot", b"hot")
    async with warm(front) as door:
        client = await connect(door)
        await client.get("/hot")
        paths = ["/file", "/hot", "/cold", "/file", "/file", "/hot"]
        part = "Range: bytes=100-200099"
        sending = asyncio.ensure_future(
            client.send(b"".join(request(path) + request("/file", part) for path in paths))
        )
        for path in paths:
            body = BIG if path == "/file" else path[1:].encode()
            assert (await client.answer()).body == body
            assert (await client.answer()).body == BIG[100:200_100]
        await sending


async def test_a_slow_reader_gets_every_byte_and_nobody_waits_for_it(tmp_path: Path) -> None:
    front = Files(tmp_path / "file")
    async with warm(front) as door:
        slow, quick = await connect(door, receive_buffer_bytes=SOME), await connect(door)
        await slow.send(request("/file") * 3)
        await until(lambda: door.statistics().sending == 1)
        assert (await quick.get("/file")).body == BIG
        for _ in range(3):
            assert (await slow.answer()).body == BIG


async def test_a_reader_that_takes_nothing_is_reset(tmp_path: Path) -> None:
    clock = ManualClock()
    limits = DoorLimits(send_stall_seconds=5.0)
    async with warm(Files(tmp_path / "file"), clock=clock, limits=limits) as door:
        client = await connect(door, receive_buffer_bytes=4096)
        await client.send(request("/file"))
        await until(lambda: door.statistics().sending == 1)
        await beats(door, clock, 8)
        await until(lambda: door.statistics().connections == 0)


async def test_a_client_that_leaves_gives_its_descriptor_back(tmp_path: Path) -> None:
    async with warm(Files(tmp_path / "file")) as door:
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(5):
            client = await connect(door, receive_buffer_bytes=4096)
            await client.send(request("/file"))
            await until(lambda: door.statistics().sending == 1)
            client.leave()
            await until(lambda: door.statistics().connections == 0)
        await until(lambda: len(os.listdir("/proc/self/fd")) <= before)


async def test_a_forgotten_file_frees_its_room_but_for_who_reads_it(tmp_path: Path) -> None:
    front = Files(tmp_path / "file")
    async with warm(front) as door:
        client = await connect(door, receive_buffer_bytes=SOME)
        await client.send(request("/file"))
        await until(lambda: door.statistics().sending == 1)
        front.path.unlink()
        door.hot.forget("blob")
        assert len(held_open(front.path)) == 1
        assert (await client.answer()).body == BIG
        await until(lambda: not held_open(front.path))


def held_open(path: Path) -> list[str]:
    """Descriptors of this process that keep an unlinked file on the disk."""
    found = []
    for each in os.listdir("/proc/self/fd"):
        try:
            if os.readlink(f"/proc/self/fd/{each}") == f"{path} (deleted)":
                found.append(each)
        except OSError:
            continue
    return found


async def test_a_file_that_became_shorter_is_never_taken_for_a_whole(tmp_path: Path) -> None:
    front = Files(tmp_path / "file")
    async with warm(front) as door:
        for size in (0, 100_000, 600_000):
            os.truncate(front.path, size)
            client = await connect(door)
            with pytest.raises(ConnectionError):
                await client.get("/file")


async def test_closing_lets_a_file_that_is_on_its_way_end(tmp_path: Path) -> None:
    front = Files(tmp_path / "file")
    async with opened(front, hot_fields=RANGED) as door:
        await (await connect(door)).get("/file")
        client = await connect(door, receive_buffer_bytes=SOME)
        await client.send(request("/file"))
        await until(lambda: door.statistics().sending == 1)
        closing = asyncio.ensure_future(door.close(10))
        assert (await client.answer()).body == BIG
        assert await client.ended()
        await guarded(closing)


async def test_a_file_leaves_through_tls(tmp_path: Path) -> None:
    import ssl

    chain, key = certificate(tmp_path)
    front = Files(tmp_path / "file")
    door = Door(
        front, name="edge", host="127.0.0.1", port=0, clock=SystemClock(), hot_fields=RANGED,
        tls=TlsNames((Pair(str(chain), str(key)),)),
    )  # fmt: skip
    await door.open()
    context = ssl.create_default_context(cafile=str(chain))
    client = Client(
        *await asyncio.open_connection("127.0.0.1", door.port, ssl=context, limit=1 << 16)
    )
    for _ in range(2):
        assert (await client.get("/file")).body == BIG
        assert (await client.get("/file", "Range: bytes=9-300000")).body == BIG[9:300_001]
    assert front.asked == ["/file"]
    client.leave()
    await guarded(door.close())


async def test_a_range_line_is_cut_out_of_a_seen_request_only_where_one_may_stand(
    tmp_path: Path,
) -> None:
    front = Files(tmp_path / "file", b"0123456789")
    async with opened(front, hot_fields=RANGED) as door:
        client = await connect(door)
        for _ in range(3):
            await client.get("/file")
        assert (await client.get("/file", "rAnGe: bytes=2-3")).body == b"23"
        assert (await client.get("/file", "Range:bytes=2-3")).body == b"23"
        assert front.asked == ["/file"]
        twice = await client.get("/file", "Range: bytes=2-3", "Range: bytes=4-5")
        assert (front.asked, twice.body) == (["/file"] * 2, b"23")
        # Behind the head's end the same line is no field but the begin of another request.
        await client.send(request("/file") + b"Range: bytes=2-3\r\n")
        assert (await client.answer()).body == b"0123456789"
        assert (await client.answer()).status == 400


@pytest.mark.parametrize("total", [1, 10, 1000])
def test_a_range_means_what_the_full_way_takes_it_for(total: int) -> None:
    numbers = ["", "0", "1", "5", "9", "10", "999", "1000", "123456789012345678"]
    for first in numbers:
        for last in numbers:
            text = f"bytes={first}-{last}"
            meant = parse_range(text, total)
            part = part_of(text.encode(), total)
            if isinstance(meant, tuple):
                assert meant == (ByteRange(*(part or (-1, -1)), total),)
            else:
                assert part is None
