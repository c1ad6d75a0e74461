"""Who asked, as an origin learns it on every way to it, and what that does to what is stored."""

from __future__ import annotations

from dataclasses import replace

import pytest

from skerry.cdn.ports import ClientAddress, RoutePolicy
from skerry.wire.forwarded import Trusted
from skerry.wire.message import Headers
from tests.adapters.http_door import connect
from tests.cdn.shore import asked, shore
from tests.cdn.world import PUBLIC, Page, World, status_of

LIES = (
    "X-Forwarded-For: 198.51.100.66", "X-Real-IP: 198.51.100.66", "X-Forwarded-Proto: https",
    "Forwarded: for=198.51.100.66;proto=https;host=evil.example", "X-Forwarded-Port: 1",
    "X-Forwarded-Host: evil.example", "True-Client-IP: 198.51.100.66", "X-Forwarded-Scheme: https",
)  # fmt: skip
ALWAYS = replace(PUBLIC, client_address=ClientAddress.ALWAYS)
WEBSOCKET = ("Connection: Upgrade", "Upgrade: websocket")


def told(world: World) -> Headers:
    return world.origin.asked[-1][2]


def sound(went: Headers, client: str | None) -> bool:
    """Whether an origin was told the truth, and nothing else."""
    text = str(tuple(went))
    return (
        "198.51.100.66" not in text
        and "evil" not in text
        and "https" not in text
        and went.get("X-Forwarded-Proto") == "http"
        and went.get("X-Forwarded-Host") == "www.example.org"
        and went.get("X-Forwarded-For") == went.get("X-Real-IP") == client
        and went.get("Forwarded")
        == f"{f'for={client};' if client else ''}proto=http;host=www.example.org"
    )


@pytest.mark.parametrize(
    ("policy", "method", "fields", "client"),
    [
        (RoutePolicy(), "GET", (), "192.0.2.7"),
        (RoutePolicy(), "POST", (), "192.0.2.7"),
        (RoutePolicy(), "GET", WEBSOCKET, "192.0.2.7"),
        (PUBLIC, "POST", (), "192.0.2.7"),
        (PUBLIC, "GET", WEBSOCKET, "192.0.2.7"),
        (PUBLIC, "GET", (), None),
        (PUBLIC, "HEAD", (), None),
        (PUBLIC, "GET", ("Range: bytes=5-9",), None),
        (ALWAYS, "GET", (), "192.0.2.7"),
        (ALWAYS, "HEAD", (), "192.0.2.7"),
        (ALWAYS, "GET", ("Range: bytes=5-9",), "192.0.2.7"),
        (replace(PUBLIC, client_address=ClientAddress.NEVER), "POST", (), None),
        (RoutePolicy(client_address=ClientAddress.NEVER), "GET", WEBSOCKET, None),
    ],
)
@pytest.mark.parametrize("slice_bytes", [None, 1 << 16])
async def test_on_every_way_an_origin_is_told_the_truth(
    policy: RoutePolicy,
    method: str,
    fields: tuple[str, ...],
    client: str | None,
    slice_bytes: int | None,
) -> None:
    world = World(policy, slice_bytes=slice_bytes, upgrades=frozenset({"websocket"}))
    world.page("/a", b"x" * 200_000, "Cache-Control: max-age=60", 'ETag: "1"')
    await world.ask("/a", *LIES, *fields, method=method, client="192.0.2.7")
    await world.settle()
    assert world.origin.asked
    assert all(sound(went, client) for _, _, went in world.origin.asked)
    await world.close()


async def test_a_stored_answer_is_everybodys_whoever_asked_first() -> None:
    world = World(ALWAYS)
    fields = ("Cache-Control: max-age=60", "Vary: X-Forwarded-Proto, X-Forwarded-Host")
    world.page("/a", b"x", *fields)
    await world.ask("/a", *LIES, client="192.0.2.7")
    await world.settle()
    assert status_of(await world.ask("/a", client="192.0.2.8")).startswith("hit")
    assert world.origin.count() == 1
    await world.close()


async def test_what_an_origin_says_is_for_one_client_is_never_anothers() -> None:
    world = World(ALWAYS)

    def page(method: str, headers: Headers) -> Page:
        fields = (("Cache-Control", "max-age=60"), ("Vary", "X-Forwarded-For"))
        return Page((headers.get("X-Forwarded-For") or "").encode(), fields)

    world.origin.pages["/a"] = page
    for client in ("192.0.2.7", "192.0.2.8", "192.0.2.7"):
        answer = await world.ask("/a", client=client)
        assert "detail=vary-client" in status_of(answer)
        assert told(world).get("X-Forwarded-For") == client
    assert world.origin.count() == 3
    await world.close()


async def test_pages_asked_for_through_https_and_http_are_two_on_the_fast_way_too() -> None:
    def page(method: str, headers: Headers) -> Page:
        return Page((headers.get("X-Forwarded-Proto") or "").encode())

    async with shore(trusted=Trusted(["127.0.0.1"])) as here:
        here.world.origin.pages["/a"] = page
        for scheme in ("https", "http"):
            said = f"X-Forwarded-Proto: {scheme}"
            await here.warm("/a", said)
            before = here.hits
            got = await here.ask("/a", said, "X-Forwarded-For: 192.0.2.7")
            assert (got.body, here.hits) == (scheme.encode(), before + 1)
        assert (await here.ask("/a")).body == b"http"
        assert (await here.ask("/a", "Forwarded: for=192.0.2.7;proto=https")).body == b"https"
        assert here.world.origin.count() == 2


async def test_nobody_but_a_trusted_proxy_makes_a_ready_answer_for_https() -> None:
    async with shore(trusted=Trusted(["10.0.0.0/8"])) as here:
        here.world.page("/a", b"for http")
        client = await connect(here.door)
        for _ in range(5):
            await asked(client, "/a", "X-Forwarded-Proto: https")
            await asked(client, "/a", "Forwarded: proto=https")
            await here.world.settle()
        assert here.hits == 0
        await here.warm("/a")
