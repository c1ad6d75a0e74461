"""A limiter's answer is never a yes, and never a no either (known failures T31)."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from skerry.upstream.ports import Exchange
from skerry.wire.message import Headers
from tests.registry.test_membership import PASS, SECRET, known_users
from tests.registry.world import FakeExchange, World, body_of

LIMITERS = [429, 503, 408, 403, 401]
LAYER = SECRET.blobs[1]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """A private image in the cache, and a public upstream that may say it has the same bytes."""
    made = World(private=True, users=known_users())
    made.up.push("team/secret", SECRET, "1")
    for path in ("manifests/1", *(f"blobs/{blob.digest}" for blob in SECRET.blobs)):
        answer = await made.get(f"/v2/up.test/team/secret/{path}", Authorization=PASS)
        assert await body_of(answer)
    await made.settle()
    yield made
    await made.close()


@pytest.mark.parametrize("status", LIMITERS)
@pytest.mark.parametrize("kind", ["blobs", "manifests"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_t31_a_limiter_in_place_of_a_membership_check_opens_nothing(
    world: World, status: int, kind: str, method: str
) -> None:
    digest = LAYER.digest if kind == "blobs" else SECRET.digest
    world.hub.status = status
    answer = await world.get(f"/v2/library/app/{kind}/{digest}", method=method)
    assert answer.status in (403, 503)
    body = await body_of(answer)
    assert LAYER.data not in body
    assert SECRET.manifest.data not in body
    world.hub.status = 404
    world.clock.advance(3600)
    answer = await world.get(f"/v2/library/app/{kind}/{digest}", method=method)
    assert answer.status == 404, "nor was a right to it remembered"


@pytest.mark.parametrize("status", LIMITERS)
async def test_t31_a_limiter_in_place_of_a_check_leaves_a_tag_as_it_was(
    world: World, status: int
) -> None:
    world.hub.push("library/app", SECRET, "1")
    assert (await world.get("/v2/library/app/manifests/1")).status == 200
    world.clock.advance(120)
    honest = world.hub.send

    async def limited(method: str, url: str, *rest: object, **more: object) -> Exchange:
        return FakeExchange(status, Headers(), b"")

    world.hub.send = limited  # type: ignore[method-assign,assignment]
    for _ in range(2):
        answer = await world.get("/v2/library/app/manifests/1")
        assert (answer.status, await body_of(answer)) == (200, SECRET.manifest.data)
        await world.settle()
    assert "110" in (answer.headers.get("Warning") or ""), "and it says that it is not sure"
    world.hub.send = honest  # type: ignore[method-assign]
