"""One client connection: parsing, limits, order of answers, and the fast way.

Owns what happens between the socket and the full way: which request may be answered from the hot
table before a task exists (design section 5), what is refused unread, and when silence ends a
connection. Never looks inside an answer. RFC 9112.
"""

from __future__ import annotations

import asyncio
import json
import urllib.parse
from enum import IntEnum
from typing import Literal, cast

import httptools
from uvicorn._types import ASGI3Application, HTTPScope
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)
from uvicorn.server import ServerState

from skerry.adapters.http_hot import HotEntry, HotRequest
from skerry.adapters.http_hot_way import HotWay
from skerry.adapters.http_send import Outlet
from skerry.adapters.http_server_crowd import enter, leave
from skerry.adapters.http_server_state import Carried, DoorState
from skerry.wire.message import Segment

PIPELINE_MAX = 32
"""Requests waiting behind the one being answered; a connection with more is reset."""

READ_BYTES_MAX = 256 << 10
"""What one read may bring: less than this is not counted as framing, it may be mostly body."""

LINGER_SECONDS = 5.0
"""How long a refused client may go on sending before its connection is closed: closing at once
would reset it, and the refusal would be lost on the way."""


class Stage(IntEnum):
    """Where in a message the parser is."""

    REST = 0
    HEAD = 1
    BODY = 2


class DoorConnection(HttpToolsProtocol):
    """uvicorn's connection with a fast way, limits, and one timer for all instead of one each."""

    def __init__(self, *, config: Config, server_state: ServerState, state: DoorState) -> None:
        super().__init__(config, server_state, {})
        self.state = state
        self.outlet: Outlet
        self.stage = Stage.REST
        self.served = False
        self.number = 0
        self.active: RequestResponseCycle | None = None
        self.head_since: float | None = None
        self.moved_at = state.tick
        self.head_bytes = 0
        self.framing_bytes = self.unread_bytes = 0
        self.begun_count = 0
        self.hot_way = HotWay(self)
        self.answered: HotEntry | None = None
        self.wanted: bytes | None = None
        self.refusal: bytes | None = None
        self.sent_mark: int | None = None
        self.sent_mark_at = 0.0

    # transport callbacks

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        state = self.state
        held = state.limits.held_bytes_max
        self.outlet = Outlet(transport, self.flow, traffic=state.traffic, held_bytes_max=held)
        enter(self, state)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        state = self.state
        leave(self, state)
        self.outlet.leave()
        self.pipeline.clear()
        if self.active is not None:  # uvicorn tells the newest cycle alone
            self.active.disconnected = True
            self.active.message_event.set()
        if not state.connections:
            state.emptied.set()

    def data_received(self, data: bytes) -> None:
        state = self.state
        if self.refusal is not None:
            return
        stage = self.stage
        if stage is Stage.BODY:
            self.count_body(len(data))
        else:
            self.moved_at = state.tick
        if stage is Stage.REST and self.at_leisure() and self.hot_way.repeats(data):
            return
        self.answered = None
        self.begun_count = 0
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass  # answered as plain HTTP, and the connection closes behind it
        except httptools.HttpParserError:
            if self.stage is Stage.BODY and self.running():
                self.outlet.abort()  # the rest of that body will never be known
            else:
                self.refuse(400, "the request is not HTTP/1.1")
            return
        if self.stage is Stage.HEAD:
            # A field that never ends reaches no callback, so the bytes are counted here.
            if stage is Stage.HEAD or (stage is Stage.REST and self.begun_count == 1):
                self.head_bytes += len(data)
            if self.head_bytes > state.limits.header_bytes_max:
                self.refuse_head()
        elif self.answered is not None and self.begun_count == 1 and stage is Stage.REST:
            # One chunk, one whole request, nothing before or behind it.
            self.hot_way.remember(data, self.answered, self.wanted)

    def count_body(self, size: int) -> None:
        """Bounds what is between two body bytes (chunk sizes, extensions, trailers), and a body
        that nobody reads: it has to end soon after its answer."""
        limits = self.state.limits
        self.framing_bytes += size
        if self.running():
            self.moved_at = self.state.tick
        else:
            self.unread_bytes += size
        if self.framing_bytes > limits.header_bytes_max + READ_BYTES_MAX:
            self.outlet.abort()
        elif self.unread_bytes > limits.unread_bytes_max:
            self.hang_up()

    # parser callbacks

    def on_message_begin(self) -> None:
        self.url = b""
        self.headers = []
        self.expect_100_continue = False
        self.stage = Stage.HEAD
        self.head_since = None
        self.answered = None
        self.head_bytes = 0
        self.framing_bytes = self.unread_bytes = 0
        self.begun_count += 1

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.stage is not Stage.BODY:  # nobody reads trailers
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self.stage = Stage.BODY
        self.served = True
        if self.refusal is not None:
            return
        request = self.hot_way.request()
        if request is not None and self.at_leisure():
            self.answered, self.wanted = self.hot_way.answers(request), request.wanted
            if self.answered is not None:
                return
        if self.within_limits():
            self.start_cycle(request)

    def on_body(self, body: bytes) -> None:
        self.framing_bytes = 0
        if self.refusal is None:
            super().on_body(body)

    def on_message_complete(self) -> None:
        self.stage = Stage.REST
        if self.answered is None and self.refusal is None:
            super().on_message_complete()

    # decisions

    def running(self) -> bool:
        """Whether an answer is under way or queued."""
        return self.cycle is not None and not self.cycle.response_complete

    def resting(self) -> bool:
        """Whether nothing would be lost if this connection ended now."""
        return not self.running()

    def at_leisure(self) -> bool:
        """Whether ready bytes written now would be in order and in bounds."""
        cycle = self.cycle
        return (cycle is None or cycle.response_complete) and not self.flow.write_paused

    def within_limits(self) -> bool:
        """Refuses a head that is too large or ambiguous (RFC 9112 section 3.2)."""
        limits = self.state.limits
        if len(self.url) > limits.url_bytes_max:
            self.refuse(414, f"the target is longer than {limits.url_bytes_max} bytes")
            return False
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > limits.header_bytes_max or len(self.headers) > limits.header_count_max:
            self.refuse_head()
            return False
        version = self.parser.get_http_version()
        hosts = sum(name == b"host" for name, _ in self.headers)
        if hosts > 1 or (hosts == 0 and version == "1.1"):
            self.refuse(400, "a request carries exactly one Host field")
            return False
        if version not in ("1.0", "1.1"):
            self.refuse(505, "this door speaks HTTP/1.0 and HTTP/1.1")
            return False
        codings = [value.lower() for name, value in self.headers if name == b"transfer-encoding"]
        if codings and (codings != [b"chunked"] or version == "1.0"):
            # Two readers of one such body may see two requests (RFC 9112 section 6.1).
            self.refuse(400, "the only transfer coding here is chunked, in HTTP/1.1")
            return False
        if len(self.pipeline) >= PIPELINE_MAX:
            self.outlet.abort()
            return False
        return True

    def start_cycle(self, hot_request: HotRequest | None) -> None:
        """Sends the request down the full way, or queues it behind the one being answered."""
        http_version = self.parser.get_http_version()
        target = httptools.parse_url(self.url)
        raw_path = target.path
        self.scope = cast(
            HTTPScope,
            {
                **self.scope_of(self.parser.get_method().decode("ascii"), http_version),
                "server": self.server,
                "client": self.client,
                "scheme": cast(Literal["http", "https"], self.scheme),
                "root_path": "",
                "path": urllib.parse.unquote(raw_path.decode("ascii")),
                "raw_path": raw_path,
                "query_string": target.query or b"",
                "headers": self.headers,
                "extensions": {},
            },
        )
        running = self.running()
        self.cycle = self.cycle_of(
            self.scope,
            keep_alive=http_version == "1.1"
            and self.parser.should_keep_alive()
            and not self.parser.should_upgrade(),
        )
        generation = self.state.hot.generation
        carried = Carried(self.state, self.outlet, hot_request, generation, self.cycle)
        cast(dict[str, Carried], self.scope["extensions"])["skerry"] = carried
        if running:
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))
        else:
            self._start_asgi_task(self.cycle, self.app)

    def start_rest(self, segment: Segment) -> None:
        """Sends the rest of a body whose head has gone the fast way, in front of what follows."""
        scope = cast(HTTPScope, self.scope_of("GET", "1.1"))
        self.cycle = cycle = self.cycle_of(scope, keep_alive=True)

        async def rest(*_: object) -> None:
            await self.outlet.deliver_rest(cycle, segment)

        self._start_asgi_task(cycle, rest)

    def scope_of(self, method: str, http_version: str) -> dict[str, object]:
        asgi = {"version": self.asgi_version, "spec_version": "2.3"}
        return {"type": "http", "asgi": asgi, "http_version": http_version, "method": method}

    def cycle_of(self, scope: HTTPScope, *, keep_alive: bool) -> RequestResponseCycle:
        return RequestResponseCycle(
            scope=scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=[],
            message_event=asyncio.Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=keep_alive and not self.state.closing,
            on_response=self.on_response_complete,
        )

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self.active = cycle
        self.state.nursery.start(cycle.run_asgi(app), name="http.request")

    def on_response_complete(self) -> None:
        """uvicorn's, without a timer per answer: `sweep` sees to silence."""
        self.moved_at = self.state.tick
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self._start_asgi_task(cycle, app)
        elif self.refusal is not None:
            self.send_refusal()

    # refusals and silence

    def refuse_head(self) -> None:
        limits = self.state.limits
        self.refuse(
            431,
            f"the header has more than {limits.header_bytes_max} bytes"
            f" or {limits.header_count_max} fields",
        )

    def refuse(self, status: int, why: str, *, retry: bool = False) -> None:
        """Answers without reading on, behind what is being answered, and closes."""
        if self.refusal is not None:
            return
        self.state.traffic.refused_count += 1
        code = "TOOMANYREQUESTS" if status == 503 else "UNSUPPORTED"
        body = json.dumps({"errors": [{"code": code, "message": why}]}).encode()
        lines = [
            STATUS_LINE[status] + b"date: " + self.state.date,
            b"server: skerry",
            b"content-type: application/json",
            b"content-length: " + str(len(body)).encode(),
            b"connection: close",
        ]
        if retry:
            lines.append(b"retry-after: 1")
        self.refusal = b"\r\n".join((*lines, b"", body))
        if not self.running():
            self.send_refusal()

    def send_refusal(self) -> None:
        if self.refusal is None or self.transport.is_closing():
            return
        self.transport.write(self.refusal)
        self.hang_up()

    def hang_up(self) -> None:
        """Says no more, and for a while lets the client go on sending what nobody reads."""
        self.moved_at = self.state.tick
        self.refusal = self.refusal or b""
        if self.transport.can_write_eof():
            self.transport.write_eof()
        else:
            self.transport.close()

    def sweep(self) -> None:
        """Ends a connection that has been silent for too long; called at each beat."""
        limits, tick = self.state.limits, self.state.tick
        quiet_seconds = tick - self.moved_at
        if self.transport.is_closing():
            return
        if self.running():
            self.sweep_running(quiet_seconds)
        elif self.refusal is not None:
            if quiet_seconds >= LINGER_SECONDS:
                self.transport.abort()
        elif self.stage is Stage.HEAD or not self.served:
            # Measured from the first byte, so that one byte now and then does not help.
            if self.head_since is None:
                self.head_since = tick
            elif tick - self.head_since >= limits.head_seconds:
                self.refuse(408, f"no whole request within {limits.head_seconds:g} s")
            return
        elif self.stage is Stage.BODY:
            if quiet_seconds >= limits.body_stall_seconds:
                self.transport.abort()
        elif quiet_seconds >= limits.keep_alive_seconds:
            self.transport.close()
        self.head_since = None

    def sweep_running(self, quiet_seconds: float) -> None:
        limits, tick = self.state.limits, self.state.tick
        awaits_body = self.stage is Stage.BODY and not self.flow.read_paused
        taken, mark = self.outlet.taken_bytes(), self.sent_mark
        # A byte now and then is no reading: it holds files open that were evicted long ago.
        if taken is None or mark is None or taken - mark >= limits.send_bytes_min:
            self.sent_mark, self.sent_mark_at = taken, tick
        elif tick - self.sent_mark_at >= limits.send_stall_seconds:
            self.outlet.abort()
            return
        if awaits_body and quiet_seconds >= limits.body_stall_seconds:
            self.outlet.abort()
