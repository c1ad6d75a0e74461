"""Of several who ask for one thing at once one has missed; the others are told apart from it."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from skerry.app.drill.client import Got, RegistryClient
from skerry.app.drill.processes import toml_text
from skerry.app.node import Node
from skerry.app.settings.load import load
from skerry.budget.core.usage import Amounts, Meter, total, totals
from tests.app.workers_scene import until
from tests.rig import images, nodes
from tests.rig.nodes import HOST
from tests.rig.telling import sample_of
from tests.rig.told import Held, HeldRegistry

NAME, OTHER = "team/tide", "team/ebb"


class Scene:
    """A node before a registry that answers when it is let."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.registry = HeldRegistry()
        self.image = images.small(1)
        self.node: Node

    async def open(self) -> None:
        await self.registry.server.start()
        for name in (NAME, OTHER):
            self.registry.push(name, self.image, "1")
        base = nodes.settings(self.registry.server.url, first_byte="20s", stall="20s")
        base["registry"] = {"answer_within": "20s", "companions": False}
        base["doors"] = {"registry": "127.0.0.1:0", "admin": "127.0.0.1:0"}
        base["node"] = {"name": "rock", "data_dir": str(self.folder / "data")}
        config = self.folder / "skerry.toml"
        config.write_text(toml_text(base))
        self.node = Node(load(config, {}, {}))
        await self.node.start()

    async def close(self) -> None:
        await self.node.stop()
        await self.registry.server.close()

    async def get(self, path: str) -> Got:
        client = RegistryClient(f"127.0.0.1:{self.node.registry_port}")
        return await asyncio.to_thread(client.get, f"/v2/{HOST}/{path}")

    async def both(self, first: str, second: str) -> int:
        """The second asks while the first waits, and both get the same: how often it was given."""
        held = Held()
        self.registry.hold("/".join(first.rsplit("/", 2)[1:]), held)
        asked = [asyncio.ensure_future(self.get(first))]
        await until(lambda: held.begun == 1)
        door = self.node.registry_door
        assert door is not None
        before = door.statistics().full
        asked.append(asyncio.ensure_future(self.get(second)))
        await until(lambda: door.statistics().full == before + 1)
        if first != second:
            await until(lambda: held.begun == 2)
        await held.release()
        one, other = await asyncio.gather(*asked)
        assert (one.status, other.status) == (200, 200)
        assert one.body == other.body
        return held.begun

    def answers(self, kind: str) -> dict[str, int]:
        """By outcome, as `/metrics` says them; without those that never were."""
        line = 'skerry_registry_answers_total{{class="public",kind="{}",outcome="{}"}}'
        outcomes = ("hit", "stale", "miss", "joined", "sibling", "absent", "unavailable")
        found = {how: sample_of(self.node.metrics, line.format(kind, how)) for how in outcomes}
        return {how: int(count) for how, count in found.items() if count}

    async def booked(self) -> Amounts:
        """What the ledger has of all."""
        await self.node.budget.beat()
        return total(totals(self.node.budget.ledger.hours(0, 1 << 40)).values())


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    made = Scene(tmp_path)
    await made.open()
    yield made
    await made.close()


@pytest.mark.parametrize("what", ["manifest by tag", "manifest by digest", "blob"])
async def test_two_who_ask_at_once_are_one_miss_and_one_that_joined(
    scene: Scene, what: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "skerry.requests")
    kind, _, by = what.partition(" by ")
    image = scene.image
    reference = {"tag": "1", "digest": image.digest, "": image.blobs[-1].digest}[by]
    path = f"{NAME}/{kind}s/{reference}"
    assert await scene.both(path, path) == 1
    assert scene.answers(kind) == {"miss": 1, "joined": 1}
    booked = await scene.booked()
    assert (booked[Meter.MISSES], booked[Meter.SHARED], booked[Meter.HITS]) == (1, 1, 0)
    line = f'skerry_upstream_requests_total{{upstream="{HOST}",source="origin",outcome="ok"}}'
    assert booked[Meter.PULLS] == sample_of(scene.node.metrics, line) == 1
    told = [json.loads(each.getMessage()) for each in caplog.records]
    outcomes = [line["outcome"] for line in told if line.get("kind") == kind]
    assert sorted(outcomes) == ["joined", "miss"]


async def test_who_has_to_fetch_the_same_bytes_by_another_right_has_not_joined(
    scene: Scene,
) -> None:
    """Two repositories are two scopes of a token: what one may have is not given to the other."""
    digest = scene.image.blobs[-1].digest
    assert await scene.both(f"{NAME}/blobs/{digest}", f"{OTHER}/blobs/{digest}") == 2
    assert scene.answers("blob") == {"miss": 2}
    booked = await scene.booked()
    assert (booked[Meter.MISSES], booked[Meter.SHARED], booked[Meter.PULLS]) == (2, 0, 2)
