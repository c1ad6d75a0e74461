"""The edge on the fast way: the same answers, to the same requests, and for no longer."""

from __future__ import annotations

import asyncio

import pytest

from skerry.cdn.repeatable import DECISIVE
from skerry.telemetry.families import Counter
from skerry.wire.message import Headers, Request
from tests.adapters.http_door import beats, connect
from tests.cdn.shore import FRESH, HOST, LARGE, SMALL, shore
from tests.cdn.world import World, status_of

PAGES: dict[str, tuple[bytes, int, tuple[str, ...]]] = {
    "/small": (SMALL, 200, (*FRESH, "Last-Modified: Mon, 01 Jan 2018 00:00:00 GMT", "Age: 3")),
    "/large": (LARGE, 200, ("Cache-Control: max-age=61", 'ETag: W/"two"')),
    "/empty": (b"", 200, FRESH),
    "/missing": (b"no such thing", 404, ("Cache-Control: max-age=70",)),
    "/moved": (b"", 301, ("Cache-Control: max-age=80", "Location: /small")),
    "/near": (SMALL, 200, (*FRESH, "Cache-Status: far;hit;ttl=5;detail=x")),
}


@pytest.mark.parametrize(
    ("target", "method", "line"),
    [
        *((target, method, "Accept: */*") for target in PAGES for method in ("GET", "HEAD")),
        *(
            (target, "GET", f"Range: bytes={wanted}")
            for target in ("/small", "/large")
            for wanted in ("0-0", "7-1999", "100-", "-1", "-999999", "0-999999", "0-")
        ),
        ("/small", "GET", 'If-None-Match: "one"'),
        ("/small", "HEAD", 'If-None-Match: W/"one"'),
        ("/large", "GET", 'If-None-Match: W/"two"'),
    ],
)
async def test_the_fast_way_says_what_the_full_way_says(
    target: str, method: str, line: str
) -> None:
    async with shore() as here:
        for path, (body, status, fields) in PAGES.items():
            here.world.page(path, body, *fields, status=status)
        await here.warm(target)
        await here.warm(target, line, method=method)
        for seconds in (0.0, 0.25, 0.5, 0.75, 1.5, 10.25, 40.5):
            here.world.clock.advance(seconds)
            before = here.hits
            hot = await here.ask(target, line, method=method)
            assert here.hits == before + 1
            assert hot == await here.ask_plainly(target, line, method=method)
            assert list(hot.headers) == list(
                (await here.ask_plainly(target, line, method=method)).headers
            )


async def test_a_fast_answer_is_counted_as_a_hit_with_its_bytes() -> None:
    async with shore() as here:
        here.world.page("/small", SMALL, *FRESH)
        await here.warm("/small")

        def counted() -> tuple[float, float]:
            here.door.settle()
            found = {family.name: family for family in here.world.metrics.families()}
            hits, size = found["skerry_edge_requests"], found["skerry_edge_answer_bytes"]
            assert isinstance(hits, Counter)
            assert isinstance(size, Counter)
            return hits.value("public", "hit"), size.value("public", "hit")

        before, hits = counted(), here.hits
        await here.ask("/small")
        await here.ask("/small", "Range: bytes=5-8")
        await here.ask("/small", 'If-None-Match: "one"')
        await here.ask("/small", 'If-None-Match: "one"')
        after = counted()
        assert (after[0] - before[0], after[1] - before[1]) == (4, len(SMALL) + 4)
        assert here.hits == hits + 3


@pytest.mark.parametrize("target", ["/small", "/large"])
async def test_no_fast_answer_outlives_its_freshness(target: str) -> None:
    async with shore() as here:
        here.world.page(target, PAGES[target][0], "Cache-Control: max-age=60")
        await here.warm(target)
        here.world.clock.advance(59.5)
        assert (await here.ask(target)).headers.joined("Cache-Status") == "rock;hit;ttl=0"
        before = here.hits
        here.world.clock.advance(0.5)
        assert "hit" not in (await here.ask(target)).headers.joined("Cache-Status")
        assert (here.hits, here.world.origin.count()) == (before, 2)


async def test_a_clock_set_back_makes_no_answer_live_longer() -> None:
    async with shore() as here:
        here.world.page("/small", SMALL, *FRESH)
        await here.warm("/small")
        here.world.clock.advance(30)
        here.world.clock.step(-50)
        here.world.clock.advance(30)
        before = here.hits
        await here.ask("/small")
        assert here.hits == before


async def test_a_clock_that_was_set_leaves_the_judgement_to_the_edge() -> None:
    async with shore() as here:
        here.world.page("/small", SMALL, *FRESH)
        await here.warm("/small")
        here.world.clock.step(59)
        await beats(here.door, here.world.clock, 1)
        before = here.hits
        await here.ask("/small")
        assert (here.hits, here.world.origin.count()) == (before, 2)


BROWSER = (
    "User-Agent: Mozilla/5.0", "Accept: text/html,*/*;q=0.8", "Accept-Language: de,en;q=0.5",
    "Accept-Encoding: gzip, deflate, br, zstd", "Referer: https://www.example.org/x?y=z", "DNT: 1",
    "Sec-GPC: 1", "Connection: keep-alive", "Cookie: session=1; theme=dark",
    "Sec-Fetch-Dest: image", "Sec-Fetch-Mode: no-cors", "Sec-Fetch-Site: same-origin",
    "Priority: u=4", "Origin: null", "Upgrade-Insecure-Requests: 1",
    "X-Forwarded-For: 192.0.2.1", "Forwarded: for=192.0.2.1",
    "sec-ch-ua: \"Chromium\";v=\"130\"", "Save-Data: on", "X-Request-Id: 5", "Via: 1.1 near",
)  # fmt: skip


async def test_what_browsers_and_caches_send_takes_the_fast_way() -> None:
    async with shore() as here:
        here.world.page("/small", SMALL, *FRESH)
        await here.warm("/small")
        before = here.hits
        got = await here.ask("/small", *BROWSER)
        assert (here.hits, got.body) == (before + 1, SMALL)
        conditional = (*BROWSER, "If-Modified-Since: Thu, 01 Jan 1970 00:00:00 GMT")
        await here.warm("/small", *conditional, 'If-None-Match: "one"')


@pytest.mark.parametrize("name", sorted(DECISIVE - {"content-length", "transfer-encoding"}))
async def test_a_field_that_decides_takes_the_full_way(name: str) -> None:
    async with shore() as here:
        here.world.page("/small", SMALL, *FRESH)
        await here.warm("/small")
        before = here.hits
        await here.ask("/small", f"{name}: 0")
        assert here.hits == before


@pytest.mark.parametrize(
    "line",
    [
        "Content-Length: 0", "Transfer-Encoding: chunked\r\n\r\n0", "Connection: close",
        "Connection: keep-alive, cookie", "If-Modified-Since: Thu, 01 Jan 1970 00:00:00 GMT",
        "Range: bytes=0-1,4-5", "Range: bytes=9999-", "Range: bytes=5-4", "Range: lines=1-2",
        "Range: bytes=0-1\r\nRange: bytes=0-1", 'Range: bytes=0-1\r\nIf-Range: "one"',
        'If-None-Match: "two"', 'If-None-Match: "one", "two"', "If-None-Match: *",
        'If-None-Match: "one"\r\nRange: bytes=0-1', "\r\n".join(f"X-{n}: 1" for n in range(70)),
        f"X: {'x' * 17000}",
    ],
)  # fmt: skip
async def test_what_the_fast_way_does_not_know_takes_the_full_way(line: str) -> None:
    async with shore() as here:
        here.world.page("/small", SMALL, *FRESH)
        await here.warm("/small")
        before = here.hits
        got = [await here.ask("/small", line) for _ in range(3)]
        assert here.hits == before
        plain = await here.ask_plainly("/small", line)
        # Boundaries of several parts are drawn, but as long as each other.
        assert {(each.status, len(each.body)) for each in got} == {(plain.status, len(plain.body))}


async def test_answers_that_vary_are_told_apart_by_what_they_vary_on() -> None:
    def page(method: str, headers: Headers) -> object:
        coding = headers.get("Accept-Encoding", "none")
        return type(small)(f"as {coding}".encode(), (*small.headers, ("Vary", "Accept-Encoding")))

    async with shore() as here:
        small = here.world.page("/v", SMALL, *FRESH)
        here.world.origin.pages["/v"] = page  # type: ignore[assignment]
        for coding in ("gzip", "br", "gzip", "br"):
            await here.warm("/v", f"Accept-Encoding: {coding}")
            before = here.hits
            got = await here.ask("/v", f"Accept-Encoding: {coding}", "X-Other: 1")
            assert (here.hits, got.body) == (before + 1, f"as {coding}".encode())
        before = here.hits
        assert (await here.ask("/v")).body == b"as none"
        assert here.hits == before


async def test_two_hosts_and_two_targets_of_one_page_are_apart() -> None:
    async with shore() as here:
        here.world.page("/small", SMALL, *FRESH)
        await here.warm("/small")
        before = here.hits
        client = await connect(here.door)
        await client.send(b"GET /small HTTP/1.1\r\nHost: other.example\r\n\r\n")
        assert (await client.answer()).status == 421 or here.hits == before
        assert here.hits == before


class Noting(Headers):
    """Fields that note by which names they are asked."""

    asked: set[str] = set()  # noqa: RUF012

    def get(self, name: str, default: str | None = None) -> str | None:
        Noting.asked.add(name.lower())
        return super().get(name, default)

    def all(self, name: str) -> tuple[str, ...]:
        Noting.asked.add(name.lower())
        return super().all(name)


async def test_the_way_to_a_hit_reads_no_field_that_is_thought_harmless() -> None:
    world = World()
    world.page("/v", SMALL, *FRESH, "Vary: X-Selects")
    await world.ask("/v")
    await world.settle()
    for line in ("Range: bytes=0-1", 'If-None-Match: "one"', "If-Modified-Since: x", "A: b"):
        Noting.asked.clear()
        name, _, value = line.partition(": ")
        fields = Noting([("Host", HOST), (name, value)])
        answer = await world.rooms.front(Request("GET", "/v", fields, raw_path="/v"))
        assert status_of(answer).startswith("hit")
        known = {"host", "connection", "range", "if-none-match", "if-modified-since", "x-selects"}
        assert Noting.asked <= DECISIVE | known
        assert "range" in Noting.asked or answer.status == 304
    await world.close()


async def test_a_write_to_one_page_leaves_the_others_ready() -> None:
    async with shore() as here:
        here.world.page("/small", SMALL, *FRESH)
        here.world.page("/other", SMALL, *FRESH)
        await here.warm("/small")
        await here.warm("/other")
        await here.ask("/small", "Content-Length: 0", method="POST")
        before = here.hits
        await here.ask("/other")
        assert here.hits == before + 1


async def test_what_is_stale_growing_or_varies_only_sometimes_is_never_repeated() -> None:
    async with shore() as here:
        here.world.page("/s", SMALL, "Cache-Control: max-age=1, stale-while-revalidate=600")
        here.world.page("/mixed", SMALL, *FRESH)
        for target in ("/s", "/mixed"):
            await here.ask(target)
        await here.world.settle()
        here.world.page("/mixed", SMALL, *FRESH, "Vary: Accept-Encoding")
        await here.ask("/mixed", "Cache-Control: no-cache", "Accept-Encoding: br")
        await here.world.settle()
        here.world.clock.advance(5)
        here.world.origin.gate = asyncio.Event()
        before = here.hits
        for _ in range(3):
            await here.ask("/s")
            await here.ask("/mixed", "Accept-Encoding: br")
        assert here.hits == before
        here.world.origin.gate.set()
        await here.world.settle()
