"""What one client sends changes nothing that another one gets."""

from __future__ import annotations

import pytest

from skerry.cdn.ports import RoutePolicy
from skerry.wire.message import Headers
from tests.cdn.world import Page, World, status_of

ANOTHER = (
    "X-Host: evil.example",
    "X-HTTP-Method-Override: DELETE",
    "X-Original-URL: /account",
    "X-Rewrite-URL: /account",
    "X_Original_URL: /account",  # the same to a CGI origin (RFC 3875 section 4.1.18)
)


def mirror(method: str, headers: Headers) -> Page:
    """A page that says what its origin was told."""
    return Page(repr(tuple(headers)).encode(), Headers((("Cache-Control", "max-age=60"),)))


def told(world: World) -> Headers:
    return world.origin.asked[-1][2]


@pytest.mark.parametrize("field", [*ANOTHER, "X-Forwarded-Path: /evil", "Forwarded: host=evil"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_no_field_names_another_host_path_or_method_for_everybody(
    field: str, method: str
) -> None:
    world = World()
    world.origin.pages["/a"] = mirror
    await world.ask("/a", field, method=method)
    assert field.partition(": ")[2] not in (told(world).get(field.partition(":")[0]) or "")
    await world.settle()
    status, body, _ = await world.get("/a")
    assert status == 200
    assert b"evil" not in body
    await world.close()


async def test_an_origin_is_asked_for_the_host_as_the_key_spells_it() -> None:
    for spelled in ("WWW.example.org", "www.example.org.", "www.example.org:80"):
        world = World()
        world.origin.pages["/a"] = mirror
        await world.ask("/a", f"Host: {spelled}")
        assert told(world).all("Host") == ("www.example.org",)
        await world.settle()
        assert status_of(await world.ask("/a")).startswith("hit")
        await world.close()


async def test_a_slice_is_asked_for_under_the_same_name() -> None:
    world = World(slice_bytes=1 << 16)
    world.page("/a", b"x" * (1 << 18), "Cache-Control: max-age=60", 'ETag: "1"')
    await world.ask("/a", "Host: www.example.org.", "X-Host: evil.example", "Range: bytes=100000-")
    await world.settle()
    assert world.origin.asked
    for _, _, headers in world.origin.asked:
        assert (headers.get("Host"), headers.get("X-Host")) == ("www.example.org", None)
    await world.close()


async def test_what_passes_by_the_cache_is_passed_on_as_it_came() -> None:
    world = World(RoutePolicy())
    world.origin.pages["/a"] = mirror
    await world.ask("/a", *ANOTHER)
    assert all(field.partition(":")[0] in told(world) for field in ANOTHER)
    await world.close()
