"""What clients ask: conditions, ranges, HEAD, unsafe methods, wishes, and odd shapes."""

from __future__ import annotations

import asyncio

import pytest

from skerry.upstream.ports import Trouble
from skerry.wire.message import Request
from tests.cdn.world import World, body_of, status_of

TEN = b"0123456789"
TAGGED = ("Cache-Control: max-age=60", 'ETag: "1"', "Content-Type: text/plain")


async def warm(body: bytes = TEN, *fields: str) -> World:
    world = World()
    world.page("/a", body, *(fields or TAGGED))
    await world.get("/a")
    await world.settle()
    return world


async def test_who_has_it_gets_304_on_hit_and_on_miss() -> None:
    world = World()
    world.page("/a", TEN, *TAGGED)
    for expected in ("fwd=uri-miss", "hit"):
        answer = await world.ask("/a", 'If-None-Match: "1"')
        assert answer.status == 304
        assert await body_of(answer) == b""
        assert status_of(answer).startswith(expected)
        await world.settle()
    assert world.origin.count() == 1
    assert (await world.ask("/a", 'If-None-Match: "2"')).status == 200
    await world.close()


async def test_one_range_several_ranges_and_none_that_exists() -> None:
    world = await warm()
    answer = await world.ask("/a", "Range: bytes=2-4")
    assert (answer.status, await body_of(answer)) == (206, b"234")
    assert answer.headers.get("Content-Range") == "bytes 2-4/10"
    assert (await world.get("/a", "Range: bytes=-3"))[:2] == (206, b"789")
    several = await world.ask("/a", "Range: bytes=0-1,8-9")
    body = await body_of(several)
    assert several.status == 206
    assert len(body) == int(several.headers.get("Content-Length") or 0)
    assert b"Content-Range: bytes 0-1/10\r\n\r\n01\r\n" in body
    assert b"Content-Range: bytes 8-9/10\r\n\r\n89\r\n" in body
    beyond = await world.ask("/a", "Range: bytes=10-")
    assert (beyond.status, beyond.headers.get("Content-Range")) == (416, "bytes */10")
    assert (await world.get("/a", "Range: bytes=0-1", 'If-Range: "2"'))[:2] == (200, TEN)
    assert (await world.get("/a", "Range: bytes=0-1", 'If-Range: "1"'))[:2] == (206, b"01")
    assert world.origin.count() == 1
    await world.close()


async def test_a_range_of_what_is_not_here_comes_at_once_and_the_whole_behind_it() -> None:
    world = World()
    world.page("/a", TEN, *TAGGED)
    answer = await world.ask("/a", "Range: bytes=5-6")
    assert (answer.status, await body_of(answer)) == (206, b"56")
    await world.settle()
    assert (await world.get("/a", "Range: bytes=7-8"))[2].startswith("hit")
    assert world.origin.count() == 2
    await world.close()


async def test_a_range_from_the_start_follows_the_fill_of_the_whole() -> None:
    world = World()
    world.page("/a", TEN, *TAGGED)
    assert (await world.get("/a", "Range: bytes=0-3"))[:2] == (206, b"0123")
    await world.settle()
    assert (await world.get("/a"))[2].startswith("hit")
    assert world.origin.count() == 1
    await world.close()


async def test_a_seek_far_beyond_what_has_come_does_not_wait_for_it() -> None:
    world = World()
    body = bytes(20 << 20)
    world.page("/a", body, *TAGGED)
    world.origin.rest = asyncio.Event()
    first = await world.ask("/a")
    async with asyncio.timeout(5):
        seek = await world.ask("/a", f"Range: bytes={18 << 20}-{(18 << 20) + 9}")
        assert (seek.status, await body_of(seek)) == (206, bytes(10))
    world.origin.rest.set()
    assert await body_of(first) == body
    await world.close()


async def test_head_is_answered_from_a_stored_get_and_teaches_it_when_it_goes_through() -> None:
    world = await warm()
    head = await world.ask("/a", method="HEAD")
    assert (head.status, head.body, head.headers.get("Content-Length")) == (200, b"", "10")
    assert world.origin.count("HEAD") == 0
    world.clock.advance(70)
    await world.ask("/a", method="HEAD")
    assert world.origin.count("HEAD") == 1
    assert (await world.get("/a"))[2].startswith("hit"), "the HEAD freshened it"
    world.clock.advance(70)
    world.page("/a", b"other", "Cache-Control: max-age=60", 'ETag: "2"')
    await world.ask("/a", method="HEAD")
    assert (await world.get("/a"))[1] == b"other", "the HEAD told that it changed"
    await world.close()


async def test_a_304_freshens_what_is_stored_and_updates_its_fields() -> None:
    world = await warm()
    world.clock.advance(70)
    world.page("/a", TEN, "Cache-Control: max-age=600", 'ETag: "1"', "X-New: yes")
    answer = await world.ask("/a")
    assert await body_of(answer) == TEN
    assert "fwd=stale" in status_of(answer)
    assert "fwd-status=304" in status_of(answer)
    assert answer.headers.get("X-New") == "yes"
    world.clock.advance(500)
    again = await world.ask("/a")
    assert status_of(again).startswith("hit")
    assert again.headers.get("X-New") == "yes"
    assert again.headers.get("Age") == "500"
    assert world.store.statistics().blob_count == 1
    await world.close()


async def test_a_changed_page_replaces_the_old_one_and_one_no_longer_storable_removes_it() -> None:
    world = await warm()
    world.clock.advance(70)
    world.page("/a", b"new", *TAGGED[:1], 'ETag: "2"')
    assert (await world.get("/a"))[1] == b"new"
    await world.settle()
    assert world.variants.statistics().entry_count == 1
    world.clock.advance(70)
    world.page("/a", b"gone", "Cache-Control: no-store", status=404)
    assert (await world.get("/a"))[:2] == (404, b"gone")
    assert world.variants.statistics().entry_count == 0
    world.origin.down = Trouble.REFUSED
    assert (await world.get("/a"))[0] == 502
    await world.close()


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
async def test_an_unsafe_method_goes_through_with_its_body_and_invalidates(method: str) -> None:
    world = await warm(TEN, "Cache-Control: max-age=60, stale-if-error=600", 'ETag: "1"')
    world.page("/other", b"o")
    await world.get("/other")
    await world.settle()
    world.page("/a", TEN, "Content-Location: /other", 'ETag: "1"')
    written = await world.ask("/a", method=method, body=b"order")
    await body_of(written)
    assert world.origin.bodies == [b"order"]
    assert "fwd=method" in status_of(written)
    for path in ("/a", "/other"):
        assert not (await world.get(path))[2].startswith("hit")
    await world.close()


async def test_groups_named_by_an_unsafe_answer_are_invalid_and_others_are_not() -> None:
    world = World()
    world.page("/a", b"a", "Cache-Control: max-age=60", 'Cache-Groups: "news"', 'ETag: "1"')
    world.page("/b", b"b", "Cache-Control: max-age=60", 'Cache-Groups: "new"', 'ETag: "1"')
    world.page("/post", b"", 'Cache-Group-Invalidation: "news"')
    for path in ("/a", "/b"):
        await world.get(path)
    await world.settle()
    await world.ask("/post", method="POST", body=b"x")
    assert (await world.get("/a"))[2].startswith("fwd=")
    assert (await world.get("/b"))[2].startswith("hit")
    await world.close()


async def test_an_unsafe_request_is_never_answered_from_here() -> None:
    world = await warm()
    world.origin.down = Trouble.REFUSED
    assert (await world.ask("/a", method="POST", body=b"x")).status == 502
    await world.close()


async def test_wishes_of_the_request_are_kept() -> None:
    world = await warm()
    assert (await world.ask("/b", "Cache-Control: only-if-cached")).status == 504
    assert (await world.get("/a", "Cache-Control: only-if-cached"))[:2] == (200, TEN)
    assert "fwd=request" in (await world.get("/a", "Cache-Control: no-cache"))[2]
    world.page("/n", TEN)
    await world.get("/n", "Cache-Control: no-store")
    await world.settle()
    assert (await world.get("/n"))[2].startswith("fwd=uri-miss")
    await world.close()


async def test_an_answer_says_how_it_came_and_a_miss_leaves_age_alone() -> None:
    world = World()
    world.page("/a", TEN, "Cache-Control: max-age=60", "Age: 7", "Connection: X-Hop", "X-Hop: 1")
    first = await world.ask("/a")
    assert first.headers.get("Age") == "7"
    assert "rock-1" in first.headers.joined("Via")
    assert "X-Hop" not in first.headers
    await body_of(first)
    await world.settle()
    world.clock.advance(3)
    assert (await world.ask("/a")).headers.get("Age") == "10"
    sent = world.origin.asked[0][2]
    assert sent.get("CDN-Loop") == "rock-1"
    assert sent.get("Via") == "1.1 rock-1"
    assert (await world.ask("/a", "CDN-Loop: rock-1")).status == 508
    await world.close()


@pytest.mark.parametrize(
    ("target", "fields", "status"),
    [
        ("/a/../b", (), 400),
        ("/a%2fb", (), 400),
        ("/page.php/x.css", (), 400),
        ("/a", ("Content-Length: 1", "Transfer-Encoding: chunked"), 400),
        ("/a", ("Host: www.example.org", "Host: other.example"), 400),
        ("/a", ("Expect: tea",), 417),
        ("/a", tuple(f"X-{n}: 1" for n in range(120)), 431),
    ],
)
async def test_ambiguous_shapes_are_refused_and_counted(
    target: str, fields: tuple[str, ...], status: int
) -> None:
    world = World()
    answer = await world.ask(target, *fields)
    assert answer.status == status
    assert world.origin.asked == []
    assert sum(world.metrics.counted("skerry_edge_refused").values()) == 1
    await world.close()


async def test_a_host_that_is_not_ours_is_misdirected() -> None:
    world = World()
    answer = await world.rooms.front(Request("GET", "/a", raw_path="/a"))
    assert answer.status == 400
    await world.close()


async def test_a_credential_in_the_target_passes_by_the_cache() -> None:
    world = World()
    world.page("/a?access_token=x", TEN)
    for _ in range(2):
        assert (await world.get("/a?access_token=x"))[:2] == (200, TEN)
    assert world.origin.count() == 2
    assert world.variants.statistics().entry_count == 0
    await world.close()


async def test_a_page_under_the_name_of_a_static_file_is_not_stored() -> None:
    world = World()
    world.page("/me/x.css", b"<html>", "Cache-Control: max-age=60", "Content-Type: text/html")
    assert "stored" not in (await world.get("/me/x.css"))[2]
    assert (await world.get("/me/x.css"))[2].startswith("fwd=")
    await world.close()


async def test_a_body_of_unknown_length_is_stored_whole() -> None:
    world = World()
    world.page("/a", b"x" * 200_000, "Cache-Control: max-age=60", sized=False)
    assert (await world.get("/a"))[1] == b"x" * 200_000
    await world.settle()
    answer = await world.ask("/a", "Range: bytes=0-9")
    assert (answer.status, await body_of(answer)) == (206, b"x" * 10)
    await world.close()


async def test_an_empty_body_and_a_coded_one_are_stored() -> None:
    world = World()
    world.page("/empty", b"", "Cache-Control: max-age=60")
    world.page("/coded", b"\x1f\x8b", "Cache-Control: max-age=60", "Content-Encoding: gzip")
    for path, body in (("/empty", b""), ("/coded", b"\x1f\x8b")):
        await world.get(path)
        await world.settle()
        answer = await world.ask(path)
        assert status_of(answer).startswith("hit")
        assert await body_of(answer) == body
    await world.close()


async def test_what_was_evicted_is_fetched_again() -> None:
    world = await warm()
    for info in list(world.store.blobs()):
        await world.store.delete(info.digest)
    assert (await world.get("/a"))[:2] == (200, TEN)
    assert world.origin.count() == 2
    await world.close()


async def test_a_304_that_forbids_storing_ends_what_is_stored() -> None:
    world = await warm()
    world.clock.advance(70)
    world.page("/a", TEN, "Cache-Control: no-store", 'ETag: "1"')
    assert (await world.get("/a"))[:2] == (200, TEN)
    assert world.variants.statistics().entry_count == 0
    await world.close()
