"""Two readers of one connection must see the same requests: what is ambiguous is refused."""

from __future__ import annotations

import pytest

from skerry.wire.message import Answer, Request
from tests.adapters.http_door import Front, connect, guarded, opened, until

GET = b"GET /a HTTP/1.1\r\nHost: a\r\n"
POST = b"POST /a HTTP/1.1\r\nHost: a\r\n"
SECOND = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"


async def read_all(request: Request) -> Answer:
    return Answer(200, body=b"".join([chunk async for chunk in request.body]))


@pytest.mark.parametrize(
    "data",
    [
        POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
        POST.replace(b"1.1", b"1.0") + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        GET + b"Transfer-Encoding: identity\r\n\r\n",
        POST + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
        POST + b"Content-Length: 3, 3\r\n\r\nabc",
        POST + b"Content-Length: +3\r\n\r\nabc",
        POST + b"Content-Length: 0x3\r\n\r\nabc",
        POST + b"Content-Length: 1_0\r\n\r\nabc",
        b"GET /a HTTP/1.1\nHost: a\n\n",
        b"GET /a HTTP/1.1\r\nHost: a\nX: b\r\n\r\n",
        b"GET /a HTTP/1.1\r\nHost: a\rX: b\r\n\r\n",
        GET + b"X: b\r\n c\r\n\r\n",
        b"GET /a HTTP/1.1\r\n Host: b\r\nHost: a\r\n\r\n",
        GET + b"Host: b\r\n\r\n",
        GET + b"X: a\0b\r\n\r\n",
        b"GET /a HTTP/2.0\r\nHost: a\r\n\r\n",
        b"GET /a\r\n\r\n",
        b"GET http://evil HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
)
async def test_an_ambiguous_head_is_refused_and_nothing_behind_it_is_read(data: bytes) -> None:
    front = Front({"/a": read_all, "/smuggled": read_all})
    async with opened(front) as door:
        client = await connect(door)
        await client.send(data + SECOND)
        assert (await client.answer()).status in (400, 505)
        await client.ended()
        assert front.asked == []


@pytest.mark.parametrize(
    "body",
    [b"1\nx\n0\n\n", b"0x1\r\nx\r\n0\r\n\r\n", b"1\r\nxy\r\n0\r\n\r\n", b"1;a\nb\r\nx\r\n0\r\n\r\n",
     b"fffffffffffffffff\r\nx", b"-1\r\nx\r\n0\r\n\r\n"],
)  # fmt: skip
async def test_an_ambiguous_body_ends_the_connection(body: bytes) -> None:
    front = Front({"/a": read_all, "/smuggled": read_all})
    async with opened(front) as door:
        client = await connect(door)
        await client.send(CHUNKED + body + SECOND)
        await client.ended()
        assert "/smuggled" not in front.asked


@pytest.mark.parametrize(
    "close", [b"Connection: close\r\n", b"Connection: Upgrade\r\nUpgrade: x\r\n"]
)
async def test_nothing_behind_the_last_request_is_answered(close: bytes) -> None:
    front = Front({"/a": read_all, "/smuggled": read_all})
    async with opened(front) as door:
        client = await connect(door)
        await client.send(GET + close + b"\r\n" + SECOND)
        whole = await guarded(client.reader.read())
        assert whole.count(b"HTTP/1.1 200") == 1
        await until(lambda: door.statistics().connections == 0)
        assert "/smuggled" not in front.asked


async def test_a_target_with_a_host_of_its_own_goes_nowhere_else() -> None:
    front = Front({"/a": read_all})
    async with opened(front) as door:
        client = await connect(door)
        await client.send(b"GET http://evil:9/a HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await client.answer()).status == 200
