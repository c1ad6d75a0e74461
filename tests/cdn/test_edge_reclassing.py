"""A route whose class changes while the edge runs."""

from __future__ import annotations

import asyncio

from skerry.cdn.core.route import Route, Site
from skerry.cdn.ports import RoutePolicy
from skerry.cdn.reclassing import drop_what_is_not_public
from tests.cdn.world import PUBLIC, World, body_of


def table(*private: str) -> list[Site]:
    routes = [Route("/", "site", PUBLIC)]
    routes += [Route(prefix, "site", RoutePolicy()) for prefix in private]
    return [Site("site", ("www.example.org",), tuple(routes))]


async def test_what_was_asked_for_as_public_is_not_kept_once_its_route_is_not() -> None:
    made = World()
    made.page("/account", b"x" * 200_000)
    made.page("/media", b"y" * 200_000)
    made.origin.rest = asyncio.Event()
    answers = [await made.ask(path) for path in ("/account", "/media")]
    made.rooms.front.use(table("/account"))
    made.origin.rest.set()
    assert [len(await body_of(answer)) for answer in answers] == [200_000, 200_000]
    await made.settle()
    assert [entry.key.path for entry in made.variants.all()] == ["/media"]
    assert (await made.get("/account"))[2].startswith("fwd=bypass")
    await made.close()


async def test_what_is_stored_of_it_goes_and_nothing_else() -> None:
    made = World()
    for number in range(600):
        made.page(f"/a/{number % 300}?v={number}", b"page")
        made.page(f"/b/{number}", b"page")
        await made.get(f"/a/{number % 300}?v={number}")
        await made.get(f"/b/{number}")
    await made.settle()
    made.rooms.front.use(table("/a"))
    assert await drop_what_is_not_public(made.variants, made.rooms.front.table) == 600
    assert sorted(entry.key.path for entry in made.variants.all()) == sorted(
        f"/b/{number}" for number in range(600)
    )
    await made.close()
