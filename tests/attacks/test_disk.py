"""What a stranger's upstream says of lengths must not empty the store for it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from skerry.app.drill.images import Piece, noise
from skerry.upstream import flight
from skerry.wire.message import BodyAborted, Headers
from tests.registry.world import World, body_of

LAYER = Piece.of("application/octet-stream", noise(1, 400_000))
PATH = f"/v2/evil/app/blobs/{LAYER.digest}"


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    made.hub.content[PATH] = (LAYER.media_type, LAYER.data, str(LAYER.digest))
    yield made
    await made.close()


async def test_a_length_that_only_the_upstream_tells_is_judged_before_room_is_made(
    world: World,
) -> None:
    asked: list[int] = []

    def admits(key: str, size_bytes: int) -> bool:
        asked.append(size_bytes)
        return False

    world.rooms.images._wholeness._contents._admits = admits
    answer = await world.get(PATH)
    assert await body_of(answer) == LAYER.data  # served all the same, passing through
    await world.settle()
    assert asked == [len(LAYER.data)]
    assert world.store.size_of(LAYER.digest) is None


async def test_a_body_that_does_not_end_is_not_kept_for_ever(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flight, "ENDLESS_BYTES", 100_000)
    world.rooms.images._wholeness._contents._admits = lambda key, size: size < 300_000
    honest = world.hub._found

    def endless(path: str) -> tuple[int, Headers, bytes]:
        status, headers, data = honest(path)
        return status, headers.without("Content-Length"), data

    world.hub._found = endless  # type: ignore[method-assign]
    answer = await world.get(PATH)
    with pytest.raises(BodyAborted):
        await body_of(answer)
    await world.settle()
    assert world.store.size_of(LAYER.digest) is None
    assert world.store.statistics().spool_bytes == 0
    assert await body_of(await world.get(PATH)) == LAYER.data  # passes through now
