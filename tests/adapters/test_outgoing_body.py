"""Who is waited for while a request's body goes out, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from random import Random

import pytest

from sim.loop import VirtualLoop
from sim.world import let_go
from skerry.adapters.http_client_exchange import Asked, HttpExchange
from skerry.adapters.outgoing_body import send_body
from skerry.upstream.ports import Dial, TransportError, Trouble
from skerry.wire.message import NO_HEADERS

DIAL = Dial(first_byte_seconds=3, stall_seconds=5)


async def later(seconds: float) -> None:
    """Moves this loop's virtual time on."""
    loop = asyncio.get_running_loop()
    moment = loop.create_future()
    loop.call_later(seconds, moment.set_result, None)
    await moment


async def slow(seconds: float) -> AsyncIterator[bytes]:
    for chunk in (b"one", b"", b"two"):
        await later(seconds)
        yield chunk


class Taker:
    """A connection that takes each piece within a time."""

    def __init__(self, takes_seconds: float) -> None:
        self.takes_seconds = takes_seconds
        self.taken: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.taken.append(data)

    async def drained(self) -> None:
        await later(self.takes_seconds)

    def abort(self) -> None: ...
    def resume_reading(self) -> None: ...
    def finish_writing(self) -> None: ...


async def send(
    body: AsyncIterator[bytes],
    *,
    takes_seconds: float,
    answers_seconds: float,
    length_bytes: int | None = None,
) -> list[bytes]:
    taker = Taker(takes_seconds)
    exchange = HttpExchange(Asked("PUT", "http://origin.example", DIAL), taker)

    async def answered() -> None:
        await send_body(
            body,
            length_bytes=length_bytes,
            taker=taker,
            exchange=exchange,
            named="http://origin.example",
            dial=DIAL,
        )
        await later(answers_seconds)
        exchange.begun(200, NO_HEADERS)

    exchange.upload = asyncio.ensure_future(answered())
    await exchange.head()
    return taker.taken


def run(work: Coroutine[object, object, list[bytes]]) -> tuple[list[bytes] | Trouble, float]:
    loop = VirtualLoop(Random(1))
    try:
        return loop.run_until_complete(work), loop.time()
    except TransportError as error:
        return error.trouble, loop.time()
    finally:
        let_go(loop)


def test_a_slow_client_is_not_a_slow_server_and_empty_chunks_are_left_out() -> None:
    work = send(slow(1000), takes_seconds=4, answers_seconds=2)
    assert run(work) == ([b"3\r\none\r\n", b"3\r\ntwo\r\n", b"0\r\n\r\n"], 3010)


def test_a_body_of_known_length_goes_as_it_is() -> None:
    work = send(slow(0), takes_seconds=0, answers_seconds=0, length_bytes=6)
    assert run(work) == ([b"one", b"two"], 0)


@pytest.mark.parametrize("length_bytes", [5, 7])
def test_a_body_that_is_not_as_long_as_it_said_is_broken_off(length_bytes: int) -> None:
    work = send(slow(0), takes_seconds=0, answers_seconds=0, length_bytes=length_bytes)
    assert run(work) == (Trouble.PROTOCOL, 0)


@pytest.mark.parametrize(
    ("takes_seconds", "answers_seconds", "trouble", "gives_up_at"),
    [(6, 0, Trouble.STALL, 5), (1, 4, Trouble.FIRST_BYTE_TIMEOUT, 5)],
)
def test_a_server_has_to_take_each_chunk_and_to_answer_after_the_last(
    takes_seconds: float, answers_seconds: float, trouble: Trouble, gives_up_at: float
) -> None:
    work = send(slow(0), takes_seconds=takes_seconds, answers_seconds=answers_seconds)
    assert run(work) == (trouble, gives_up_at)


def test_what_the_maker_of_a_body_raises_comes_back_to_the_asker() -> None:
    async def leaving() -> AsyncIterator[bytes]:
        yield b"x"
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(send(leaving(), takes_seconds=0, answers_seconds=0))
