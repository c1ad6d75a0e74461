"""One edge behind two doors over real sockets: one with the fast way, one that never takes it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from skerry.adapters.http_hot_way import HotFields
from skerry.adapters.http_server import Door
from skerry.app.doors.behind import Behind
from skerry.app.edge.room import hot_fields
from skerry.wire.forwarded import Trusted
from skerry.wire.message import Answer, Request
from tests.adapters.http_door import Client, Got, connect, guarded
from tests.cdn.world import World

HOST = "www.example.org"
SMALL, LARGE = b"0123456789" * 300, bytes(range(256)) * 1200
FRESH = ("Cache-Control: max-age=60", 'ETag: "one"', "Surrogate-Key: item-1")
NONE_HOT = HotFields(harmless=frozenset())


@dataclass
class Shore:
    """One edge behind two doors: the one with the fast way, and one that never takes it."""

    world: World
    door: Door
    plain: Door
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    decided: asyncio.Event = field(default_factory=asyncio.Event)

    async def ask(self, target: str, *fields: str, method: str = "GET") -> Got:
        return await asked(await connect(self.door), target, *fields, method=method)

    async def ask_plainly(self, target: str, *fields: str, method: str = "GET") -> Got:
        return await asked(await connect(self.plain), target, *fields, method=method)

    @property
    def hits(self) -> int:
        return self.door.statistics().hot.hits

    async def warm(self, target: str, *fields: str, method: str = "GET") -> None:
        """Until the fast way answers, which it has to."""
        for _ in range(4):
            before = self.hits
            await self.ask(target, *fields, method=method)
            if self.hits > before:
                return
            await self.world.settle()
        raise AssertionError(f"{method} {target} {fields} never takes the fast way")


async def asked(client: Client, target: str, *fields: str, method: str = "GET") -> Got:
    lines = (f"{method} {target} HTTP/1.1", f"Host: {HOST}", *fields, "", "")
    await client.send("\r\n".join(lines).encode())
    return await client.answer(method=method)


@asynccontextmanager
async def shore(
    world: World | None = None, *, held: bool = False, trusted: Trusted | None = None
) -> AsyncIterator[Shore]:
    """`held`: what the edge decided waits for the gate before the door gets it; `trusted`: the
    doors are behind proxies."""
    world = world or World()

    async def handler(request: Request) -> Answer:
        answer = await world.rooms.front(request)
        if held and request.headers.get("X-Held"):
            made.decided.set()
            await made.gate.wait()
        return answer

    def door(fields: HotFields) -> Door:
        front = handler if trusted is None else Behind(handler, trusted)
        return Door(
            front, name="edge", host="127.0.0.1", port=0, clock=world.clock, hot_fields=fields
        )

    made = Shore(world, door(hot_fields()), door(NONE_HOT))
    world.ready.others.add(made.door.hot)
    await made.door.open()
    await made.plain.open()
    try:
        yield made
    finally:
        await guarded(made.door.close())
        await guarded(made.plain.close())
        await world.close()
