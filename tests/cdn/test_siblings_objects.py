"""What one sibling holds the others have: origin or not, with its age, and never a secret."""

from __future__ import annotations

import asyncio

import pytest

from skerry.cdn.core.letters import Found, Wanted, read, write
from skerry.cdn.core.purge import Mode, by_host
from skerry.cdn.core.route import Route
from skerry.cdn.core.route import Site as HostSite
from skerry.cdn.ports import DataClass, RoutePolicy
from skerry.cdn.sibling_link import BODY_PATH, OBJECT_PATH
from skerry.upstream.ports import Trouble
from skerry.wire.message import BodyAborted
from tests.cdn.sibling_world import Site, request_of
from tests.cdn.test_siblings_purges import purge
from tests.cdn.world import ANY_METHOD, PUBLIC, World, body_of

HOST = "www.example.org"
BODY = b"one body " * 20_000


async def site_with_page(*fields: str, body: bytes = BODY) -> Site:
    """`a` holds /a, and every origin is gone."""
    site = Site("a", "b")
    await site.start()
    a = site.worlds["a"]
    a.page("/a", body, *(fields or ("Cache-Control: max-age=60", 'ETag: "1"')))
    await a.get("/a")
    while a.rooms.front._rooms.entries.statistics().growing_count:
        await site.quiet()
    for world in site.worlds.values():
        world.origin.down = Trouble.REFUSED
    return site


def asked(site: Site, one: str = "b", other: str = "a") -> int:
    return site.lines[one, other].letters("object")


async def test_a_node_serves_what_only_its_sibling_holds_and_keeps_it() -> None:
    site = await site_with_page()
    site.clock.advance(20)
    b = site.worlds["b"]
    answer = await b.ask("/a")
    assert await body_of(answer) == BODY
    assert answer.headers.get("Age") == "20"
    hops = (answer.headers.get("Cache-Status") or "").split(", ")
    assert hops[0] == "a;hit;ttl=40"
    assert hops[1].startswith("b;fwd=uri-miss;fwd-status=200;ttl=40;stored;detail=sibling")
    await site.quiet()
    site.cut("a", "b")
    site.clock.advance(5)
    again = await b.ask("/a")
    assert again.headers.get("Age") == "25"
    assert (again.headers.get("Cache-Status") or "").startswith("b;hit;ttl=35")
    assert await body_of(again) == BODY
    assert asked(site) == 1
    await site.close()


async def test_many_clients_cost_one_question_and_one_body() -> None:
    site = await site_with_page()
    got = await asyncio.gather(*(site.worlds["b"].get("/a") for _ in range(8)))
    assert {each[:2] for each in got} == {(200, BODY)}
    assert (asked(site), site.lines["b", "a"].letters("body")) == (1, 1)
    await site.close()


async def test_an_empty_answer_and_a_variant_come_too() -> None:
    site = await site_with_page("Cache-Control: max-age=60", body=b"")
    assert (await site.worlds["b"].get("/a"))[:2] == (200, b"")
    await site.close()
    site = await site_with_page("Cache-Control: max-age=60", "Vary: Accept-Language")
    assert (await site.worlds["b"].get("/a", "Accept-Language: de"))[0] == 502
    assert (await site.worlds["b"].get("/a"))[:2] == (200, BODY)
    await site.close()


async def test_a_stale_answer_stands_in_only_where_that_is_allowed() -> None:
    for fields, status in (("max-age=5, stale-if-error=600", 200), ("max-age=5", 200),
                           ("max-age=5, must-revalidate", 504)):  # fmt: skip
        site = await site_with_page(f"Cache-Control: {fields}", 'ETag: "1"')
        site.clock.advance(60)
        await site.quiet()
        got = await site.worlds["b"].get("/a")
        mine = await site.worlds["a"].get("/a")
        assert got[0] == mine[0] == status, fields
        await site.close()


async def test_a_question_is_never_passed_on() -> None:
    site = Site("a", "b", "c")
    await site.start()
    for world in site.worlds.values():
        world.origin.down = Trouble.REFUSED
    assert (await site.worlds["a"].get("/a"))[0] == 502
    assert {pair: line.letters("object") for pair, line in site.lines.items()} == {
        ("a", "b"): 1, ("a", "c"): 1, ("b", "a"): 0, ("b", "c"): 0, ("c", "a"): 0, ("c", "b"): 0,
    }  # fmt: skip
    assert site.worlds["b"].origin.count() == site.worlds["c"].origin.count() == 0
    await site.close()


async def test_what_was_purged_here_is_not_taken_from_one_that_has_not_heard() -> None:
    site = await site_with_page()
    for line in site.lines.values():
        line.meddle = lambda path, body: body
    site.cut("a", "b")
    await purge(site, "b")
    site.worlds["b"].rooms.siblings.siblings.links["a"].current = True  # as if nobody had noticed
    line = site.lines["b", "a"]
    line.cut, line.answers_lost = False, False
    a = site.worlds["a"].rooms.siblings.door
    assert a is not None
    answer = await a(_question(site))
    found = read(Found, await body_of(answer))
    assert found.status == 200  # it has it, and would give it
    assert (await site.worlds["b"].get("/a"))[0] == 502
    await site.close()


async def test_a_sibling_that_is_known_to_be_cut_off_costs_nothing() -> None:
    site = await site_with_page()
    site.cut("a", "b")
    await site.later(6)
    assert (await site.worlds["b"].get("/a"))[0] == 502
    assert asked(site) == 0
    await site.close()


async def test_a_sibling_that_breaks_is_asked_once_and_then_left_alone() -> None:
    site = await site_with_page()
    site.cut("a", "b")
    for _ in range(5):
        await site.worlds["b"].get("/a")
    assert asked(site) == 1
    await site.close()


async def test_wrong_bytes_are_never_served() -> None:
    site = await site_with_page()

    def flip(path: str, body: bytes) -> bytes:
        return body[:-1] + b"?" if path == BODY_PATH else body

    site.lines["b", "a"].meddle = flip
    b = site.worlds["b"]
    b.origin.down = None
    b.page("/b", b"small", "Cache-Control: max-age=60")
    with pytest.raises(BodyAborted):
        await b.get("/a")
    await site.quiet()
    assert (await b.get("/a"))[0] == 404  # the origin has it no more; the sibling is not believed
    assert not site.worlds["b"].rooms.siblings.siblings.links["a"].current
    await site.close()


def _question(site: Site, path: str = "/a", digest: str = "", kind: str = OBJECT_PATH):  # type: ignore[no-untyped-def]
    key = next(site.worlds["a"].variants.all()).key
    keys = site.keys_of("b")
    body = write(Wanted(keys.of("a"), "0", key, (), digest))
    return request_of(kind, keys.sealed(kind, body), body)


async def test_what_became_sensitive_is_not_given_by_key_nor_by_digest() -> None:
    site = await site_with_page()
    a = site.worlds["a"]
    door = a.rooms.siblings.door
    assert door is not None
    entry = next(a.variants.all())
    assert (await door(_question(site, digest=str(entry.digest), kind=BODY_PATH))).status == 200
    for policy in (RoutePolicy(), RoutePolicy(data_class="something")):  # type: ignore[arg-type]
        route = Route("/", "site", policy, None, ANY_METHOD)
        a.rooms.front.use([HostSite("site", (HOST,), (route,))])
        answer = await door(_question(site))
        assert read(Found, await body_of(answer)).status == 0
        refused = await door(_question(site, digest=str(entry.digest), kind=BODY_PATH))
        assert refused.status == 404
        assert (await site.worlds["b"].get("/a"))[0] == 502
    await site.close()


async def test_a_body_that_no_page_has_is_not_given() -> None:
    """Image layers are in the same store: a sibling of the edge is not let at them by digest."""
    site = await site_with_page()
    a = site.worlds["a"]
    spool = await a.store.begin(size_bytes=6, named=False)
    await spool.write(b"secret")
    digest = await spool.commit(None)
    door = a.rooms.siblings.door
    assert door is not None
    answer = await door(_question(site, digest=str(digest), kind=BODY_PATH))
    assert answer.status == 404
    await site.close()


@pytest.mark.parametrize("data_class", [DataClass.SENSITIVE, "something"])
async def test_a_node_to_which_it_is_sensitive_asks_nobody(data_class: DataClass) -> None:
    site = Site("a", "b")
    policy = RoutePolicy(data_class=data_class)
    b = site.make("b")
    b.rooms.front.use([HostSite("site", (HOST,), (Route("/", "site", policy, None, ANY_METHOD),))])
    await site.start()
    a = site.worlds["a"]
    a.page("/a", BODY)
    await a.get("/a")
    await site.quiet()
    b.origin.down = Trouble.REFUSED
    assert (await b.get("/a"))[0] == 502
    assert asked(site) == 0
    await site.close()


async def test_no_credential_goes_to_a_sibling() -> None:
    site = await site_with_page("Cache-Control: public, max-age=60")
    b = site.worlds["b"]
    await b.get("/a", "Cookie: session=secret", "Authorization: Bearer secret")
    await b.get("/c", "Cookie: session=secret")
    assert asked(site) == 1
    assert not any(b"secret" in body for _, _, body in site.lines["b", "a"].sent)
    await site.close()


async def test_a_purge_reaches_the_copy_too() -> None:
    site = await site_with_page()
    b: World = site.worlds["b"]
    assert (await b.get("/a"))[0] == 200
    await site.quiet()
    await purge(site, "a")
    assert (await b.get("/a"))[0] == 502
    soft = await b.rooms.purges.purge(by_host(HOST), Mode.SOFT)
    assert soft.receipt.object_count == 0
    assert PUBLIC.data_class is DataClass.PUBLIC
    await site.close()
