"""A body of ready bytes and parts of files in one answer: many ranges, and objects in slices."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from http_door import Front, GrowingFile, connect, opened

from skerry.wire.message import Answer, Headers, Piece, Request


def front_of(pieces: list[Piece], *, length: int | None) -> Front:
    async def body() -> AsyncIterator[Piece]:
        for piece in pieces:
            yield piece

    async def route(request: Request) -> Answer:
        fields = () if length is None else (("Content-Length", str(length)),)
        return Answer(206, Headers(fields), body())

    return Front({"/parts": route})


async def test_bytes_and_files_leave_in_their_order_and_the_connection_goes_on(
    tmp_path: Path,
) -> None:
    data = os.urandom(3 << 20)
    first = GrowingFile.whole(tmp_path / "a", data)
    second = GrowingFile.whole(tmp_path / "b", data[:100_000])
    pieces: list[Piece] = [b"head", first, b"between", second, b"tail"]
    front = front_of(pieces, length=15 + len(data) + 100_000)
    front.always("/next", Answer(200, body=b"next"))
    async with opened(front) as door:
        client = await connect(door)
        got = await client.get("/parts")
        assert got.body == b"head" + data + b"between" + data[:100_000] + b"tail"
        assert first.closed.is_set()
        assert second.closed.is_set()
        assert (await client.get("/next")).body == b"next"
        assert door.statistics().sent_bytes == len(got.body) + 4


async def test_a_file_that_breaks_among_others_resets_the_connection(tmp_path: Path) -> None:
    growing = GrowingFile(tmp_path / "a", 1000)
    growing.grow(b"x" * 400)
    growing.fail()
    async with opened(front_of([b"head", growing, b"tail"], length=1008)) as door:
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await (await connect(door)).get("/parts")
        assert growing.closed.is_set()
        assert door.statistics().aborted == 1


@pytest.mark.parametrize("length", [50, None], ids=["short", "none"])
async def test_a_file_beyond_what_was_announced_never_begins(
    tmp_path: Path, length: int | None
) -> None:
    segment = GrowingFile.whole(tmp_path / "a", b"x" * 100)
    async with opened(front_of([segment], length=length)) as door:
        client = await connect(door)
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await client.get("/parts")
        assert segment.closed.is_set()
        assert door.statistics().sent_bytes == 0
