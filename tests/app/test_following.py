"""A whole node whose requests are followed: into its log, to a collector, and to no one else."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from skerry.app.drill.processes import Setting, toml_text
from skerry.app.node import Node
from skerry.app.settings.load import load
from tests.app.workers_scene import Got, Visitor, until
from tests.rig.http import Asked, Reply, TinyServer

HOST = "www.example.org"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SENT = f"traceparent: 00-{TRACE}-00f067aa0ba902b7-01"
KEPT = "Connection: keep-alive"
CANARY = "mrs-doe-was-here"


class Collector:
    """Takes what OTLP sends; keeps it by path."""

    def __init__(self) -> None:
        self.server = TinyServer(self._answer)
        self.taken: dict[str, list[bytes]] = {}
        self.status = 200

    async def _answer(self, asked: Asked, writer: asyncio.StreamWriter) -> Reply:
        if self.status == 200:
            self.taken.setdefault(asked.path, []).append(asked.body)
        return Reply(self.status, (("Content-Type", "application/json"),), b"{}")

    def spans(self) -> list[dict[str, object]]:
        return [
            span
            for body in self.taken.get("/v1/traces", [])
            for resource in json.loads(body)["resourceSpans"]
            for scope in resource["scopeSpans"]
            for span in scope["spans"]
        ]

    def points(self, name: str) -> list[dict[str, object]]:
        document = json.loads(self.taken["/v1/metrics"][-1])
        [scope] = document["resourceMetrics"][0]["scopeMetrics"]
        found = [each for each in scope["metrics"] if each["name"] == name]
        return [point for each in found for point in each["sum"]["dataPoints"]]


class Scene:
    """A node with one public and one sensitive route, an origin and a collector."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.collector = Collector()
        self.origin = TinyServer(self._page)
        self.node: Node

    async def _page(self, asked: Asked, writer: asyncio.StreamWriter) -> Reply:
        return Reply(200, (("Cache-Control", "max-age=100"),), f"of {asked.path}".encode())

    async def open(self, **log: Setting) -> None:
        await self.collector.server.start()
        await self.origin.start()
        config = self.folder / "skerry.toml"
        config.write_text(
            toml_text(
                {
                    "node": {"name": "rock", "data_dir": str(self.folder / "data")},
                    "doors": dict.fromkeys(("registry", "edge", "admin"), "127.0.0.1:0"),
                    "telemetry": {
                        "otlp": {"url": self.collector.server.url, "plain_http": True,
                                 "every": "1s", "traces_share": 0.0},
                        "bundles": {"enabled": True},
                    },
                    "log": log,
                    "site": [
                        {"hosts": [HOST], "origins": [self.origin.url], "plain_http": True,
                         "route": [{"data_class": "public"}, {"prefix": "/patients"}]},
                    ],
                }
            )
        )  # fmt: skip
        self.node = Node(load(config, {}, {}))
        await self.node.start()

    async def close(self) -> None:
        await self.node.stop()
        await self.origin.close()
        await self.collector.server.close()

    async def get(self, path: str, *fields: str) -> Got:
        visitor = Visitor(*await asyncio.open_connection("127.0.0.1", self.node.edge_port))
        got = await visitor.get(path, KEPT, *fields)
        visitor.leave()
        return got

    def at_origin(self) -> list[str]:
        return [asked.value("traceparent") for asked in self.origin.log.asked]


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    made = Scene(tmp_path)
    await made.open(fast_share=1.0)
    yield made
    await made.close()


async def test_a_public_request_is_followed_to_the_upstream_and_to_the_collector(
    scene: Scene,
) -> None:
    assert (await scene.get("/film?token=secret", SENT)).status == 200
    [passed_on] = scene.at_origin()
    assert passed_on.startswith(f"00-{TRACE}-")
    assert not passed_on.endswith("00f067aa0ba902b7-01"), "a step of its own"
    await until(lambda: len(scene.collector.spans()) == 2)
    below, above = scene.collector.spans()
    assert below["traceId"] == above["traceId"] == TRACE
    assert below["parentSpanId"] == above["spanId"]
    assert above["parentSpanId"] == "00f067aa0ba902b7"
    assert passed_on.split("-")[2] == below["spanId"]
    assert "film" in json.dumps(above)
    assert "secret" not in json.dumps(scene.collector.spans())
    assert f'trace_id="{TRACE}"' in scene.node.metrics.expose(), "an exemplar"


async def test_of_a_sensitive_request_no_trace_goes_anywhere(scene: Scene) -> None:
    assert (await scene.get("/patients/7", SENT)).status == 200
    assert scene.at_origin() == [""]
    assert (await scene.get("/film", SENT)).status == 200
    await until(lambda: len(scene.collector.spans()) == 2)
    assert "patients" not in json.dumps(scene.collector.spans())
    assert scene.node.metrics.expose().count(f'trace_id="{TRACE}"') == 1, "of the film alone"


async def test_the_collector_gets_the_same_numbers_as_prometheus(scene: Scene) -> None:
    for _ in range(5):
        await scene.get("/film")

    def hits() -> int:
        return int(scene.node.metrics.counted("skerry_edge_requests")["public", "hit"])

    assert hits() == 4
    taken = len(scene.collector.taken.get("/v1/metrics", ()))
    await until(lambda: len(scene.collector.taken.get("/v1/metrics", ())) > taken + 1)
    wanted = [{"key": "class", "value": {"stringValue": "public"}},
              {"key": "outcome", "value": {"stringValue": "hit"}}]  # fmt: skip
    [point] = [each for each in scene.collector.points("skerry_edge_requests")
               if each["attributes"] == wanted]  # fmt: skip
    assert point["asInt"] == "4"
    assert int(str(point["startTimeUnixNano"])) > 10**18


async def test_a_collector_that_is_gone_is_told_of_once_and_costs_nobody_anything(
    scene: Scene,
) -> None:
    scene.collector.status = 400
    await until(lambda: bool(scene.node.events.recent("otlp.not_sent")))
    assert (await scene.get("/film", SENT)).status == 200
    scene.collector.status = 200
    await until(lambda: bool(scene.node.events.recent("otlp.sent")))
    assert len(scene.node.events.recent("otlp.not_sent")) == 1


async def test_each_request_of_the_full_way_is_a_line_and_repeats_are_told_together(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    assert (await scene.get("/film?a=1")).status == 200
    await until(lambda: "skerry_edge_storing 0\n" in scene.node.metrics.expose())
    for _ in range(5):
        assert (await scene.get("/film?a=1")).status == 200
    scene.node.metrics.expose()  # whoever counts in batches tells

    def lines() -> list[dict[str, object]]:
        return [json.loads(each.getMessage()) for each in caplog.records
                if each.name == "skerry.requests"]  # fmt: skip

    full = [line for line in lines() if line.get("way") != "fast"]
    assert [line["outcome"] for line in full] == ["miss", "hit"]
    assert full[0]["subject"] == f"{HOST}/film"
    fast = [line for line in lines() if line.get("way") == "fast"]
    assert sum(int(str(line["count"])) for line in fast) == 4


async def test_no_canary_is_in_anything_that_is_told(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    """Where a visitor can put something secret: nothing of it is told (requirements S2, P4)."""
    caplog.set_level(logging.DEBUG)
    fields = (
        SENT, f"Cookie: session={CANARY}", f"Authorization: Bearer {CANARY}",
        f"User-Agent: {CANARY}", f"X-{CANARY}: 1", f"Referer: http://x/{CANARY}",
        f"tracestate: {CANARY}=1",
    )  # fmt: skip
    paths = (f"/patients/{CANARY}", f"/patients/7?name={CANARY}", f"/film?name={CANARY}")
    for path in paths:
        assert (await scene.get(path, *fields)).status == 200
    assert (await scene.get(f"/patients/{CANARY}%zz", *fields)).status == 400
    room = scene.node.bundles
    assert room is not None
    bundle = await room.bundling.cut()
    await until(lambda: len(scene.collector.taken.get("/v1/metrics", ())) > 1)
    await until(lambda: len(scene.collector.spans()) > 1)
    told = {
        "the log": caplog.text,
        "the metrics": scene.node.metrics.expose(),
        "the events": repr(scene.node.events.recent()),
        "a bundle": bundle.line.decode(),
        "the collector": repr(scene.collector.taken),
    }
    for name in ("telemetry.sqlite", "telemetry.sqlite-wal", "counters.kept"):
        path_of = scene.folder / "data" / name
        told[name] = path_of.read_bytes().decode("latin-1") if path_of.exists() else ""
    assert [name for name, text in told.items() if CANARY in text] == []
    assert all(told.values()), "each of them says something"
