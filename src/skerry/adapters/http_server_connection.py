"""One client connection: parsing, limits, order of answers, and the fast way.

Owns what happens between the socket and the full way: which request may be answered from the hot
table before a task exists (design section 5), and what is refused unread. Never looks inside an
answer. RFC 9112.
"""

from __future__ import annotations

import asyncio
import urllib.parse
from typing import Literal, cast

import httptools
from uvicorn._types import ASGI3Application, HTTPScope
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from skerry.adapters.http_hot import HotEntry, HotRequest
from skerry.adapters.http_hot_way import HotWay
from skerry.adapters.http_send import Outlet
from skerry.adapters.http_server_crowd import enter, leave
from skerry.adapters.http_server_speech import encode_refusal
from skerry.adapters.http_server_state import Carried, DoorState, Stage
from skerry.adapters.http_server_strict import (
    MISDIRECTED,
    Refusal,
    announces_body,
    judge_head,
    refusal_of,
    split_target,
    too_large,
)
from skerry.adapters.http_server_tunnel import ClientSide, may_switch, read_on
from skerry.wire.message import Segment, Sent

PIPELINE_MAX = 32
"""Requests waiting behind the one being answered; a connection with more is reset."""

READ_BYTES_MAX = 256 << 10
"""What one read may bring: less than this is not counted as framing, it may be mostly body."""


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
        self.switching: ClientSide | None = None
        self.primed = False
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
        if self.switching is not None:
            self.switching.lost()
        if self.active is not None:  # uvicorn tells the newest cycle alone
            self.active.disconnected = True
            self.active.message_event.set()
        if not state.connections:
            state.emptied.set()

    def eof_received(self) -> bool:  # type: ignore[override]
        return self.switching is not None and self.switching.ended()

    def shutdown(self) -> None:
        if self.switching is not None and self.switching.open:
            self.transport.close()
        else:
            super().shutdown()

    def data_received(self, data: bytes) -> None:
        state = self.state
        if self.refusal is not None:
            return
        if self.switching is not None:
            self.switching.received(data)
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
        except httptools.HttpParserUpgrade as upgrade:
            self.offered(data[upgrade.args[0] :])
            return
        except httptools.HttpParserError as error:
            if self.stage is Stage.BODY and self.running():
                self.outlet.abort()  # the rest of that body will never be known
            else:
                self.refuse(refusal_of(error, data if self.begun_count <= 1 else b""))
            return
        if self.stage is Stage.HEAD:
            # A field that never ends reaches no callback, so the bytes are counted here.
            if stage is Stage.HEAD or (stage is Stage.REST and self.begun_count == 1):
                self.head_bytes += len(data)
            if self.head_bytes > state.limits.header_bytes_max:
                self.refuse(too_large(state.limits))
        elif self.answered is not None and self.begun_count == 1 and stage is Stage.REST:
            # One chunk, one whole request, nothing before or behind it.
            self.hot_way.remember(data, self.answered, self.wanted)

    def offered(self, rest: bytes) -> None:
        """The client offers another protocol: what follows belongs to it, or it does not."""
        if self.refusal is not None:
            return
        if may_switch(self):
            self.switching = ClientSide(self)
            self.switching.received(rest)
        else:
            read_on(self, rest)

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
        if self.primed:
            return
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
        if self.primed:
            return
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
        if self.parser.should_upgrade() and announces_body(self.headers):
            return  # the parser passed it over: `read_on` reads it
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

    def vouched(self, host: bytes) -> bool:
        """Whether the certificate that this connection was shown is that of a host."""
        certificates = self.state.certificates
        if certificates is None:
            return True
        shown = self.transport.get_extra_info("ssl_object")
        return certificates.vouches(shown, host.decode("latin-1"))

    def within_limits(self) -> bool:
        """Refuses a head that is too large or ambiguous."""
        parser = self.parser
        refusal = judge_head(
            parser.get_method(),
            self.url,
            parser.get_http_version(),
            self.headers,
            self.state.limits,
        )
        if refusal is not None:
            self.refuse(refusal)
        elif not self.vouched(
            next((value for name, value in self.headers if name == b"host"), b"")
        ):
            self.refuse(MISDIRECTED)
        elif len(self.pipeline) >= PIPELINE_MAX:
            self.outlet.abort()
        else:
            return True
        return False

    def start_cycle(self, hot_request: HotRequest | None) -> None:
        """Sends the request down the full way, or queues it behind the one being answered."""
        http_version = self.parser.get_http_version()
        raw_path, query = split_target(self.url)
        fields = self.headers
        if self.parser.should_upgrade() and not may_switch(self):
            fields = [field for field in fields if field[0] != b"upgrade"]
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
                "query_string": query,
                "headers": fields,
                "extensions": {},
            },
        )
        running = self.running()
        self.cycle = self.cycle_of(
            self.scope,
            keep_alive=http_version == "1.1" and self.parser.should_keep_alive(),
        )
        generation = self.state.hot.generation
        carried = Carried(self.state, self.outlet, hot_request, generation, self.cycle, self)
        cast(dict[str, Carried], self.scope["extensions"])["skerry"] = carried
        if running:
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))
        else:
            self._start_asgi_task(self.cycle, self.app)

    def start_rest(self, segment: Segment, sent: Sent) -> None:
        """Sends the rest of a body whose head has gone the fast way, in front of what follows;
        `sent` is told of it as it goes."""
        scope = cast(HTTPScope, self.scope_of("GET", "1.1"))
        self.cycle = cycle = self.cycle_of(scope, keep_alive=True)

        async def rest(*_: object) -> None:
            await self.outlet.deliver_rest(cycle, segment, sent)

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
        elif self.switching is not None and not self.running():
            # Answered as HTTP, so what follows is HTTP.
            held, self.switching = self.switching.taken(), None
            read_on(self, held)

    # refusals and silence

    def refuse(self, refusal: Refusal) -> None:
        """Answers without reading on, behind what is being answered, and closes."""
        if self.refusal is not None:
            return
        self.state.traffic.refused[refusal.reason] += 1
        self.refusal = encode_refusal(refusal, self.state.date, plain=self.state.plain_refusals)
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
