"""Incidents of a whole node: an upstream that goes and comes back, a death, a drill."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from skerry.adapters.sqlite_telemetry import SqliteTelemetry
from skerry.app.drill.client import RegistryClient
from skerry.app.drill.processes import toml_text
from skerry.app.node import Node
from skerry.app.settings.load import load
from skerry.app.telemetry.drills_file import DrillsFile
from skerry.app.telemetry.room import FILE
from skerry.telemetry.core.incidents import Incident, Lost, Origin
from skerry.telemetry.events import Event
from skerry.telemetry.ports import Beat
from tests.rig import images, nodes
from tests.rig.guarded import GuardedRegistry
from tests.rig.nodes import HOST

NAME = "team/tide"


class Scene:
    """A node in this process and the registry behind it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.registry = GuardedRegistry(user="", password="")
        self.node: Node

    async def open(self) -> None:
        base = nodes.settings(self.registry.server.url, window="1ms")
        base["doors"] = {"registry": "127.0.0.1:0", "admin": "127.0.0.1:0"}
        base["node"] = {"name": "rock", "data_dir": str(self.folder / "data")}
        config = self.folder / "skerry.toml"
        config.write_text(toml_text(base))
        self.node = Node(load(config, {}, {}))
        await self.node.start()

    async def pull(self, tag: str) -> int:
        client = RegistryClient(f"127.0.0.1:{self.node.registry_port}")
        return (await asyncio.to_thread(client.manifest, f"{HOST}/{NAME}", tag)).status

    async def until(self, done: Callable[[], bool], tag: str = "1") -> None:
        """Pulls until something is so."""
        async with asyncio.timeout(40):
            while not done():
                await self.pull(tag)

    def kinds(self, kind: str) -> list[Event]:
        return self.node.events.history(0, kind)

    async def ask(self, path: str) -> dict[str, list[dict[str, object]]]:
        token = (self.folder / "data" / "admin.token").read_text().strip()
        client = RegistryClient(f"127.0.0.1:{self.node.admin_port}")
        fields = ("Authorization", f"Bearer {token}")
        got = await asyncio.to_thread(client.get, path, fields)
        assert got.status == 200, got.body
        found: dict[str, list[dict[str, object]]] = json.loads(got.body)
        return found


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    made = Scene(tmp_path)
    await made.registry.server.start()
    made.registry.push(NAME, images.small(), "1")
    await made.open()
    yield made
    await made.node.stop()
    await made.registry.server.close()


async def test_an_upstream_that_goes_and_comes_back_is_one_incident(scene: Scene) -> None:
    port = scene.registry.server.port
    assert await scene.pull("1") == 200
    await scene.registry.server.close()
    await scene.until(lambda: bool(scene.kinds("outage.began")))
    [incident] = scene.node.record.watch.incidents()
    assert (incident.lost, incident.what) == (Lost.UPSTREAM, HOST)
    assert incident.open
    assert incident.began_at <= incident.noticed_at
    assert incident.good_at == incident.began_at, "what was here was served all along"

    await scene.node.stop()
    await scene.open()
    [event] = scene.kinds("outage.began")
    assert "skerry status" in event.next_step, "told by the life before"
    assert scene.node.record.watch.statistics().open == (incident,)

    await scene.registry.server.start(port)
    await scene.until(lambda: bool(scene.kinds("outage.ended")))
    told = await scene.ask("/api/v1/incidents")
    [row] = told["incidents"]
    assert row["back_at"] is not None
    met = {(each["measure"], each["origin"]): each for each in told["objectives"]
           if each["lost"] == "upstream"}  # fmt: skip
    assert met["interrupted", "real"]["kept_count"] == 1
    assert "breaker.opened" in {each["kind"] for each in (await scene.ask(
        "/api/v1/events?kind=breaker"))["events"]}  # fmt: skip


async def test_a_node_that_was_killed_says_so_at_its_next_start(scene: Scene) -> None:
    await scene.node.stop()
    book = SqliteTelemetry(scene.folder / "data" / FILE, keep_seconds=1e9, bytes_max=1 << 30)
    last = book.last_beat()
    assert last is not None
    assert last.ended, "this one said goodbye"
    await book.beat(Beat(last.at, ended=False))  # as kill -9 would leave it
    await book.close()
    await scene.open()
    [incident] = scene.node.record.watch.incidents()
    assert (incident.lost, incident.what) == (Lost.NODE, "rock")
    assert incident.began_at == last.at
    assert incident.good_at == incident.back_at
    assert len(scene.kinds("node.lost")) == 1


async def test_a_drill_is_on_record_beside_what_happened(scene: Scene) -> None:
    drill = Incident(Lost.NODE, "drill", 100.0, 100.0, 101.0, 101.0, 1.0, Origin.DRILL)
    DrillsFile(scene.folder / "data").add([drill])
    for _ in range(2):
        [row] = (await scene.ask("/api/v1/incidents"))["incidents"]
        assert (row["origin"], row["what"]) == ("drill", "drill")


async def test_a_record_that_cannot_be_read_is_put_aside_and_the_node_serves(
    scene: Scene,
) -> None:
    await scene.node.stop()
    record = scene.folder / "data" / FILE
    record.write_bytes(b"this is no database" * 500)
    await scene.open()
    assert await scene.pull("1") == 200
    [event] = scene.kinds("telemetry.unusable")
    [aside] = record.parent.glob(f"{FILE}.unreadable-*")
    assert aside.name in event.next_step


async def test_a_tag_moved_back_is_a_rollback_of_the_baseline_and_the_report(scene: Scene) -> None:
    async def until_taken(count: int) -> None:
        await scene.until(lambda: len(scene.kinds("tag.taken_over")) >= count)

    await scene.pull("1")
    scene.registry.push(NAME, images.small(2), "1")
    await until_taken(1)
    report = await scene.ask("/api/v1/report")
    assert report["now_rollback"]["seconds"] == -1  # type: ignore[call-overload]
    scene.registry.push(NAME, images.small(), "1")
    await until_taken(2)
    await scene.until(
        lambda: any(i.lost is Lost.RELEASE for i in scene.node.record.watch.incidents())
    )
    found = (await scene.ask("/api/v1/report"))["now_rollback"]
    assert found["seconds"] >= 0  # type: ignore[call-overload]
    assert (found["real_count"], found["of_drill"]) == (1, False)  # type: ignore[call-overload]
    (incident,) = (await scene.ask("/api/v1/incidents"))["incidents"]
    assert (incident["lost"], incident["what"]) == ("release", HOST)
