"""Whoever a scripted node talks to: a registry and an origin that can be slow, and a collector.

Owns three servers that are told by the test what to hold back, and keep what they were sent.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping

from tests.rig.guarded import GuardedRegistry
from tests.rig.http import Asked, Reply, TinyServer

FRESH = ("Cache-Control", "max-age=1000")
STALE = ("Cache-Control", "max-age=0, stale-while-revalidate=1000")


class Held:
    """An answer that waits until it is let go; `begun` says how often it was asked for."""

    def __init__(self) -> None:
        self._go = asyncio.Event()
        self.begun = 0

    async def release(self) -> None:
        self._go.set()

    async def wait(self) -> None:
        self.begun += 1
        await self._go.wait()


class HeldRegistry(GuardedRegistry):
    """`gone` is a part of a path that is answered 503 from now on, "" for none."""

    def __init__(self) -> None:
        super().__init__()
        self.gone = ""
        self._held: dict[str, Held] = {}
        self.server = TinyServer(self._slowly)

    def hold(self, part: str, held: Held) -> None:
        self._held[part] = held

    async def _slowly(self, asked: Asked, writer: asyncio.StreamWriter) -> Reply:
        if self.gone and self.gone in asked.path:
            return Reply(503)
        reply = await self._answer(asked, writer)
        held = next((each for part, each in self._held.items() if part in asked.path), None)
        if held is not None and asked.method == "GET" and reply.status == 200:
            await held.wait()
        return reply


class Origin:
    """Pages that are fresh below /fresh, stale at once below /stale; the rest is not there."""

    def __init__(self, page: bytes) -> None:
        self.failing = False
        self.held: dict[str, Held] = {}
        self._page = page
        self.server = TinyServer(self._answer)

    async def _answer(self, asked: Asked, writer: asyncio.StreamWriter) -> Reply:
        if self.failing:
            return Reply(503)
        if asked.path in self.held:
            await self.held[asked.path].wait()
            return Reply(200, (FRESH,), self._page)
        if asked.path.startswith("/stale"):
            return Reply(200, (STALE,), self._page)
        if asked.path.startswith(("/fresh", "/patients")):
            return Reply(200, (FRESH,), self._page)
        return Reply(404, (FRESH,), b"none")


class Collector:
    """Takes metrics over OTLP, and knows the newest of each series."""

    def __init__(self) -> None:
        self.server = TinyServer(self._answer)
        self._last = b""

    async def _answer(self, asked: Asked, writer: asyncio.StreamWriter) -> Reply:
        if asked.path == "/v1/metrics":
            self._last = asked.body
        return Reply(200, (("Content-Type", "application/json"),), b"{}")

    def series(self) -> Mapping[tuple[str, frozenset[tuple[str, str]]], float]:
        """Sums by name and attributes, as they were sent last."""
        found = {}
        for resource in json.loads(self._last or b'{"resourceMetrics": []}')["resourceMetrics"]:
            for scope in resource["scopeMetrics"]:
                for each in scope["metrics"]:
                    for point in each.get("sum", {}).get("dataPoints", ()):
                        labels = frozenset(
                            (pair["key"], pair["value"]["stringValue"])
                            for pair in point.get("attributes", ())
                        )
                        found[each["name"], labels] = float(
                            point["asInt"] if "asInt" in point else point["asDouble"]
                        )
        return found
