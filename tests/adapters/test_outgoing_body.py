"""Who is waited for while a request's body goes out, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from random import Random

import pytest

from sim.loop import VirtualLoop
from sim.world import let_go
from skerry.adapters.outgoing_body import OutgoingBody, Watch
from skerry.upstream.ports import Dial

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


async def send(body: OutgoingBody, *, takes_seconds: float, answers_seconds: float) -> list[bytes]:
    async with asyncio.timeout(None) as timeout:
        body.watch = Watch(timeout, DIAL)
        taken = []
        async for chunk in body:
            await later(takes_seconds)
            taken.append(chunk)
        await later(answers_seconds)
    body.watch.end()
    body.watch.for_head()  # the rest of a body may come after the head: nothing is bounded then
    return taken


def run(work: Coroutine[object, object, list[bytes]]) -> tuple[list[bytes] | None, float]:
    loop = VirtualLoop(Random(1))
    try:
        return loop.run_until_complete(work), loop.time()
    except TimeoutError:
        return None, loop.time()
    finally:
        let_go(loop)


def test_a_slow_client_is_not_a_slow_server_and_empty_chunks_are_left_out() -> None:
    body = OutgoingBody(slow(1000))
    assert run(send(body, takes_seconds=4, answers_seconds=2)) == ([b"one", b"two"], 3010)


@pytest.mark.parametrize(
    ("takes_seconds", "answers_seconds", "gives_up_at"), [(6, 0, 5), (1, 4, 5)]
)
def test_a_server_has_to_take_each_chunk_and_to_answer_after_the_last(
    takes_seconds: float, answers_seconds: float, gives_up_at: float
) -> None:
    body = OutgoingBody(slow(0))
    work = send(body, takes_seconds=takes_seconds, answers_seconds=answers_seconds)
    assert run(work) == (None, gives_up_at)


def test_what_the_maker_of_a_body_raises_is_remembered_as_its_own() -> None:
    async def leaving() -> AsyncIterator[bytes]:
        yield b"x"
        raise ZeroDivisionError

    body = OutgoingBody(leaving())
    with pytest.raises(ZeroDivisionError):
        run(send(body, takes_seconds=0, answers_seconds=0))
    assert isinstance(body.error, ZeroDivisionError)
