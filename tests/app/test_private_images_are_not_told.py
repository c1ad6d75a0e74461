"""Nothing that a node writes down or shows to strangers names an image of a private upstream."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from skerry.app.drill.client import RegistryClient
from skerry.app.drill.processes import toml_text
from skerry.app.node import Node
from skerry.app.settings.load import load
from tests.rig import images, nodes
from tests.rig.guarded import GuardedRegistry
from tests.rig.nodes import HOST, PASSWORD, USER

NAME = "clinic/mrs-doe"


async def test_no_name_and_no_digest_of_a_private_image_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    registry = GuardedRegistry(user="", password="")
    await registry.server.start()
    first, second = images.small(1), images.small(2)
    registry.push(NAME, first, "1")
    base = nodes.with_local(nodes.settings(registry.server.url, window="1ms"), tmp_path)
    base["upstream"][0]["private"] = True  # type: ignore[index, call-overload]
    base["doors"] = {"registry": "127.0.0.1:0", "admin": "127.0.0.1:0"}
    base["node"] = {"name": "rock", "data_dir": str(tmp_path / "data")}
    base["telemetry"] = {"sensitive_group_min": 2}
    config = tmp_path / "skerry.toml"
    config.write_text(toml_text(base))
    node = Node(load(config, {}, {}))
    await node.start()
    try:
        client = RegistryClient(f"127.0.0.1:{node.registry_port}", user=USER, password=PASSWORD)

        async def pull(tag: str) -> int:
            return (await asyncio.to_thread(client.manifest, f"{HOST}/{NAME}", tag)).status

        assert await pull("1") == 200
        for blob in first.blobs:
            got = await asyncio.to_thread(client.blob, f"{HOST}/{NAME}", blob.digest)
            assert got.status == 200
        registry.push(NAME, second, "1")
        await pull("1")
        async with asyncio.timeout(20):
            while not node.events.recent("tag.moved"):
                await pull("1")
        assert NAME in repr(node.events.recent()), "whoever has the token is told"
        for _ in range(2):  # a group: fewer of a kind are not shown
            assert await pull("absent") == 404
        async with asyncio.timeout(20):  # what is on its way in is not evicted
            while f"{HOST}/{NAME}:1" not in {each.name for each in node.departures.find(NAME)}:
                await node.housekeeper.evict(1 << 30)
        exposed = node.metrics.expose()
        counted = 'skerry_registry_answers_total{class="sensitive",kind="manifest"'
        assert counted in exposed
    finally:
        await node.stop()
        await registry.server.close()
    kept = b"".join(each.read_bytes() for each in (tmp_path / "data").glob("telemetry.sqlite*"))
    assert b"tag.moved" in kept
    assert b"asked for by the operator" in kept
    told = {"log": caplog.text, "metrics": exposed, "file": kept.decode("latin-1")}
    secrets = [NAME, "mrs-doe", *(each.digest.hex for each in (first, second)),
               *(blob.digest.hex for blob in (*first.blobs, *second.blobs))]  # fmt: skip
    assert [(place, each) for place, text in told.items() for each in secrets if each in text] == []
