"""Doors in two processes over a small front: what is ready, what is forgotten, who is told."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from skerry.adapters.http_server import DoorError
from skerry.adapters.http_server_metrics import DoorMetrics
from skerry.adapters.http_server_state import DoorLimits
from skerry.adapters.http_server_tls import Pair, TlsNames
from skerry.app.doors.public import PublicDoors
from skerry.base.clock import SystemClock
from skerry.store.growth import FileSegment
from skerry.telemetry.events import Events
from skerry.telemetry.metrics import Registry
from skerry.wire.message import Answer, Body, Headers, Hot, Request
from tests.app.workers_scene import Visitor, until
from tests.rig.pairs import make_pair

FOREVER = 1e12


@dataclass
class Front:
    """One page that may be ready everywhere until it is forgotten; counts who asked and who hit."""

    version: int = 1
    file: Path | None = None
    asked: int = 0
    hits: int = 0
    hit_bytes: int = 0
    about: tuple[str, ...] = ("page",)
    held: asyncio.Event = field(default_factory=asyncio.Event)
    hold: bool = False

    async def __call__(self, request: Request) -> Answer:
        self.asked += 1
        body: Body = b"%d" % self.version
        whole = None
        if self.file is not None:
            whole = self.file.stat().st_size
            with self.file.open("rb") as opened:
                fd = socket.dup(opened.fileno())
            body = FileSegment(fd, offset_bytes=0, size_bytes=whole)
        if self.hold:
            await self.held.wait()
        return Answer(
            200, Headers(), body, hot=Hot(FOREVER, self._hit, self.about, whole_bytes=whole)
        )

    def _hit(self, uses: int, body_bytes: int) -> None:
        self.hits += uses
        self.hit_bytes += body_bytes


@dataclass
class Made:
    doors: PublicDoors
    front: Front
    port: int
    visitors: list[Visitor] = field(default_factory=list)

    async def visit(self) -> Visitor:
        self.visitors.append(Visitor(*await asyncio.open_connection("127.0.0.1", self.port)))
        return self.visitors[-1]

    async def worker_visitor(self) -> Visitor:
        """A connection at the worker: the one by which a relayed request comes."""
        for _ in range(200):
            workers = self.doors.workers()
            assert workers is not None
            before = workers.workers[0].relay.asked
            visitor = await self.visit()
            await visitor.get("/which", "Cookie: full=way")
            workers = self.doors.workers()
            assert workers is not None
            if workers.workers[0].relay.asked > before:
                return visitor
        raise AssertionError("the kernel never chose the worker")


@asynccontextmanager
async def opened(front: Front, *, tls: TlsNames | None = None) -> AsyncIterator[Made]:
    clock, registry = SystemClock(), Registry()
    doors = PublicDoors(2, limits=DoorLimits(), clock=clock, metrics=DoorMetrics(registry))
    door = doors.make(front, name="registry", address="127.0.0.1:0", tls=tls)
    crashes: list[BaseException] = []
    await doors.open(
        events=Events(clock.now), metrics=registry, on_crash=lambda _, error: crashes.append(error)
    )
    made = Made(doors, front, door.port)
    try:
        yield made
    finally:
        for visitor in made.visitors:
            visitor.leave()
        await doors.close(0.0)
    assert not crashes


async def test_a_worker_answers_what_is_ready_by_itself_and_its_hits_are_told() -> None:
    async with opened(Front()) as made:
        worker = await made.worker_visitor()
        asked = made.front.asked
        for _ in range(50):
            assert (await worker.get("/page")).body == b"1"
        assert made.front.asked == asked + 1
        await until(lambda: made.front.hits == 49)  # within the second in which they are told
        assert made.front.hit_bytes == 49


async def test_what_is_forgotten_is_never_answered_again_by_any_process() -> None:
    front, floor, done = Front(), 1, False
    answers: dict[int, int] = {}

    async def hammer(number: int, visitor: Visitor) -> None:
        while not done:
            least = floor
            got = int((await visitor.get("/page")).body)
            assert got >= least, f"{got} after {least} was in force"
            answers[number] = answers.get(number, 0) + 1

    async with opened(front) as made:
        visitors = [await made.worker_visitor(), *[await made.visit() for _ in range(7)]]
        async with asyncio.TaskGroup() as group:
            for number, visitor in enumerate(visitors):
                group.create_task(hammer(number, visitor))
            for turn in range(300):
                front.version += 1
                if turn % 2:
                    made.doors.forget("page")
                else:
                    made.doors.forget_all()
                floor = front.version
                seen = dict(answers)
                await until(lambda: answers.get(0, 0) > seen.get(0, 0) + 3)  # noqa: B023
            done = True
        assert sum(answers.values()) > 2 * front.asked, "hardly anything was ready"


async def test_an_answer_decided_before_it_was_forgotten_is_not_kept() -> None:
    front = Front()
    async with opened(front) as made:
        worker = await made.worker_visitor()
        front.hold = True
        asking = asyncio.ensure_future(worker.get("/page"))
        asked = front.asked
        await until(lambda: front.asked > asked)
        front.version = 2
        made.doors.forget("page")
        front.hold = False
        front.held.set()
        assert (await asking).body == b"1"  # it was asked before
        assert (await worker.get("/page")).body == b"2"


async def test_forgetting_one_thing_leaves_the_others_ready() -> None:
    async with opened(Front()) as made:
        worker = await made.worker_visitor()
        await worker.get("/page")
        made.doors.forget("something else")
        # While the worker has not heard of it yet, it asks; then it is by itself again.
        asked = made.front.asked
        for _ in range(50):
            assert (await worker.get("/page")).body == b"1"
        assert made.front.asked < asked + 25


async def test_a_ready_file_leaves_a_worker_and_is_closed_when_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "body"
    path.write_bytes(b"0123456789" * 20_000)
    async with opened(Front(file=path)) as made:
        worker = await made.worker_visitor()
        asked = made.front.asked
        for _ in range(20):
            assert (await worker.get("/file")).body == path.read_bytes()
        # A client may have the last byte, and ask again, before its answer counts as sent.
        assert made.front.asked < asked + 20
        workers = made.doors.workers()
        assert workers is not None
        pid = workers.workers[0].pid

        def open_copies() -> int:
            held = Path(f"/proc/{pid}/fd").iterdir()
            return sum(each.resolve() == path for each in held if each.is_symlink())

        assert open_copies() >= 1
        made.doors.forget_all()
        await until(lambda: open_copies() == 0)


async def test_every_process_speaks_tls_and_shows_the_certificate_of_now(tmp_path: Path) -> None:
    first, second = (make_pair(tmp_path, name, f"{name}.example") for name in ("one", "two"))
    async with opened(Front(), tls=TlsNames((first,))) as made:

        async def shown() -> tuple[bytes, bool]:
            """Which certificate a new connection meets, and whether at the worker."""
            trust_all = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            trust_all.check_hostname, trust_all.verify_mode = False, ssl.CERT_NONE
            visitor = Visitor(*await asyncio.open_connection("127.0.0.1", made.port, ssl=trust_all))
            made.visitors.append(visitor)
            workers = made.doors.workers()
            assert workers is not None
            before = workers.workers[0].relay.asked
            assert (await visitor.get("/page", "Cookie: full=way")).body == b"1"
            workers = made.doors.workers()
            assert workers is not None
            socket_of = visitor.writer.get_extra_info("ssl_object")
            return socket_of.getpeercert(True), workers.workers[0].relay.asked > before

        def der(pair: Pair) -> bytes:
            return ssl.PEM_cert_to_DER_cert(Path(pair.cert_file).read_text())

        met = [await shown() for _ in range(40)]
        assert set(met) == {(der(first), False), (der(first), True)}
        made.doors.use_certificates({"registry": TlsNames((second,))})
        while (der(first), True) in [await shown() for _ in range(20)]:
            pass  # a worker hears of it a moment later
        met = [await shown() for _ in range(40)]
        assert set(met) == {(der(second), False), (der(second), True)}


async def test_a_taken_port_is_named_with_the_next_step() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        metrics = DoorMetrics(Registry())
        doors = PublicDoors(2, limits=DoorLimits(), clock=SystemClock(), metrics=metrics)
        port = taken.getsockname()[1]
        with pytest.raises(DoorError, match="is taken by another program") as caught:
            doors.make(Front(), name="registry", address=f"127.0.0.1:{port}")
        assert "[doors] registry" in caught.value.next_step
