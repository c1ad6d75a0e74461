"""What an origin may say, through the whole edge: any status, any fields, any body.

What must hold: nothing raises, what the client gets can be written on a wire, our member of
Cache-Status is one, and a part is as long as it says.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator

import http_sf

from skerry.upstream.ports import Exchange
from skerry.wire.message import Answer, BodyAborted, Headers, Interim
from tests.cdn.world import FakeExchange, FakeOrigin, World, body_of

USES_MAX = 300
_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
_PART = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)\Z")
SEEDS = (
    b'200\nCache-Control: max-age=60, stale-if-error=5\nETag: "1"\nVary: Accept, *\n\n0123456789',
    b'206\nContent-Range: bytes 2-4/10\nETag: "1"\nContent-Length: 3\n\n234\nRange: bytes=2-4',
    b'304\nETag: "1"\nCache-Control: max-age=60\nExpires: 0\n\n\nIf-None-Match: "1", W/"2"',
    b'200\nCDN-Cache-Control: max-age=60;a\nCache-Groups: "a"\nConnection: x\nX: 1\n\nabc',
    b"416\nContent-Range: bytes */10\n\n\nRange: bytes=99-",
    b"301\nLocation: //x/\nAge: 5\nDate: x\nLast-Modified: Thu, 18 Aug 2010 02:01:18 GMT\n\n",
    b"200\nCache-Status: a; hit\nSurrogate-Key: a b\nContent-Encoding: x\n\nx\nRange: bytes=-1",
    b"101\nUpgrade: x\n\n",
    b"599\nProxy-Status: x\nTrailer: a\nTransfer-Encoding: gzip\n\nz",
)

WORDS = (
    b"Cache-Control: ",
    b"max-age=60",
    b"no-store",
    b'no-cache="x"',
    b"s-maxage=5",
    b"private",
    b"Vary: *",
    b'ETag: W/"1"\n',
    b"Last-Modified: Thu, 18 Aug 2010 02:01:18 GMT\n",
    b"Content-Range: bytes ",
    b"Content-Length: 3\n",
    b"Content-Encoding: gzip\n",
    b"Age: 99999999999\n",
    b"206\n",
    b"304\n",
    b"503\n",
    b"Range: bytes=",
    b"If-None-Match: *",
    b'If-Range: "1"',
    b"Set-Cookie: a=1\n",
    b"Expires: 0\n",
    b"must-understand",
    b"stale-while-revalidate=60",
    b"CDN-Cache-Control: max-age=60\n",
    b"Transfer-Encoding: chunked\n",
    b"Connection: ETag\n",
    b"Content-Type: multipart/byteranges\n",
)


class Origin(FakeOrigin):
    """Says what it was given."""

    given: tuple[int, Headers, bytes] = (200, Headers(), b"")

    async def send(
        self,
        method: str,
        target: str,
        headers: Headers,
        body: AsyncIterator[bytes] | None = None,
        interim: Interim | None = None,
    ) -> Exchange:
        status, fields, data = self.given
        bodiless = method == "HEAD" or status in (204, 304)
        return FakeExchange(status, fields, b"" if bodiless else data)


def parsed(data: bytes) -> tuple[int, Headers, bytes, Headers]:
    """Status, fields, body, and the fields of a request, as a transport could have read them."""
    head, _, rest = data.decode("latin-1").partition("\n\n")
    first, *lines = head.split("\n")
    body, _, asked = rest.partition("\n")
    status = int(first) if first.isascii() and first.isdigit() and len(first) == 3 else 200
    status = max(200, min(status, 999))  # 1xx never come as an answer
    return status, _fields(lines), body.encode("latin-1"), _fields(asked.split("\n"))


def _fields(lines: list[str]) -> Headers:
    parts = [line.partition(":") for line in lines]
    clean = ((n.strip(), re.sub(r"[\x00-\x08\x0a-\x1f\x7f]", "", v).strip()) for n, _, v in parts)
    return Headers((name, value) for name, value in clean if _NAME.match(name))


class Bench:
    def __init__(self, *, sliced: bool) -> None:
        self.world = World(make_origin=Origin, slice_bytes=65536 if sliced else None)
        self.uses = 0

    async def feed(self, data: bytes) -> None:
        self.uses += 1
        origin = self.world.origin
        assert isinstance(origin, Origin)
        status, fields, body, asked = parsed(data)
        origin.given = (status, fields, body)
        lines = [f"{name}: {value}" for name, value in asked if name.lower() != "host"]
        target = f"/{self.uses % 3}"
        for method in ("GET", "GET", "HEAD", "GET"):
            answer = await self.world.ask(target, *lines, method=method)
            await self._judge(answer)
            self.world.clock.advance(40)
            await self.world.settle()
        assert not self.world.crashes, self.world.crashes

    async def _judge(self, answer: Answer) -> None:
        try:
            body = await body_of(answer)
        except BodyAborted:
            return
        assert 200 <= answer.status <= 999
        for name, value in answer.headers:
            assert _NAME.match(name), name
            assert not re.search(r"[\r\n\x00]", value), (name, value)
            (name + value).encode("latin-1")
        said = answer.headers.joined("Cache-Status")
        if said:
            assert str(http_sf.parse(said.encode("latin-1"), tltype="list")[-1][0]) == "rock"
        lengths = answer.headers.all("Content-Length")
        assert len(lengths) <= 1 or "rock;hit" not in said, lengths
        part = _PART.match(answer.headers.get("Content-Range") or "")
        if answer.status == 206 and part and "rock;hit" in said and body:
            assert len(body) == int(part[2]) - int(part[1]) + 1


_benches: dict[bool, Bench] = {}


def run(data: bytes) -> None:
    """One answer, met by four requests, on a route with or without slices."""
    loop = asyncio.get_event_loop_policy().get_event_loop()
    sliced = bool(data) and data[-1] % 2 == 1
    bench = _benches.get(sliced)
    if bench is None or bench.uses > USES_MAX:
        if bench is not None:
            loop.run_until_complete(bench.world.close())
        bench = _benches[sliced] = loop.run_until_complete(_made(sliced=sliced))
    loop.run_until_complete(bench.feed(data))


async def _made(*, sliced: bool) -> Bench:
    return Bench(sliced=sliced)


def seeds() -> list[bytes]:
    return list(SEEDS)
