"""Every parser of `cdn.core` on any bytes: nothing raises, and what comes out holds together."""

from __future__ import annotations

from collections.abc import Callable

import http_sf

from skerry.base.ranges import ByteRange, Unsatisfiable, parse_range
from skerry.cdn.core import multipart
from skerry.cdn.core.dates import format_date, parse_date
from skerry.cdn.core.directives import parse_directives, request_directives
from skerry.cdn.core.freshness import judge
from skerry.cdn.core.hops import connection_options, end_to_end, forwarded_request, has_looped
from skerry.cdn.core.invalidation import cache_groups, invalidated_groups, invalidated_uris
from skerry.cdn.core.key import CacheKey, cache_key, normal_path
from skerry.cdn.core.parts import Part, Span, read_part
from skerry.cdn.core.purge import surrogate_keys
from skerry.cdn.core.status import CacheStatus, Fwd, with_cache_status
from skerry.cdn.core.storing import refusal, stored_response
from skerry.cdn.core.strict import Head, mistaken_type, refuse
from skerry.cdn.core.targeted import control_of
from skerry.cdn.core.validation import Selected, evaluate, if_range_holds, parse_tag, parse_tags
from skerry.cdn.core.vary import normalised, secondary_key, vary_names
from skerry.cdn.ports import DataClass, RoutePolicy
from skerry.wire.message import Headers, Request

PUBLIC = RoutePolicy(data_class=DataClass.PUBLIC)
SEEDS = (
    b'max-age=60, s-maxage="5", private="set-cookie", no-cache, a="b\\""',
    b"max-age=3600;foo=bar, stale-if-error=5",
    b"Thu, 18 Aug 2050 02:01:18 GMT",
    b"Sunday, 06-Nov-94 08:49:37 GMT",
    b"bytes 0-9/100",
    b"bytes=0-4, 8-9, -3",
    b"gzip;q=0.5, br, *;q=0",
    b'"news", "sport";a=1',
    b'W/"a", "b,c", *',
    b"/a/%61/b;x.css?x=1&y=%26",
    b"item-1 item-2, item-3",
    b"Shield; hit; ttl=5",
    b'rock-1, other; a="x"',
    b"text/html; charset=utf-8",
)

WORDS = SEEDS


def dates(text: str) -> None:
    seconds = parse_date(text)
    if seconds is not None and seconds >= 0:
        assert parse_date(format_date(seconds)) == seconds


def directives(text: str) -> None:
    read = parse_directives([text])
    for name in ("max-age", "s-maxage", "stale-if-error"):
        value = read.seconds(name)
        assert value is None or 0 <= value <= 1 << 31
    assert (read.fields("private") is None) == ("private" not in read)
    request_directives(Headers((("Cache-Control", text), ("Pragma", text))))
    control_of(Headers((("CDN-Cache-Control", text), ("Cache-Control", text))))


def ranges(text: str) -> None:
    for total in (0, 10, 1 << 40):
        found = parse_range(text, total)
        if isinstance(found, tuple):
            judged = multipart.judge(found)
            assert all(0 <= each.start < each.stop <= total for each in found)
            if isinstance(judged, multipart.SendSeveral):
                plan = multipart.plan_multipart(
                    judged.ranges, content_type=text, boundary=multipart.boundary_of(bytes(24))
                )
                told = sum(len(p.head) + p.range.size for p in plan.parts) + len(plan.tail)
                assert told == plan.content_length
        else:
            assert found is None or isinstance(found, Unsatisfiable | ByteRange)


def parts(text: str) -> None:
    headers = Headers((("Content-Range", text), ("ETag", '"1"'), ("Content-Length", "10")))
    part = read_part(206, headers, asked=Span(0, 10))
    if isinstance(part, Part):
        assert 0 <= part.span.start < part.span.stop
        assert part.total is None or part.span.stop <= part.total


def vary(text: str) -> None:
    once = normalised("accept-encoding", (text,))
    assert normalised("accept-encoding", (once,)) == once, "a normal form is its own"
    names = vary_names(Headers((("Vary", text),)))
    if names is not None:
        secondary_key(names, Headers((("Accept", text),)))


def names(text: str) -> None:
    headers = Headers((
        ("Cache-Groups", text), ("Cache-Group-Invalidation", text), ("Surrogate-Key", text),
        ("Location", text), ("Content-Location", text), ("Connection", text), ("CDN-Loop", text),
    ))  # fmt: skip
    cache_groups(headers)
    invalidated_groups("POST", 200, headers)
    surrogate_keys(headers)
    for uri in invalidated_uris("POST", 200, "http://a.example/x", headers):
        assert uri.startswith("http://a.example/"), uri
    has_looped(headers, "rock-1")
    connection_options(headers)
    assert "Connection" not in end_to_end(headers)
    assert forwarded_request(headers, "rock-1").joined("CDN-Loop").endswith("rock-1")


def conditions(text: str) -> None:
    tag = parse_tag(text)
    if tag is not None:
        assert parse_tag(str(tag)) == tag
    parse_tags([text])
    asked = Headers((
        ("If-None-Match", text), ("If-Match", text), ("If-Range", text), ("Range", "bytes=0-1"),
        ("If-Modified-Since", text), ("If-Unmodified-Since", text),
    ))  # fmt: skip
    current = Selected(parse_tag('"1"'), parse_date(text), None)
    evaluate("GET", asked, current)
    if_range_holds(asked, current)


def keys(text: str) -> None:
    path, _, query = text.partition("?")
    normal = normal_path(path)
    if isinstance(normal, str):
        assert normal_path(normal) == normal, "a normal form is its own"
    key = cache_key(scheme="http", authority="a.example", path=path, query=query, policy=PUBLIC)
    if isinstance(key, CacheKey):
        again = cache_key(
            scheme="http", authority="a.example", path=key.path, query=key.query, policy=PUBLIC
        )
        assert again == key, "a key's own target has that key"
    mistaken_type(path, text)
    raw = text.encode("latin-1", "replace")
    refuse(Head(b"GET", raw, b"1.1", [(b"Host", b"a.example"), (raw[:20], raw)]))


def status(text: str) -> None:
    said = with_cache_status(
        Headers((("Cache-Status", text),)), "rock", CacheStatus(fwd=Fwd.MISS, detail=text)
    )
    members = http_sf.parse(said.joined("Cache-Status").encode("latin-1"), tltype="list")
    assert str(members[-1][0]) == "rock"


def responses(text: str) -> None:
    lines = [line.partition(":") for line in text.split("\n")]
    headers = Headers((name.strip() or "X", value.strip()) for name, _, value in lines)
    asked = Request("GET", "/", Headers((("Host", "a.example"), ("Cookie", text))))
    for code in (200, 206, 299, 404):
        if refusal(asked, code, headers, PUBLIC, parts=True) is None:
            stored = stored_response(asked, code, headers, requested_at=1e9, received_at=1e9)
            assert "Set-Cookie" not in stored.headers
            view = judge(stored, 1e9 + 5, PUBLIC)
            assert view.age_seconds >= 0
            assert view.lifetime.seconds >= 0


CHECKS: tuple[Callable[[str], None], ...] = (
    dates, directives, ranges, parts, vary, names, conditions, keys, status, responses,
)  # fmt: skip


def run(data: bytes) -> None:
    """The first byte chooses the parser, so that a fuzzer can stay with one."""
    if data:
        CHECKS[data[0] % len(CHECKS)](data[1:].decode("latin-1"))


def seeds() -> list[bytes]:
    return [bytes([which]) + seed for which in range(len(CHECKS)) for seed in SEEDS]
