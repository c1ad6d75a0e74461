"""A node in several processes is one node: over real sockets, with a real worker."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path

import pytest

from tests.app.workers_scene import Scene, Visitor, alive, opened, until
from tests.rig.http import Asked, Reply
from tests.rig.telling import sample_of

FRESH = (("Cache-Control", "max-age=600"),)


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with opened(tmp_path) as made:
        yield made


def main_full(scene: Scene) -> int:
    assert scene.node.edge_door is not None
    return scene.node.edge_door.statistics().full


async def test_a_cold_object_asked_of_all_processes_at_once_is_fetched_once(scene: Scene) -> None:
    scene.replies["/cold"] = lambda asked: Reply(200, FRESH, b"cold" * 1000)
    visitors = [await scene.visit() for _ in range(50)]
    answers = await asyncio.gather(*(visitor.get("/cold") for visitor in visitors))
    assert {(got.status, got.body) for got in answers} == {(200, b"cold" * 1000)}
    assert scene.origin.log.count("/cold") == 1
    assert main_full(scene) > 0
    assert scene.relayed > 0
    assert main_full(scene) + scene.relayed == 50


async def test_a_crowd_at_once_is_answered_to_the_last(scene: Scene) -> None:
    """More new lines at once than the control line holds: each waits for its turn."""
    scene.replies["/cold"] = lambda asked: Reply(200, FRESH, b"cold")
    visitors = [await scene.visit() for _ in range(900)]
    answers = await asyncio.gather(*(visitor.get("/cold") for visitor in visitors))
    assert {(got.status, got.body) for got in answers} == {(200, b"cold")}
    assert scene.origin.log.count("/cold") == 1
    assert scene.relayed > 300


async def test_a_large_object_leaves_a_worker_whole_and_in_part(scene: Scene) -> None:
    data = os.urandom(1 << 20) * 5
    scene.replies["/large"] = lambda asked: Reply(200, FRESH, data)
    _, worker = await scene.visit_both()
    for _ in range(3):
        assert (await worker.get("/large")).body == data
    part = await worker.get("/large", "Range: bytes=1000000-3000000")
    assert (part.status, part.body) == (206, data[1000000:3000001])
    assert (await worker.get("/large", method="HEAD")).status == 200


async def test_after_a_purge_has_returned_no_process_gives_what_was_before(scene: Scene) -> None:
    versions, floor = count(1), 0
    version = next(versions)
    scene.replies["/page"] = lambda asked: Reply(200, FRESH, b"%d" % version)
    done = False
    seen: dict[int, int] = {}

    async def hammer(number: int, visitor: Visitor) -> None:
        while not done:
            least = floor
            got = await visitor.get("/page")
            assert int(got.body) >= least, "an answer from before a purge that had returned"
            seen[number] = seen.get(number, 0) + 1

    visitors = [*await scene.visit_both(), *[await scene.visit() for _ in range(6)]]
    async with asyncio.TaskGroup() as group:
        for number, visitor in enumerate(visitors):
            group.create_task(hammer(number, visitor))
        for _ in range(40):
            version = next(versions)
            await scene.purge("/page")
            floor = version
        done = True
    assert len(seen) == len(visitors)
    assert scene.relayed > 40


async def test_a_worker_that_is_killed_is_replaced_and_the_others_go_on(scene: Scene) -> None:
    scene.replies["/page"] = lambda asked: Reply(200, FRESH, b"page")
    main, worker = await scene.visit_both()
    (before,) = scene.workers.workers
    os.kill(before.pid, signal.SIGKILL)
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await worker.get("/page")
    assert (await main.get("/page")).body == b"page"
    # Whatever socket the kernel chooses now: somebody answers.
    for _ in range(40):
        assert (await (await scene.visit()).get("/page")).body == b"page"
    await until(lambda: any(each.serving for each in scene.workers.workers))
    (after,) = scene.workers.workers
    assert after.pid != before.pid
    assert not alive(before.pid)
    assert scene.workers.restart_count == 1
    assert sample_of(scene.node.metrics, "skerry_worker_restarts_total") == 1
    (event,) = scene.node.events.recent("worker.ended")
    assert "signal 9" in event.cause
    _, worker = await scene.visit_both()
    assert (await worker.get("/page")).body == b"page"


async def test_a_body_that_breaks_upstream_resets_a_workers_client(scene: Scene) -> None:
    scene.replies["/broken"] = lambda asked: Reply(
        200, (("Cache-Control", "no-store"),), b"x" * 300_000, cut_at_bytes=200_000
    )
    _, worker = await scene.visit_both()
    got = await worker.get("/broken")
    assert not got.whole
    assert len(got.body) < 300_000
    assert (await (await scene.visit_both())[1].get("/which")).status == 204


async def test_what_workers_count_stands_in_the_metrics(scene: Scene) -> None:
    scene.replies["/page"] = lambda asked: Reply(200, FRESH, b"page")
    main, worker = await scene.visit_both()
    asked = main_full(scene) + scene.relayed
    for visitor in (main, worker, worker):
        await visitor.get("/page", "Cookie: no=hot")
    # A worker tells its numbers once a second.
    line = f'skerry_http_requests_total{{door="edge",way="full"}} {asked + 3}'
    await until(lambda: line in scene.node.metrics.expose())
    exposed = scene.node.metrics.expose()
    assert f'skerry_http_connections{{door="edge"}} {len(scene.visitors)}' in exposed
    assert "skerry_workers 2" in exposed


async def test_nothing_is_left_open_by_answers_that_ended_or_were_left(scene: Scene) -> None:
    data = os.urandom(1 << 20) * 8

    def large(asked: Asked) -> Reply:
        return Reply(200, FRESH, data)

    scene.replies["/large"] = large
    _, worker = await scene.visit_both()
    (told,) = scene.workers.workers
    assert (await worker.get("/large")).body == data
    steady = (descriptors(os.getpid()), descriptors(told.pid))
    for _ in range(20):
        visitor = await scene.visit()
        visitor.writer.write(b"GET /large HTTP/1.1\r\nHost: www.example.org\r\n\r\n")
        await visitor.reader.readuntil(b"\r\n\r\n")
        visitor.leave()
        assert (await worker.get("/large", "Range: bytes=5-50")).body == data[5:51]
    # Each door keeps the file open for the fast way, and a connection that it goes out by.
    await until(lambda: descriptors(told.pid) <= steady[1] + 4)
    await until(lambda: descriptors(os.getpid()) <= steady[0] + 4)


async def test_a_worker_that_is_stopped_cannot_hold_a_purge_up(scene: Scene) -> None:
    """Stopped, not dead: it answers nothing, and once it goes on it must not answer the old."""
    version = 1
    scene.replies["/page"] = lambda asked: Reply(200, FRESH, b"%d" % version)
    _, worker = await scene.visit_both()
    assert (await worker.get("/page")).body == b"1"
    (told,) = scene.workers.workers
    os.kill(told.pid, signal.SIGSTOP)
    try:
        asking = asyncio.ensure_future(worker.get("/page"))
        version = 2
        await scene.purge("/page")
    finally:
        os.kill(told.pid, signal.SIGCONT)
    await asking  # asked before the purge: either is true
    assert (await worker.get("/page")).body == b"2"


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))
