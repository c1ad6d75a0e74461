"""The fast way over real sockets: when it is taken, when it is not, and what ends it."""

from __future__ import annotations

import asyncio

import pytest
import uvloop
from http_door import Front, connect, opened, request

from skerry.wire.message import Answer, Request

POLICIES = [asyncio.DefaultEventLoopPolicy(), uvloop.EventLoopPolicy()]
pytestmark = pytest.mark.filterwarnings("ignore:Overriding the .event_loop_policy")


@pytest.fixture(params=POLICIES, ids=["asyncio", "uvloop"])
def event_loop_policy(request: pytest.FixtureRequest) -> asyncio.AbstractEventLoopPolicy:
    return request.param  # type: ignore[no-any-return]


async def test_a_hot_answer_never_overtakes_a_running_one() -> None:
    gate = asyncio.Event()

    async def slow(request: Request) -> Answer:
        await gate.wait()
        return Answer(200, body=b"slow")

    front = Front({"/slow": slow})
    front.hot("/hot", b"hot")
    async with opened(front) as door:
        client = await connect(door)
        assert (await client.get("/hot")).body == b"hot"
        assert (await client.get("/hot")).body == b"hot"
        assert door.statistics().hot.hits == 1
        await client.send(request("/hot") + request("/slow") + request("/hot"))
        gate.set()
        got = [(await client.answer()).body for _ in range(3)]
        assert got == [b"hot", b"slow", b"hot"]
        assert (await client.get("/hot")).body == b"hot"


async def test_ready_answers_need_the_handler_once() -> None:
    front = Front()
    hits = front.hot("/hot", b"x" * 3000)
    async with opened(front) as door:
        client, other = await connect(door), await connect(door)
        full = await client.get("/hot")
        for _ in range(5):
            assert await client.get("/hot") == full
        await other.send(request("/hot") * 5)
        assert [await other.answer() for _ in range(5)] == [full] * 5
        assert (front.asked, door.statistics().hot.hits) == (["/hot"], 10)
        door.hot.tell()
        assert hits == [10]


async def test_a_hot_head_has_no_body() -> None:
    front = Front()
    front.hot("/hot", b"x" * 3000)
    async with opened(front) as door:
        client = await connect(door)
        for _ in range(3):
            got = await client.get("/hot", method="HEAD")
            assert got.headers.get("content-length") == "3000"
        assert len((await client.get("/hot")).body) == 3000
        assert front.asked == ["/hot", "/hot"]


@pytest.mark.parametrize(
    "line",
    [
        "Authorization: Basic eDp5",
        "Range: bytes=0-1",
        "If-None-Match: *",
        "Cookie: a=b",
        "Cache-Control: no-cache",
        "Connection: close",
        "Content-Length: 0",
        "X-Never-Heard-Of: 1",
    ],
)
async def test_a_request_that_may_change_the_answer_goes_the_full_way(line: str) -> None:
    front = Front()
    front.hot("/hot", b"hot")
    async with opened(front) as door:
        await (await connect(door)).get("/hot")
        assert (await (await connect(door)).get("/hot", line)).body == b"hot"
        assert front.asked == ["/hot", "/hot"]


@pytest.mark.parametrize(
    ("first", "second"),
    [("Accept: a/b", "Accept: a/c"), ("Accept: a/b", "Accept-Language: de")],
)
async def test_another_accept_is_another_hot_answer(first: str, second: str) -> None:
    front = Front()
    front.hot("/hot", b"hot")
    async with opened(front) as door:
        client = await connect(door)
        for line in (first, first, second, second):
            await client.get("/hot", line)
        assert front.asked == ["/hot", "/hot"]


async def test_forgetting_asks_the_handler_again() -> None:
    front = Front()
    front.hot("/hot", b"old")
    async with opened(front) as door:
        client = await connect(door)
        await client.get("/hot")
        await client.get("/hot")
        front.hot("/hot", b"new")
        assert (await client.get("/hot")).body == b"old"
        door.hot.forget_all()
        assert (await client.get("/hot")).body == b"new"
