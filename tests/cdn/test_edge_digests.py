"""Repr-Digest through the edge (RFC 9530): passed on, answered, and held against the body."""

from __future__ import annotations

import base64
import hashlib
from random import Random

import pytest

from skerry.wire.message import BodyAborted
from tests.cdn.world import World, body_of

SLICE = 64 * 1024
BODY = Random(9).randbytes(6 * SLICE + 11)
FRESH = "Cache-Control: max-age=60"


def digest(data: bytes) -> str:
    return f"sha-256=:{base64.b64encode(hashlib.sha256(data).digest()).decode()}:"


async def test_a_client_that_asks_is_told_the_representations_digest() -> None:
    world = World()
    world.page("/a", BODY, FRESH, 'ETag: "1"')
    await world.get("/a")
    await world.settle()
    want = "Want-Repr-Digest: sha-256=5"
    whole = await world.ask("/a", want)
    part = await world.ask("/a", want, "Range: bytes=5-9")
    head = await world.ask("/a", want, method="HEAD")
    for answer, status in ((whole, 200), (part, 206), (head, 200)):
        assert answer.status == status
        assert answer.headers.get("Repr-Digest") == digest(BODY)
        await body_of(answer)
    silent = await world.ask("/a")
    assert silent.headers.get("Repr-Digest") is None
    await body_of(silent)
    await world.close()


async def test_the_digest_is_of_the_bytes_with_their_coding() -> None:
    world = World()
    world.page("/a", b"packed", FRESH, "Content-Encoding: gzip")
    await world.get("/a", "Accept-Encoding: gzip")
    await world.settle()
    answer = await world.ask("/a", "Want-Repr-Digest: sha-256=1", "Accept-Encoding: gzip")
    assert answer.headers.get("Repr-Digest") == digest(b"packed")
    await body_of(answer)
    await world.close()


async def test_what_the_origin_says_is_passed_on_but_a_contents_digest_not_with_a_part() -> None:
    world = World()
    said = digest(BODY)
    world.page("/a", BODY, FRESH, f"Repr-Digest: {said}", f"Content-Digest: {said}")
    status, body, _ = await world.get("/a")
    assert (status, body) == (200, BODY)
    await world.settle()
    whole = await world.ask("/a")
    assert whole.headers.get("Content-Digest") == said
    part = await world.ask("/a", "Range: bytes=0-9")
    for answer in (whole, part):
        assert answer.headers.get("Repr-Digest") == said
        await body_of(answer)
    assert part.headers.get("Content-Digest") is None
    head = await world.ask("/a", method="HEAD")
    assert head.headers.get("Content-Digest") is None
    await world.close()


@pytest.mark.parametrize("field", ["Repr-Digest", "Content-Digest"])
async def test_a_small_body_that_is_not_what_it_promises_is_an_error_and_not_stored(
    field: str,
) -> None:
    world = World()
    world.page("/a", b"wrong", FRESH, f"{field}: {digest(b'right')}")
    answer = await world.ask("/a")
    assert answer.status == 502
    assert "http_protocol_error" in answer.headers.joined("Proxy-Status")
    assert b"wrong" not in await body_of(answer)
    await world.settle()
    assert world.store.statistics().blob_count == 0
    world.page("/a", b"right", FRESH, f"{field}: {digest(b'right')}")
    assert (await world.get("/a"))[:2] == (200, b"right")
    await world.close()


async def test_a_large_body_that_is_not_what_it_promises_is_aborted_and_not_stored() -> None:
    world = World()
    world.page("/a", BODY, FRESH, f"Repr-Digest: {digest(b'right')}")
    answer = await world.ask("/a")
    with pytest.raises(BodyAborted):
        await body_of(answer)
    await world.settle()
    assert world.store.statistics().blob_count == 0
    assert list(world.variants.all()) == []
    await world.close()


async def test_a_stale_answer_stands_in_for_a_broken_promise() -> None:
    world = World()
    page = "/a"
    world.page(page, b"old", "Cache-Control: max-age=60, stale-if-error=600", 'ETag: "1"')
    await world.get(page)
    await world.settle()
    world.clock.advance(70)
    world.page(page, b"new", FRESH, 'ETag: "2"', f"Repr-Digest: {digest(b'newer')}")
    status, body, _ = await world.get(page)
    assert (status, body) == (200, b"old")
    await world.close()


async def test_two_urls_of_one_promise_are_two_fetches_of_one_body() -> None:
    world = World()
    for path in ("/a", "/b"):
        world.page(path, BODY, FRESH, f"Repr-Digest: {digest(BODY)}")
        assert (await world.get(path))[:2] == (200, BODY)
    await world.settle()
    assert world.store.statistics().blob_count == 1
    assert all(exchange.closed for exchange in world.origin.exchanges)
    await world.close()


async def test_a_part_that_is_not_what_its_digest_says_is_not_kept() -> None:
    world = World(slice_bytes=SLICE)
    world.page("/film", BODY, FRESH, 'ETag: "1"', f"Content-Digest: {digest(b'else')}")
    answer = await world.ask("/film", f"Range: bytes=0-{SLICE - 1}")
    assert answer.status == 502
    await world.settle()
    [entry] = world.variants.all()
    assert world.variants.slices(entry) == {}
    world.page("/film", BODY, FRESH, 'ETag: "1"', f"Content-Digest: {digest(BODY[:SLICE])}")
    answer = await world.ask("/film", f"Range: bytes=0-{SLICE - 1}")
    assert await body_of(answer) == BODY[:SLICE]
    assert answer.headers.get("Content-Digest") is None
    await world.close()


@pytest.mark.parametrize("right", [True, False])
async def test_slices_that_are_whole_are_held_against_the_promise(right: bool) -> None:
    world = World(slice_bytes=SLICE)
    said = digest(BODY if right else b"else")
    world.page("/film", BODY, FRESH, 'ETag: "1"', f"Repr-Digest: {said}")
    for start in (3 * SLICE, 0):
        answer = await world.ask("/film", f"Range: bytes={start}-{start + 4 * SLICE}")
        assert answer.headers.get("Repr-Digest") == said
        await body_of(answer)
    await world.settle()
    assert len(list(world.variants.all())) == (1 if right else 0)
    await world.close()
