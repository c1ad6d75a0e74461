"""Two readers of one connection must see the same requests: what is ambiguous is refused."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from skerry.adapters.http_server import Door, DoorMetrics
from skerry.adapters.http_server_strict import Reason
from skerry.base.clock import SystemClock
from skerry.telemetry.metrics import Registry
from skerry.wire.message import Answer, Request
from tests.adapters.http_door import Front, connect, guarded, opened, until

GET = b"GET /a HTTP/1.1\r\nHost: a\r\n"
POST = b"POST /a HTTP/1.1\r\nHost: a\r\n"
SECOND = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
CODED = b"Transfer-Encoding: chunked\r\n"
END = b"\r\n0\r\n\r\n"

HEADS: tuple[tuple[str, bytes, int, Reason], ...] = (
    ("CL and TE", POST + b"Content-Length: 3\r\n" + CODED + END, 400, Reason.LENGTH_AND_CODING),
    ("TE and CL", POST + CODED + b"Content-Length: 3\r\n" + END, 400, Reason.LENGTH_AND_CODING),
    ("two equal CL", POST + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400,
     Reason.LENGTH),
    ("two other CL", POST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc", 400,
     Reason.LENGTH),
    ("a list of CL", POST + b"Content-Length: 3, 3\r\n\r\nabc", 400, Reason.LENGTH),
    ("a signed CL", POST + b"Content-Length: +3\r\n\r\nabc", 400, Reason.LENGTH),
    ("a negative CL", POST + b"Content-Length: -3\r\n\r\nabc", 400, Reason.LENGTH),
    ("a hexadecimal CL", POST + b"Content-Length: 0x3\r\n\r\nabc", 400, Reason.LENGTH),
    ("a CL with a mark", POST + b"Content-Length: 1_0\r\n\r\nabc", 400, Reason.LENGTH),
    ("a CL too large", POST + b"Content-Length: 99999999999999999999\r\n\r\n", 400, Reason.LENGTH),
    ("an empty CL", POST + b"Content-Length:\r\n\r\nabc", 400, Reason.LENGTH),
    ("another TE", POST + b"Transfer-Encoding: xchunked\r\n" + END, 400, Reason.CODING),
    ("a TE of two", POST + b"Transfer-Encoding: gzip, chunked\r\n" + END, 400, Reason.CODING),
    ("TE chunked first", POST + b"Transfer-Encoding: chunked, identity\r\n" + END, 400,
     Reason.CODING),
    ("two TE", POST + CODED + b"Transfer-Encoding: identity\r\n" + END, 400, Reason.CODING),
    ("TE twice", POST + CODED + CODED + END, 400, Reason.CODING),
    ("TE identity", GET + b"Transfer-Encoding: identity\r\n\r\n", 400, Reason.CODING),
    ("TE with a tab", POST + b"Transfer-Encoding:\tchunked\x0b\r\n" + END, 400, Reason.FIELD),
    ("TE in HTTP/1.0", POST.replace(b"1.1", b"1.0") + CODED + END, 400, Reason.CODING),
    ("space before the colon", POST + b"Transfer-Encoding : chunked\r\n" + END, 400, Reason.FIELD),
    ("bare LF", b"GET /a HTTP/1.1\nHost: a\n\n", 400, Reason.LINE_END),
    ("bare LF in a field", GET + b"X: b\nY: c\r\n\r\n", 400, Reason.LINE_END),
    ("bare CR in a field", GET + b"X: b\rY: c\r\n\r\n", 400, Reason.LINE_END),
    ("bare CR before the end", GET + b"\r\r\n", 400, Reason.LINE_END),
    ("folded line", GET + b"X: b\r\n c\r\n\r\n", 400, Reason.SPACE),
    ("folded by a tab", GET + b"X: b\r\n\tc\r\n\r\n", 400, Reason.SPACE),
    ("blank before the first field", b"GET /a HTTP/1.1\r\n Host: b\r\nHost: a\r\n\r\n", 400,
     Reason.SPACE),
    ("two Host", GET + b"Host: b\r\n\r\n", 400, Reason.HOST),
    ("two equal Host", GET + b"Host: a\r\n\r\n", 400, Reason.HOST),
    ("no Host", b"GET /a HTTP/1.1\r\n\r\n", 400, Reason.HOST),
    ("NUL in a field", GET + b"X: a\0b\r\n\r\n", 400, Reason.FIELD),
    ("NUL in a name", GET + b"X\0: a\r\n\r\n", 400, Reason.FIELD),
    ("NUL in the target", b"GET /a\0b HTTP/1.1\r\nHost: a\r\n\r\n", 400, Reason.TARGET),
    ("HTTP/2", b"GET /a HTTP/2.0\r\nHost: a\r\n\r\n", 505, Reason.VERSION),
    ("the preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, Reason.HTTP2),
    ("HTTP/0.9", b"GET /a\r\n\r\n", 505, Reason.VERSION),
    ("HTTP/9.9", b"GET /a HTTP/9.9\r\nHost: a\r\n\r\n", 505, Reason.VERSION),
    ("small letters", b"get /a HTTP/1.1\r\nHost: a\r\n\r\n", 501, Reason.METHOD),
    ("an unknown method", b"BREW /a HTTP/1.1\r\nHost: a\r\n\r\n", 501, Reason.METHOD),
    ("no method", b"\r\n / HTTP/1.1\r\nHost: a\r\n\r\n", 400, Reason.SYNTAX),
    ("CONNECT", b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", 501, Reason.METHOD),
    ("authority-form", b"GET a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", 400, Reason.TARGET),
    ("asterisk-form with GET", b"GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400, Reason.TARGET),
    ("absolute-form elsewhere", b"GET http://evil/a HTTP/1.1\r\nHost: a\r\n\r\n", 400,
     Reason.TARGET_HOST),
    ("absolute-form, other port", b"GET http://a:9/a HTTP/1.1\r\nHost: a\r\n\r\n", 400,
     Reason.TARGET_HOST),
    ("absolute-form with a user", b"GET http://b@a/a HTTP/1.1\r\nHost: a\r\n\r\n", 400,
     Reason.TARGET),
    ("another scheme", b"GET ftp://a/a HTTP/1.1\r\nHost: a\r\n\r\n", 400, Reason.TARGET),
    ("a long target", b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414,
     Reason.TARGET_LONG),
    ("many fields", GET + b"".join(b"X-%d: a\r\n" % n for n in range(200)) + b"\r\n", 431,
     Reason.FIELDS_LARGE),
    ("large fields", GET + b"X: " + b"a" * (70 << 10) + b"\r\n\r\n", 431, Reason.FIELDS_LARGE),
    ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, Reason.TLS),
)  # fmt: skip


async def read_all(request: Request) -> Answer:
    return Answer(200, body=b"".join([chunk async for chunk in request.body]))


@dataclass
class Counted:
    """A door whose refusals are counted."""

    door: Door
    registry: Registry

    def reasons(self) -> dict[str, float]:
        self.door.settle()
        lines = self.registry.expose().splitlines()
        found = (line for line in lines if line.startswith("skerry_http_refused_total{"))
        return {line.partition('reason="')[2].partition('"')[0]: float(line.rpartition(" ")[2])
                for line in found}  # fmt: skip


@asynccontextmanager
async def counted(front: Front, *, plain: bool) -> AsyncIterator[Counted]:
    registry = Registry()
    door = Door(front, name="edge", host="127.0.0.1", port=0, clock=SystemClock(),
                metrics=DoorMetrics(registry), plain_refusals=plain)  # fmt: skip
    await door.open()
    try:
        yield Counted(door, registry)
    finally:
        await door.close()


@pytest.mark.parametrize("plain", [True, False], ids=["edge", "registry"])
@pytest.mark.parametrize(("data", "status", "reason"), [row[1:] for row in HEADS],
                         ids=[row[0] for row in HEADS])  # fmt: skip
async def test_an_ambiguous_head_gets_one_clear_error_and_nothing_behind_it_is_read(
    data: bytes, status: int, reason: Reason, plain: bool
) -> None:
    front = Front({"/a": read_all, "/smuggled": read_all})
    async with counted(front, plain=plain) as made:
        client = await connect(made.door)
        await client.send(data + SECOND)
        got = await client.answer()
        assert (got.status, made.reasons()) == (status, {reason.value: 1.0})
        assert (got.headers.get("connection"), got.headers.get("cache-control")) == (
            "close", "no-store")  # fmt: skip
        if plain:
            assert got.headers.get("content-type") == "text/plain; charset=utf-8"
            assert got.body.endswith(b"\n")
        else:
            assert len(json.loads(got.body)["errors"]) == 1
        await client.ended()
        assert front.asked == []


async def test_a_head_that_comes_byte_by_byte_is_judged_alike() -> None:
    front = Front({"/a": read_all, "/smuggled": read_all})
    for name, data, status, reason in HEADS:
        if len(data) > 1000 or reason in (Reason.TLS, Reason.METHOD):
            continue
        async with counted(front, plain=True) as made:
            client = await connect(made.door)
            try:
                for byte in data:
                    await client.send(bytes([byte]))
            except ConnectionError:
                pass  # refused before the end
            got = await client.answer()
            assert (name, got.status, made.reasons()) == (name, status, {reason.value: 1.0})
    assert front.asked == []


@pytest.mark.parametrize(
    "body",
    [b"1\nx\n0\n\n", b"0x1\r\nx\r\n0\r\n\r\n", b"1\r\nxy\r\n0\r\n\r\n", b"1;a\nb\r\nx\r\n0\r\n\r\n",
     b"fffffffffffffffff\r\nx", b"-1\r\nx\r\n0\r\n\r\n", b"1 \r\nx\r\n0\r\n\r\n",
     b"1\r\nx\n0\r\n\r\n", b" 1\r\nx\r\n0\r\n\r\n", b"\r\n1\r\nx\r\n0\r\n\r\n",
     b"1\r\nx\r\n0\r\nContent-Length: 9\r\n\r\n",
     b"1;" + b"a" * (600 << 10), b"0\r\n" + b"X: y\r\n" * 200_000],
    ids=lambda body: repr(body[:12]),
)  # fmt: skip
async def test_an_ambiguous_body_ends_the_connection(body: bytes) -> None:
    front = Front({"/a": read_all, "/smuggled": read_all})
    async with opened(front) as door:
        client = await connect(door)
        try:
            await client.send(CHUNKED + body + SECOND)
        except ConnectionError:
            pass  # ended before it was sent
        await client.ended()
        assert "/smuggled" not in front.asked


async def test_a_trailer_never_becomes_a_field() -> None:
    seen: list[Request] = []

    async def keep(request: Request) -> Answer:
        await read_all(request)
        seen.append(request)
        return Answer(200)

    async with opened(Front({"/a": keep})) as door:
        client = await connect(door)
        await client.send(
            POST + b"Trailer: X-Late, Host\r\n" + CODED + b"\r\n1\r\nx\r\n0\r\n"
            b"X-Late: 1\r\nHost: evil\r\nAuthorization: x\r\n\r\n" + POST
            + b"Content-Length: 0\r\n\r\n"
        )  # fmt: skip
        assert [(await client.answer()).status for _ in range(2)] == [200, 200]
    assert [[name for name, _ in request.headers] for request in seen] == [
        ["host", "trailer", "transfer-encoding"],
        ["host", "content-length"],
    ]


async def test_nothing_behind_the_last_request_is_answered() -> None:
    front = Front({"/a": read_all, "/smuggled": read_all})
    async with opened(front) as door:
        client = await connect(door)
        await client.send(GET + b"Connection: close\r\n\r\n" + SECOND)
        whole = await guarded(client.reader.read())
        assert whole.count(b"HTTP/1.1 200") == 1
        await until(lambda: door.statistics().connections == 0)
        assert "/smuggled" not in front.asked


@pytest.mark.parametrize(
    ("line", "path"),
    [(b"GET http://a/a", "/a"), (b"GET HTTP://A:80/a", "/a"), (b"GET http://a", "/"),
     (b"GET http://a?b", "/"), (b"OPTIONS *", "*")],
)  # fmt: skip
async def test_a_target_with_the_host_of_its_field_is_taken(line: bytes, path: str) -> None:
    front = Front({"/a": read_all, "/": read_all, "*": read_all})
    async with opened(front) as door:
        client = await connect(door)
        await client.send(line + b" HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await client.answer()).status == 200
        assert front.asked == [path]
