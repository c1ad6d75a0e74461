"""One world: the node's real edge over twins in virtual time, its visitors, its harm.

Owns the acting out of a scenario and the writing down of facts. Judges nothing: see `checkers`.
What outlives a crash is what does on a node: the store's blobs and the index on the disk.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from random import Random
from typing import Any, TypeVar

from sim.edge.door import SimDoor
from sim.edge.origin import SimOrigin
from sim.edge.record import Answered, Broken, Crashed, Fact, History, Left, Purged, Stored
from sim.edge.scenario import SLICE_BYTES, Act, Order, Scenario, Thing, Visit, credentials
from sim.loop import Stuck, VirtualClock, VirtualLoop
from sim.world import let_go
from skerry.adapters.sqlite_edge_file import EdgeFile
from skerry.adapters.sqlite_file import Row
from skerry.adapters.sqlite_purge_book import SqlitePurgeBook
from skerry.adapters.sqlite_variants import SqliteVariants
from skerry.aio.tasks import Nursery
from skerry.app.doors.hot_tables import HotTables
from skerry.cdn.assembly import EdgeParts, EdgeRooms, assemble_edge
from skerry.cdn.core.key import CacheKey
from skerry.cdn.core.purge import Mode, Target, by_host, by_prefix, by_surrogate_key, by_url
from skerry.cdn.core.route import Route, Site
from skerry.cdn.ports import DataClass, EdgeUnusable, RoutePolicy
from skerry.store.testing import MemoryStore, read_segment
from skerry.telemetry.events import Events
from skerry.telemetry.metrics import Registry
from skerry.telemetry.validation import ValidationFailures
from skerry.upstream.fills import Fills
from skerry.wire.message import Answer, BodyAborted, Headers, Request

HOST = "www.example.org"
METHODS = frozenset({"GET", "HEAD", "POST"})
REST_SECONDS = 4000.0

T = TypeVar("T")
Assemble = Callable[[EdgeParts, list[Site]], EdgeRooms]


class LifeFile(EdgeFile):
    """The index's file as one life of the node has it: writes take time, in order, and those that
    were not done when the node was killed never happen."""

    def __init__(self, disk: EdgeFile, chance: Random) -> None:
        self._disk = disk
        self._chance = chance
        self._turn = asyncio.Lock()
        self.alive = True

    def read(self, sql: str, parameters: Row = ()) -> list[Row]:
        return self._disk.read(sql, parameters)

    async def write(
        self,
        change: Callable[[sqlite3.Connection], T],
        *,
        synced: bool = False,
        at_leisure: bool = False,
    ) -> T:
        return await asyncio.shield(self._write(change, synced=synced))

    def later(self, change: Callable[[sqlite3.Connection], T]) -> asyncio.Future[T]:
        return asyncio.ensure_future(self.write(change))

    async def _write(self, change: Callable[[sqlite3.Connection], T], *, synced: bool) -> T:
        async with self._turn:
            await asyncio.sleep(self._chance.random() / (100 if synced else 1000))
            if not self.alive:
                raise asyncio.CancelledError  # nobody is there to be told
            return await self._disk.write(change, synced=synced)


class Life:
    """One life of the node, from start to crash."""

    def __init__(self, world: World) -> None:
        self.nursery = Nursery(on_crash=world.crashed)
        self.file = LifeFile(world.disk, world.chance)
        self.door = SimDoor(self._front, world.clock)
        ready = HotTables()
        ready.add(self.door.door.hot)
        events, metrics = Events(world.clock.now), Registry()
        scenario = world.scenario
        policy = RoutePolicy(
            data_class=DataClass.PUBLIC,
            stale_if_error_seconds=scenario.overrides_if_error_seconds,
        )
        route = Route("/", "site", policy, SLICE_BYTES if scenario.sliced else None, METHODS)
        parts = EdgeParts(
            store=world.store,
            variants=SqliteVariants(self.file),
            book=SqlitePurgeBook(self.file),
            fills=Fills(
                world.store,
                self.nursery,
                clock=world.clock,
                events=events,
                metrics=metrics,
                failures=ValidationFailures(metrics),
            ),
            origins={"site": world.origin},
            clock=world.clock,
            events=events,
            metrics=metrics,
            nursery=self.nursery,
            node_name="rock",
            loop_id="rock-1",
            chance=world.chance,
            sign=lambda message: b"signed",
            ready=ready,
        )
        self.rooms = world.assemble(parts, [Site("site", (HOST,), (route,))])
        self.clients: set[asyncio.Task[None]] = set()

    async def _front(self, request: Request) -> Answer:
        return await self.rooms.front(request)

    async def close(self) -> None:
        """Ends whatever runs."""
        await self.door.close()
        await self.nursery.close()


class World:
    """Acts one scenario out."""

    def __init__(
        self, scenario: Scenario, loop: VirtualLoop, *, chance: Random, assemble: Assemble
    ) -> None:
        self.scenario = scenario
        self.history = History(scenario)
        self.clock = VirtualClock(loop)
        self.chance = chance
        self.assemble = assemble
        self.store = MemoryStore(self.clock)
        self.disk = EdgeFile(None)
        self.origin = SimOrigin(scenario, self.clock, chance, self.note)
        self.crashes: list[str] = []
        self._loop = loop
        self.life = Life(self)

    def note(self, fact: Fact) -> None:
        self.history.facts.append(fact)

    def crashed(self, name: str, error: BaseException) -> None:
        """Told of a task that raised what nobody expected, in a life that goes on."""
        if self.life.file.alive:
            self.crashes.append(f"{name}: {error!r}")

    async def run(self) -> None:
        """Everything, until nothing more will happen."""
        jobs = [self._loop.create_task(self._visit(visit)) for visit in self.scenario.visits]
        for order in self.scenario.orders:
            await asyncio.sleep(max(0.0, order.at - self._loop.time()))
            if order.act in (Act.CRASH, Act.EVICT):
                await (self._crash() if order.act is Act.CRASH else self._evict(order))
            else:
                jobs.append(self._loop.create_task(self._purge(order)))
                self.life.clients.add(jobs[-1])  # who orders of a node that dies learns nothing
        await asyncio.wait(jobs)
        await asyncio.sleep(REST_SECONDS)
        await self._look()
        await self._end(self.life)

    def remains(self, stuck: str) -> tuple[str, ...]:
        """What is left; called when `run` has returned. All of it should be nothing."""
        tasks = [task.get_name() for task in asyncio.all_tasks(self._loop)]
        opened = sum(self.origin.open.values())
        found = [stuck, *tasks, *self.crashes]
        found.append(f"{opened} open answers" if opened else "")
        found.append(f"{len(self.store.spools)} spools" if self.store.spools else "")
        return tuple(each for each in found if each)

    # visitors

    async def _visit(self, visit: Visit) -> None:
        await asyncio.sleep(visit.at)
        life = self.life
        task = self._loop.create_task(self._ask(visit, life), name=visit.client)
        life.clients.add(task)
        task.add_done_callback(life.clients.discard)
        _, pending = await asyncio.wait([task], timeout=visit.leaves_after)
        for each in pending:
            each.cancel()
        try:
            await task
        except asyncio.CancelledError:
            self.note(Left(self._loop.time(), visit))

    async def _ask(self, visit: Visit, life: Life) -> None:
        asked_at = self._loop.time()
        thing = self.scenario.things[visit.thing]
        headers = _headers(visit, thing, asked_at)
        if self.scenario.doored:
            got = await life.door.ask(visit.method, thing.target, headers)
            now = self._loop.time()
            if got.broken:
                self.note(Broken(now, visit))
            else:
                self.note(Answered(now, asked_at, visit, got.status, got.headers, got.body))
            return
        request = Request(visit.method, thing.target, headers, raw_path=thing.target)
        answer = await life.rooms.front(request)
        try:
            body = await self._read(answer, visit.pace_seconds)
        except BodyAborted:
            self.note(Broken(self._loop.time(), visit))
            return
        now = self._loop.time()
        self.note(Answered(now, asked_at, visit, answer.status, answer.headers, body))

    async def _read(self, answer: Answer, pace_seconds: float) -> bytes:
        body: Any = answer.body
        if isinstance(body, bytes):
            return body
        try:
            if not isinstance(body, AsyncIterator):
                return await read_segment(body)
            seen = b""
            async for piece in body:
                seen += piece if isinstance(piece, bytes) else await read_segment(piece)
                await asyncio.sleep(pace_seconds)
            return seen
        finally:
            closing = getattr(body, "aclose", None) or getattr(body, "close", None)
            if closing is not None and (waiting := closing()) is not None:
                await waiting

    # harm

    async def _purge(self, order: Order) -> None:
        thing = self.scenario.things[order.thing]
        target, means = _target(order, thing, self.scenario)
        life, began = self.life, self._loop.time()
        mode = Mode.HARD if order.hard else Mode.SOFT
        with suppress(EdgeUnusable):
            await life.rooms.purges.purge(target, mode)
            if life.file.alive:
                now = self._loop.time()
                self.note(Purged(now, began, tuple(each.number for each in means), order.hard))

    async def _crash(self) -> None:
        """kill -9: what was not on the disk is lost; then nothing of the old life counts."""
        old = self.life
        old.file.alive = False
        self.note(Crashed(self._loop.time()))
        self.store.crash()
        for client in tuple(old.clients):
            client.cancel()
        await self._look()
        self.life = Life(self)
        await self._end(old)

    async def _end(self, life: Life) -> None:
        self.history.ready_count += life.door.door.hot.statistics().hits
        await life.close()

    async def _evict(self, order: Order) -> None:
        """What housekeeping does to one response: first the entry, then the bytes."""
        inventory = self.life.rooms.inventory
        groups = inventory.groups()
        for group in groups[: 1 + order.thing % 2]:
            with suppress(EdgeUnusable):
                await inventory.drop([group.id])
            for digest in group.members:
                if not inventory.still_wanted(digest):
                    await self.store.delete(digest)

    async def _look(self) -> None:
        bodies = []
        for info in list(self.store.blobs()):
            segment = self.store.open(info.digest)
            bodies.append(os.pread(segment.fileno(), info.size_bytes, 0))
            segment.close()
        rows = self.disk.read("SELECT headers FROM entry")
        fields = "\n".join(str(row[0]) for row in rows)
        self.note(Stored(self._loop.time(), tuple(bodies), fields))


def _headers(visit: Visit, thing: Thing, now: float) -> Headers:
    fields = [("Host", HOST), ("Accept-Language", visit.language)]
    fields += credentials(thing, visit.user)
    if visit.span is not None:
        fields.append(("Range", f"bytes={visit.span[0]}-{visit.span[1] - 1}"))
    if visit.no_cache:
        fields.append(("Cache-Control", "no-cache"))
    if visit.has_copy and thing.tag:
        version = thing.version(now)
        fields.append(("If-None-Match", thing.etag(version, visit.user, visit.language)))
    return Headers(fields)


def _target(order: Order, thing: Thing, scenario: Scenario) -> tuple[Target, list[Thing]]:
    """What a purge names, and the things that it means."""
    everything = list(scenario.things)
    match order.act:
        case Act.PURGE_URL:
            return by_url(CacheKey("http", HOST, 80, thing.target)), [thing]
        case Act.PURGE_KEY:
            means = [each for each in everything if each.surrogate == thing.surrogate]
            return by_surrogate_key(thing.surrogate), means
        case Act.PURGE_PREFIX:
            folder = thing.target.rpartition("/")[0]
            means = [each for each in everything if each.target.startswith(f"{folder}/")]
            return by_prefix(scheme="http", authority=HOST, path=folder), means
    return by_host(HOST), everything


def run(scenario: Scenario, *, assemble: Assemble = assemble_edge) -> History:
    """Acts a scenario out in virtual time, and lets go of everything."""
    chance = Random(f"edge world {scenario.seed}")
    loop = VirtualLoop(chance)
    stuck = ""

    async def live() -> World:
        return World(scenario, loop, chance=chance, assemble=assemble)

    world = loop.run_until_complete(live())
    errors: list[str] = []
    loop.set_exception_handler(lambda _, context: errors.append(str(context)))
    try:
        loop.run_until_complete(world.run())
    except Stuck as error:
        stuck = str(error)
    world.history.remains = (*world.remains(stuck), *errors)
    let_go(loop)
    return world.history
