"""One world: a node's real fills over the memory store, with clients, places and harm around it.

Owns the acting out of a scenario and the writing down of facts. Judges nothing: see `checkers`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, suppress
from random import Random
from typing import Any

from sim.loop import Stuck, VirtualClock, VirtualLoop
from sim.record import (
    Asked,
    Broken,
    Crashed,
    Evicted,
    Found,
    Healed,
    History,
    Kept,
    Left,
    Refused,
    Remains,
    Rotted,
    Served,
    Stray,
)
from sim.scenario import Disturbance, Harm, Scenario, Visit
from skerry.aio.tasks import Nursery
from skerry.base.clock import Clock
from skerry.base.digest import Digest
from skerry.base.errors import SkerryError
from skerry.store.testing import MemoryStore
from skerry.telemetry.events import Events
from skerry.telemetry.metrics import Registry
from skerry.telemetry.validation import ValidationFailures
from skerry.upstream.fills import Body, Fill, FillKey, Fills
from skerry.upstream.ports import Opened, Place
from skerry.upstream.testing import Faithful, ScriptedPlace
from skerry.wire.message import BodyAborted

REST_SECONDS = 3600.0
"""After the last visit: far longer than every bound of the node put together."""
READ_BYTES = 64 * 1024

StoreMaker = Callable[..., MemoryStore]


class Node:
    """One life of the node, from start to crash. The store outlives it."""

    def __init__(self, world: World) -> None:
        self.nursery = Nursery(on_crash=world.crashed)
        self.fills = world.make_fills(
            world.store,
            self.nursery,
            clock=world.clock,
            events=Events(world.clock.now),
            metrics=(metrics := Registry()),
            failures=ValidationFailures(metrics),
        )
        self.clients: set[asyncio.Task[None]] = set()
        self.noting: dict[int, list[Fill]] = {}
        """Fills of contents without a name that are not in the world's `names` yet."""


class World:
    """Acts one scenario out."""

    def __init__(
        self,
        scenario: Scenario,
        loop: VirtualLoop,
        *,
        chance: Random,
        make_store: StoreMaker = MemoryStore,
        make_fills: Callable[..., Fills] = Fills,
    ) -> None:
        self.scenario = scenario
        self.history = History(scenario)
        self.clock: Clock = VirtualClock(loop)
        self.make_fills = make_fills
        self._loop = loop
        self._chance = chance
        self._crashes: list[str] = []
        self._fills = [0] * len(scenario.contents)
        budget = 1 << 40 if scenario.budget_bytes is None else scenario.budget_bytes
        self.store = make_store(self.clock, budget_bytes=budget, make_room=self._make_room)
        self.places = [self._raise_places(number) for number in range(len(scenario.contents))]
        # What the HTTP cache's index is to a node: it outlives a crash.
        self.names: dict[int, Digest] = {}
        self.node = Node(self)

    async def run(self) -> None:
        """Everything, until nothing more will happen."""
        visitors = [
            self._loop.create_task(self._visit(visit), name=visit.client)
            for visit in self.scenario.visits
        ]
        for disturbance in self.scenario.disturbances:
            await asyncio.sleep(max(0.0, disturbance.at - self._loop.time()))
            await self._disturb(disturbance)
        if visitors:
            await asyncio.wait(visitors)
        await asyncio.sleep(REST_SECONDS)
        self._look("at the end")
        await self.node.nursery.close()

    def remains(self, stuck: str = "") -> Remains:
        """What is left; called when `run` has returned."""
        here = asyncio.current_task(self._loop)
        return Remains(
            tasks=tuple(t.get_name() for t in asyncio.all_tasks(self._loop) if t is not here),
            spools=len(self.store.spools),
            open_bodies=sum(place.open_count for places in self.places for place in places),
            crashes=tuple(self._crashes),
            stuck=stuck,
        )

    def crashed(self, name: str, error: BaseException) -> None:
        """Told of a task that raised what nobody expected."""
        self._crashes.append(f"{name}: {error!r}")

    def asked(self, place: WatchedPlace, offset_bytes: int) -> None:
        """Told by a place that it was opened."""
        now_open = sum(other.open_count for other in self.places[place.content])
        self.history.note(
            Asked(self._loop.time(), place.content, place.source, offset_bytes, now_open)
        )

    def close(self) -> History:
        """The finished history."""
        self.history.sent_bytes = [sum(p.sent_bytes for p in places) for places in self.places]
        self.history.fills = self._fills
        return self.history

    def _raise_places(self, number: int) -> list[WatchedPlace]:
        content = self.scenario.contents[number]
        return [
            WatchedPlace(
                f"place{index}",
                content.data,
                *acts,
                chunk_bytes=content.chunk_bytes,
                pause_seconds=lambda: self._chance.expovariate(1 / content.pause_seconds),
                world=self,
                content=number,
            )
            for index, acts in enumerate(content.places)
        ]

    # Clients.

    async def _visit(self, visit: Visit) -> None:
        await asyncio.sleep(visit.at)
        pull = self._loop.create_task(self._pull(visit), name=f"{visit.client}.pull")
        self.node.clients.add(pull)
        pull.add_done_callback(self.node.clients.discard)
        _, pending = await asyncio.wait([pull], timeout=visit.leaves_after)
        for task in pending:
            task.cancel()
        try:
            await pull
        except asyncio.CancelledError:
            self.history.note(Left(self._loop.time(), visit.content, visit.client))

    async def _pull(self, visit: Visit) -> None:
        since = len(self.history.facts)
        seen = bytearray()
        try:
            async with aclosing(self._serve(visit)) as pieces:
                async for piece in pieces:
                    seen += piece
                    await asyncio.sleep(visit.pace_seconds)
        except BodyAborted:
            reached = visit.offset_bytes + len(seen) if seen else 0
            now = self._loop.time()
            self.history.note(Broken(now, visit.content, visit.client, reached))
        except SkerryError as error:
            now = self._loop.time()
            self.history.note(Refused(now, visit.content, visit.client, type(error).__name__))
        else:
            wanted = visit.offset_bytes, visit.size_bytes
            at = self._loop.time()
            self.history.note(Served(at, visit.content, visit.client, since, *wanted, bytes(seen)))

    async def _serve(self, visit: Visit) -> AsyncGenerator[bytes, None]:
        """What the front of a node does: from the store, else from a fill."""
        digest = self._stored(visit.content)
        if digest is not None:
            rest = max(0, (self.store.size_of(digest) or 0) - visit.offset_bytes)
            size = rest if visit.size_bytes is None else min(rest, visit.size_bytes)
            body: Body = self.store.open(digest, visit.offset_bytes, size)
        else:
            fill = self._ask(visit.content)
            await fill.opened()
            if visit.warms:
                self._watch_done(visit.content, fill)
            body = fill.body(visit.offset_bytes, visit.size_bytes)
        if isinstance(body, bytes):
            yield body
            return
        if isinstance(body, AsyncGenerator):
            async with aclosing(body) as pieces:
                async for piece in pieces:
                    yield piece
            return
        try:
            position, stop = body.offset_bytes, body.offset_bytes + body.size_bytes
            while position < stop:
                end = min(await body.readable(position), position + READ_BYTES)
                yield os.pread(body.fileno(), end - position, position)
                position = end
        finally:
            body.close()

    def _stored(self, number: int) -> Digest | None:
        """What the content is called in the store; None when it is not there."""
        content = self.scenario.contents[number]
        found = [self.names.get(number), *(f.digest for f in self.node.noting.get(number, ()))]
        known = [content.digest] if content.named else found
        return next((name for name in known if name and self.store.size_of(name) is not None), None)

    def _ask(self, number: int) -> Fill:
        content = self.scenario.contents[number]

        def places() -> Sequence[Place]:
            self._fills[number] += 1  # each fetch asks once
            places = self.places[number]
            return places if content.named else Faithful(*places).places

        key = FillKey(content.digest if content.named else None, "upstream", name=str(number))
        size = len(content.data) if content.size_known else None
        fill = self.node.fills.get(key, places, size_bytes=size)
        if not content.named:
            self._note_name(number, fill)
        return fill

    def _note_name(self, number: int, fill: Fill) -> None:
        """As the HTTP cache does: whoever asks between the end of the fill and the note joins."""
        node = self.node
        noting = node.noting.setdefault(number, [])

        async def note() -> None:
            try:
                await fill.done()
                await asyncio.sleep(self._chance.random() / 1000)
                assert fill.digest is not None  # noqa: S101
                self.names[number] = fill.digest
                self.history.note(Kept(self._loop.time(), number))
            except SkerryError:
                return
            finally:
                noting.remove(fill)

        noting.append(fill)
        node.nursery.start(note(), name="note")

    def _watch_done(self, number: int, fill: Fill) -> None:
        async def wait() -> None:
            with suppress(SkerryError):
                await fill.done()
                self.history.note(Kept(self._loop.time(), number))

        self.node.nursery.start(wait(), name="warm")

    # Harm.

    async def _disturb(self, disturbance: Disturbance) -> None:
        number = disturbance.content
        digest = self._stored(number)
        match disturbance.harm:
            case Harm.CRASH:
                await self._crash()
            case Harm.EVICT:
                await self._evict(number)
            case Harm.ROT if digest is not None and (size := self.store.size_of(digest)):
                self.store.flip_bit(digest, self._chance.randrange(size))
                self._note_all(Rotted, digest)
            case Harm.SCRUB if digest is not None:
                if not await self.store.verify(digest):
                    self._note_all(Healed, digest)
            case Harm.FULL:
                self.store.full = True
            case Harm.ROOM:
                self.store.full = False

    async def _crash(self) -> None:
        """kill -9: the store loses what was not durable; then nothing of the old life counts."""
        old = self.node
        in_flight = len(old.fills.statistics().flying)
        self.history.note(Crashed(self._loop.time(), -1, in_flight))
        self.store.crash()
        for client in tuple(old.clients):
            client.cancel()
        self.node = Node(self)
        self._look("after a crash")
        await old.nursery.close()

    def _look(self, occasion: str) -> None:
        stored = {info.digest: info.size_bytes for info in self.store.blobs()}
        for number, content in enumerate(self.scenario.contents):
            data = None
            name = content.digest if content.named else self.names.get(number)
            if name in stored:
                segment = self.store.open(name)
                data = os.pread(segment.fileno(), stored[name] + 1, 0)
                segment.close()
            self.history.note(Found(self._loop.time(), number, data, occasion))
        for digest in stored:
            if not self._called(digest):
                self.history.note(Stray(self._loop.time(), -1, str(digest), occasion))

    async def _make_room(self, size_bytes: int) -> None:
        for number in range(len(self.scenario.contents)):
            if self.store.room().fits(size_bytes):
                return
            await self._evict(number)

    async def _evict(self, number: int) -> None:
        digest = self._stored(number)
        if digest is None or digest in self.node.fills:
            return
        if all(fill.digest != digest for fills in self.node.noting.values() for fill in fills):
            self._note_all(Evicted, digest)
            await self.store.delete(digest)

    def _called(self, digest: Digest) -> list[int]:
        """The contents that may be called so; more than one when places give the same page."""
        contents = enumerate(self.scenario.contents)
        return [number for number, content in contents if digest in content.digests]

    def _note_all(self, kind: type[Evicted | Rotted | Healed], digest: Digest) -> None:
        for number in self._called(digest):
            self.history.note(kind(self._loop.time(), number))


class WatchedPlace(ScriptedPlace):
    """A scripted place that tells its world of each opening."""

    def __init__(
        self, source: str, data: bytes, *acts: Any, world: World, content: int, **rest: Any
    ) -> None:
        super().__init__(source, data, *acts, **rest)
        self.content = content
        self._world = world

    async def open(self, offset_bytes: int) -> Opened:
        opened = await super().open(offset_bytes)
        self._world.asked(self, offset_bytes)
        return opened


def run(
    scenario: Scenario,
    *,
    make_store: StoreMaker = MemoryStore,
    make_fills: Callable[..., Fills] = Fills,
) -> History:
    """Acts a scenario out in virtual time, and lets go of everything."""
    chance = Random(f"world {scenario.seed}")
    loop = VirtualLoop(chance)
    world: World | None = None
    stuck = ""

    async def live() -> World:
        return World(scenario, loop, chance=chance, make_store=make_store, make_fills=make_fills)

    try:
        world = loop.run_until_complete(live())
        loop.set_exception_handler(lambda _, context: world.crashed("loop", _error(context)))
        loop.run_until_complete(world.run())
    except Stuck as error:
        stuck = str(error)
    assert world is not None  # noqa: S101
    world.history.remains = world.remains(stuck)
    let_go(loop)
    return world.close()


def _error(context: dict[str, Any]) -> BaseException:
    error = context.get("exception")
    return error if isinstance(error, BaseException) else RuntimeError(context["message"])


def let_go(loop: VirtualLoop) -> None:
    """Ends what is left of a world."""
    for task in asyncio.all_tasks(loop):
        task.cancel()
    with suppress(Stuck):
        loop.run_until_complete(asyncio.sleep(0))
        loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()
