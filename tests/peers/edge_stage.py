"""Transcripts over real sockets: a scripted origin, any cache in front, and a client of bytes.

The origin's promise: it sends what the script says and nothing of its own but a length where one
is due. One connection per request on both sides, so that nobody's keep-alive is judged.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import defaultdict
from collections.abc import Sequence

from skerry.app.drill.processes import Setting
from skerry.wire.message import Headers
from tests.cdn.transcripts.origin import Given, Heard, answer
from tests.cdn.transcripts.play import Seen, play
from tests.cdn.transcripts.script import Asks, Says, Transcript
from tests.cdn.world import ANY_METHOD
from tests.rig.http import HEAD_BYTES_MAX, read_head, read_request

AT_ONCE = 12
ANSWER_SECONDS_MAX = 15.0
QUIET_SECONDS = 0.06
"""For so long an origin must have heard nothing before what runs behind an answer is over."""


SECONDS = ("fresh", "stale_if_error", "stale_while_revalidate")
"""Settings of a route that a transcript gives in seconds."""


class ScriptedServer:
    """One origin for many transcripts, each below a path of its own."""

    def __init__(self) -> None:
        self.scripts: dict[str, dict[str, Says]] = defaultdict(dict)
        self.sites: dict[str, str] = {}
        self.heard: dict[str, list[Heard]] = defaultdict(list)
        self.last_heard_at = 0.0
        self._server: asyncio.Server | None = None
        self.port = 0

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=HEAD_BYTES_MAX)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            asked = await read_request(reader)
            target = asked.target.removeprefix("http://").partition("/")[2]
            first, _, rest = target.partition("/")
            heard = Heard(asked.method, f"/{rest}", Headers(asked.fields), asked.body)
            prefix = f"/{first}"
            self.heard[prefix].append(heard)
            self.last_heard_at = time.monotonic()
            given = answer(
                self.scripts[prefix],
                heard,
                now=time.time(),
                prefix=prefix,
                site=self.sites.get(prefix, ""),
            )
            if given is None:
                writer.transport.abort()
                return
            writer.write(_bytes_of(given, heard))
            await writer.drain()
        except (OSError, ValueError, asyncio.IncompleteReadError):
            writer.transport.abort()
        finally:
            writer.close()


def _bytes_of(given: Given, heard: Heard) -> bytes:
    lines = [f"HTTP/1.1 {given.status} Scripted", *(f"{n}: {v}" for n, v in given.headers)]
    bodiless = heard.method == "HEAD" or given.status in (204, 304)
    body = b"" if bodiless else given.body
    if not bodiless and "Content-Length" not in given.headers:
        lines.append("Transfer-Encoding: chunked")
        body = f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\n\r\n" if body else b"0\r\n\r\n"
    elif given.cut_at is not None:
        body = body[: given.cut_at]
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1") + body


class SocketStage:
    """`play.Stage` for one transcript in front of whatever listens at a port."""

    drift_seconds = 4.0

    def __init__(
        self, origin: ScriptedServer, port: int, number: int, *, host: str, ours: bool
    ) -> None:
        self.prefix, self.site, self.ours = f"/t{number}", f"http://{host}", ours
        self._origin, self._port, self._host = origin, port, host
        origin.sites[self.prefix] = self.site

    def now(self) -> float:
        return time.time()

    def says(self, says: Says) -> None:
        self._origin.scripts[self.prefix][says.path] = says

    async def wait(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def settled(self) -> list[Heard]:
        await asyncio.sleep(QUIET_SECONDS)
        return self._origin.heard[self.prefix]

    async def ask(self, ask: Asks) -> Seen:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            lines = [f"{ask.method} {self.prefix}{ask.path} HTTP/1.1", f"Host: {self._host}"]
            lines += [f"{name}: {value}" for name, value in ask.fields]
            if ask.body:
                lines.append(f"Content-Length: {len(ask.body)}")
            head = "\r\n".join([*lines, "Connection: close", "", ""])
            writer.write(head.encode("latin-1") + ask.body)
            async with asyncio.timeout(ANSWER_SECONDS_MAX):
                return await _read(reader, ask.method)
        finally:
            writer.close()


async def _read(reader: asyncio.StreamReader, method: str) -> Seen:
    status = 100
    while 100 <= status < 200:
        first, fields = await read_head(reader)
        status = int(first.split()[1])
    headers = Headers(fields)
    length = headers.get("Content-Length")
    body, whole = b"", True
    if method == "HEAD" or status in (204, 304):
        with contextlib.suppress(TimeoutError):  # nothing should come
            body = await asyncio.wait_for(reader.read(1), QUIET_SECONDS)
    elif "chunked" in headers.joined("Transfer-Encoding").lower():
        body, whole = await _chunked(reader)
    elif length is not None:
        try:
            body = await reader.readexactly(int(length))
        except asyncio.IncompleteReadError as error:
            body, whole = error.partial, False
        except ConnectionError:
            whole = False
    else:
        body = await reader.read(-1)
    return Seen(status, headers, body, broken=not whole)


async def _chunked(reader: asyncio.StreamReader) -> tuple[bytes, bool]:
    body = b""
    try:
        while size := int((await reader.readline()).partition(b";")[0], 16):
            body += await reader.readexactly(size)
            await reader.readline()
    except (ValueError, ConnectionError, asyncio.IncompleteReadError):
        return body, False
    return body, True


def host_of(number: int) -> str:
    return f"t{number}.example.org"


def site(number: int, transcript: Transcript, origin: str) -> dict[str, Setting]:
    """A site of its own, so that one's failing origin is nobody else's."""
    said = transcript.route
    route: dict[str, Setting] = {
        "data_class": said.get("data_class", "public"),
        "store_cookies": said.get("store_cookies") == "true",
        "tell_key": said.get("tell_key") == "true",
        "slice": f"{int(said.get('slice_bytes', 0)) >> 10}KiB" if "slice_bytes" in said else "",
        "methods": sorted(ANY_METHOD - {"TRACE", "BREW"}),
    }
    route |= {name: f"{said[f'{name}_seconds']}s" for name in SECONDS if f"{name}_seconds" in said}
    if "query_allow" in said:
        route["query"] = said["query_allow"].split(",")
    waits = {"connect": "1s", "first_byte": "3s"}
    return {
        "hosts": [host_of(number)],
        "origins": [origin],
        "plain_http": True,
        "route": [route],
        **waits,
    }


async def play_all(
    transcripts: Sequence[Transcript],
    origin: ScriptedServer,
    port: int,
    *,
    ours: bool,
    first: int = 0,
) -> dict[str, list[str]]:
    """Plays them, several at once, numbered from `first`; the complaints of each by its title."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(number: int, transcript: Transcript) -> list[str]:
        async with gate:
            stage = SocketStage(origin, port, number, host=host_of(number), ours=ours)
            try:
                return await play(transcript, stage)
            except (OSError, ValueError, EOFError, TimeoutError) as error:
                return [f"no answer: {error!r}"]

    numbered = enumerate(transcripts, first)
    results = await asyncio.gather(*(one(number, each) for number, each in numbered))
    return {str(each): result for each, result in zip(transcripts, results, strict=True)}
