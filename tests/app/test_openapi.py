"""The API's document: every route of a node is in it, nothing else is, and it is a sound one."""

from __future__ import annotations

from pathlib import Path

from skerry.app.admin.openapi import document
from skerry.app.admin.operations import OPERATIONS
from skerry.app.node import Node
from skerry.app.settings.schema import DoorSettings, NodeSettings, Settings


async def test_every_route_is_described_and_nothing_else(tmp_path: Path) -> None:
    doors = DoorSettings(registry="127.0.0.1:0", edge="127.0.0.1:0", admin="127.0.0.1:0")
    node = Node(Settings(node=NodeSettings(name="rock", data_dir=str(tmp_path)), doors=doors))
    await node.start()
    try:
        assert node.admin is not None
        assert node.admin.routes() == frozenset(OPERATIONS)
    finally:
        await node.stop()


def test_every_reference_in_the_document_leads_somewhere() -> None:
    found = document()
    schemas = found["components"]["schemas"]  # type: ignore[index]

    def references(value: object) -> list[str]:
        if isinstance(value, dict):
            own = [value["$ref"]] if "$ref" in value else []
            return own + [each for inner in value.values() for each in references(inner)]
        if isinstance(value, list):
            return [each for inner in value for each in references(inner)]
        return []

    names = {each.rpartition("/")[2] for each in references(found)}
    assert names
    assert names <= set(schemas)
