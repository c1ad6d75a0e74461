"""A worker's relay in one process: what a door asks goes over packets to the front and back.

The faults it has are those of real workers: none of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from skerry.adapters.worker_host import RelayHost
from skerry.adapters.worker_line import PACKET_BYTES_MAX, Line, pair
from skerry.adapters.worker_orders import UseBook, UseTally
from skerry.adapters.worker_relay import Lines, Relay
from skerry.aio.tasks import Nursery
from skerry.wire.message import Handler, HotUses


async def _idle(made: Relayed) -> None:
    """Until what is still under way on the lines has ended."""
    while made.host.running or {x for x in made.ours if not x.ended} != set(made.lines.idle):  # noqa: ASYNC110
        await asyncio.sleep(0)


class _ToldAtOnce(UseTally):
    def __init__(self, book: UseBook) -> None:
        super().__init__()
        self._book = book

    def counter(self, number: int) -> HotUses:
        return lambda uses, body_bytes: self._book.count(number, uses, body_bytes)


@dataclass
class Relayed:
    """Both sides, and what each has left."""

    relay: Relay
    lines: Lines
    host: RelayHost
    ours: list[Line]
    theirs: list[Line]


@asynccontextmanager
async def relayed(front: Handler) -> AsyncIterator[Relayed]:
    """A relay to a front; when it ends, nothing may run and no line may be in use."""
    crashes: list[BaseException] = []
    nursery = Nursery(on_crash=lambda name, error: crashes.append(error))
    book = UseBook()
    room = bytearray(PACKET_BYTES_MAX)
    host = RelayHost([front], nursery=nursery, uses=book)
    ours: list[Line] = []
    theirs: list[Line] = []

    async def make() -> Line:
        worker, main = pair()
        theirs.append(Line(main, room))
        host.adopt(theirs[-1])
        ours.append(Line(worker, room))
        return ours[-1]

    lines = Lines(make, nursery)
    made = Relayed(Relay(lines, door=0, uses=_ToldAtOnce(book)), lines, host, ours, theirs)
    try:
        yield made
        await asyncio.wait_for(_idle(made), 5)
        assert {line for line in ours if not line.ended} == set(lines.idle)
        assert not crashes
    finally:
        await nursery.close()
        for line in (*ours, *theirs):
            line.close()
