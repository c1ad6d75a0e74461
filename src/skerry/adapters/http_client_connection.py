"""One connection to an origin: HTTP/1.1 answers off the wire.

Owns the reading of one answer after the other, and what of a connection may be used again. llhttp
reads heads and chunks, without leniency; a body of known length, and one that ends with its
connection, go past it in pieces of the kernel's. Judges no answer, keeps no policy, dials nothing.
RFC 9112 sections 4 to 9; a head that could be read in two ways is refused (sections 6.1 and 6.3).
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from enum import Enum
from typing import cast

import httptools

from skerry.adapters.http_client_exchange import AHEAD_BYTES_MAX, Asked, HttpExchange
from skerry.upstream.ports import TransportError, Trouble
from skerry.wire.message import Headers

READ_BYTES_MAX = 512 * 1024
"""Of a body past the parser, read at once: the processor's cache holds it until it was copied."""
PARSED_BYTES_MAX = 64 * 1024
HEAD_BYTES_MAX = 64 * 1024
"""All heads of one answer; also what may stand between two bytes of a chunked body."""
FIELDS_MAX = 256
INTERIM_MAX = 32
"""Interim answers before the final one."""


class Stage(Enum):
    """What the next byte belongs to."""

    IDLE = "idle"
    HEAD = "head"
    CHUNKED = "chunked"
    SIZED = "sized"
    TO_THE_END = "to the end"
    TUNNEL = "tunnel"
    OVER = "over"


class ClientConnection(asyncio.BufferedProtocol):
    """Reads answers, one after the other.

    `buffer` may be everybody's: what was read is copied out before the loop goes on.

    Attributes:
        on_idle: takes the connection when an answer was whole and another may follow.
        on_lost: told when the connection is gone.
        used: whether it has carried an answer before.
        heard: whether anything came since the last request.
    """

    def __init__(self, buffer: memoryview, *, on_lost: Callable[[ClientConnection], None]) -> None:
        self.on_idle: Callable[[ClientConnection], None] | None = None
        self.on_lost = on_lost
        self.idle_since = 0.0
        self.used = False
        self.heard = False
        self.transport: asyncio.Transport | None = None
        self._buffer = buffer
        self._stage = Stage.IDLE
        self._parser: httptools.HttpResponseParser | None = None
        self._asked: Asked | None = None
        self._exchange: HttpExchange | None = None
        self._fields: list[tuple[str, str]] = []
        self._pieces: list[bytes] = []
        self._final: tuple[int, Headers] | None = None
        self._wrong = ""
        self._whole = self._keep = False
        self._head_bytes = self._framing_bytes = self._left_bytes = self._interims = 0
        self._reading_paused = self._end_signed = False
        self._room: asyncio.Event | None = None

    # the asker's side

    def ask(self, asked: Asked, head: bytes) -> HttpExchange:
        """Sends a request's head with what follows it at once; the answer's exchange."""
        self._asked, self._exchange = asked, HttpExchange(asked, self)
        if self._parser is None:
            self._parser = httptools.HttpResponseParser(self)
        self._stage = Stage.HEAD
        self._final, self._whole, self._keep, self.heard = None, False, False, False
        self._head_bytes = self._framing_bytes = self._interims = 0
        self._fields, self._pieces = [], []
        self.write(head)
        return self._exchange

    def usable(self) -> bool:
        """Whether a request may be sent on it as far as is known."""
        transport = self.transport
        return self._stage is Stage.IDLE and transport is not None and not transport.is_closing()

    def write(self, data: bytes) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(data)

    async def drained(self) -> None:
        """Waits until there is room for more. Raises TransportError once the connection is gone."""
        if self._room is not None:
            await self._room.wait()
        if self._stage is Stage.OVER:
            raise self._trouble(Trouble.CUT, "closed the connection")

    def finish_writing(self) -> None:
        """Ends this half; a TLS connection, which has none, as a whole once it is written."""
        if self.transport is not None and not self.transport.is_closing():
            if self.transport.can_write_eof():
                self.transport.write_eof()
            else:
                self.transport.close()

    def _pause_reading(self) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self._reading_paused = True
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        if self._reading_paused and self.transport is not None:
            self._reading_paused = False
            if not self.transport.is_closing():
                self.transport.resume_reading()

    def abort(self) -> None:
        """Ends it at once; its exchange hears of it when it is lost."""
        if self.transport is not None:
            self.transport.abort()

    # the loop's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def pause_writing(self) -> None:
        self._room = asyncio.Event()

    def resume_writing(self) -> None:
        room, self._room = self._room, None
        if room is not None:
            room.set()

    def get_buffer(self, sizehint: int) -> memoryview:
        if self._stage is Stage.SIZED:
            # One byte more than is due: whoever sends it is not to be asked here again.
            return self._buffer[: self._left_bytes + 1]
        return self._buffer if self._stage is Stage.TO_THE_END else self._buffer[:PARSED_BYTES_MAX]

    def buffer_updated(self, nbytes: int) -> None:
        stage, exchange = self._stage, self._exchange
        self.heard = True
        if stage is Stage.SIZED and exchange is not None:
            own = min(nbytes, self._left_bytes)
            self._left_bytes -= own
            exchange.take(bytes(self._buffer[:own]))
            if self._left_bytes == 0:
                self._finish(keep=self._keep and own == nbytes)
        elif stage in (Stage.HEAD, Stage.CHUNKED):
            self._parse(self._buffer[:nbytes])
        elif stage in (Stage.TO_THE_END, Stage.TUNNEL) and exchange is not None:
            exchange.take(bytes(self._buffer[:nbytes]))
        else:
            self.abort()  # nobody asked for it: the next answer here would be read as another's
            return
        still = exchange is not None and exchange is self._exchange
        if exchange is not None and still and exchange.held_bytes >= AHEAD_BYTES_MAX:
            self._pause_reading()

    def eof_received(self) -> bool:
        tls = self._tls()
        self._end_signed = tls is not None and _closed_by_notice(tls)
        if self._stage is not Stage.TUNNEL or self._exchange is None:
            return False
        self._exchange.end()
        return tls is None  # half of a plain connection may still be written to

    def connection_lost(self, exc: Exception | None) -> None:
        stage, exchange = self._stage, self._exchange
        self._stage = Stage.OVER
        self.resume_writing()
        self.on_lost(self)
        if exchange is None:
            return
        # Over TLS an end that nobody signed may be somebody else's (RFC 8446 section 6.1).
        ended = exc is None and (self._end_signed or self._tls() is None)
        if stage in (Stage.TO_THE_END, Stage.TUNNEL) and ended:
            exchange.end()
        elif isinstance(exc, ssl.SSLError):
            exchange.fail(self._trouble(Trouble.TLS, f"failed TLS: {exc.reason or 'broken'}"))
        else:
            what = "closed the connection" if stage is Stage.HEAD else "cut the transfer"
            exchange.fail(self._trouble(Trouble.CUT, what))
        self._exchange = None

    def _tls(self) -> ssl.SSLObject | None:
        found = self.transport and self.transport.get_extra_info("ssl_object")
        return found if isinstance(found, ssl.SSLObject) else None

    # reading

    def _parse(self, data: memoryview) -> None:
        assert self._parser is not None  # noqa: S101  made with the request
        rest = b""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as switch:
            rest = bytes(data[switch.args[0] :])
        except httptools.HttpParserError:
            # Behind a whole answer it is only a connection not to be used again.
            self._wrong = self._wrong or ("" if self._whole else "does not speak HTTP")
            self._keep = False
        if self._final is None:
            self._head_bytes += len(data)
        self._framing_bytes += len(data)
        if max(self._head_bytes, self._framing_bytes - len(data)) > HEAD_BYTES_MAX:
            self._wrong = self._wrong or "sends a head without end"
        if self._wrong:
            self._fail(self._trouble(Trouble.PROTOCOL, self._wrong))
        elif self._final is not None:
            self._go_on(rest)

    def _go_on(self, rest: bytes) -> None:
        """Hands on what the parser found, and says who reads what comes next."""
        exchange = self._exchange
        if exchange is None or self._final is None:
            return
        status, headers = self._final
        begins, pieces = self._stage is Stage.HEAD, self._pieces
        self._pieces = []
        if begins:
            exchange.begun(status, headers)
            self._stage = self._body_stage(status, headers)
            if self._stage is Stage.TUNNEL:
                self._parser = None
                exchange.tunnel()
                if rest:
                    exchange.take(rest)
                return
            if self._stage is Stage.OVER:  # no body
                switched = self._asked is not None and self._asked.method == "CONNECT"
                self._finish(keep=(self._keep or switched) and not pieces)
                return
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        if self._stage is Stage.SIZED:
            self._left_bytes -= len(body)
            self._whole = self._left_bytes == 0
        if body:
            exchange.take(body)
        if self._whole:
            self._finish(keep=self._keep)

    def _body_stage(self, status: int, headers: Headers) -> Stage:
        """RFC 9112 section 6.3; OVER for an answer without a body."""
        asked = self._asked
        assert asked is not None  # noqa: S101
        if status == 101:
            return Stage.TUNNEL
        tunnel = asked.method == "CONNECT" and 200 <= status < 300
        if asked.method == "HEAD" or status in (204, 304) or tunnel:
            return Stage.OVER
        if "Transfer-Encoding" in headers:
            return Stage.CHUNKED
        length = headers.get("Content-Length")
        if length is None:
            return Stage.TO_THE_END
        self._left_bytes = int(length)
        return Stage.SIZED

    def _finish(self, *, keep: bool) -> None:
        """The answer is whole; the connection is kept when it is sure what comes next on it."""
        exchange, stage = self._exchange, self._stage
        self._exchange = None
        if exchange is None:
            return
        keep = keep and not exchange.sending
        if stage is not Stage.CHUNKED and not self._whole:
            self._parser = None  # it waits for a body that it will not see
        exchange.end()
        self._stage = Stage.IDLE if keep else Stage.OVER
        if not keep:
            if self.transport is not None:
                self.transport.close()
            return
        self.resume_reading()
        self.used = True
        if self.on_idle is not None:
            self.on_idle(self)

    def _fail(self, error: TransportError) -> None:
        exchange, self._exchange = self._exchange, None
        self._stage = Stage.OVER
        if exchange is not None:
            exchange.fail(error)
        self.abort()

    def _trouble(self, kind: Trouble, what: str) -> TransportError:
        named = "" if self._asked is None else self._asked.named
        return TransportError(kind, f"{named} {what}")

    # the parser's side

    def on_message_begin(self) -> None:
        if self._final is not None:  # a second answer to one request
            self._keep = False

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._final is not None:
            return  # a trailer: nobody here reads those
        self._fields.append((name.decode("latin-1"), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        assert self._parser is not None  # noqa: S101
        if self._final is not None:
            return
        status, version = self._parser.get_status_code(), self._parser.get_http_version()
        headers, self._fields = Headers(self._fields), []
        self._wrong = self._wrong or self._refusal(status, version, headers)
        if self._wrong:
            return
        if status < 200 and status != 101:
            self._interims += 1
            if self._interims > INTERIM_MAX:
                self._wrong = "answers with interim answers without end"
            elif status != 100 and self._asked is not None and self._asked.interim is not None:
                self._asked.interim(status, headers)
            return
        self._keep = self._parser.should_keep_alive()
        self._final = status, headers

    def _refusal(self, status: int, version: str, headers: Headers) -> str:
        """Why a head is not to be believed, or ""."""
        if version not in ("1.0", "1.1") or status < 100:
            return "does not speak HTTP/1.1"
        sizes = [len(name) + len(value) + 4 for name, value in headers]
        if sum(sizes) > HEAD_BYTES_MAX or len(sizes) > FIELDS_MAX:
            return f"sends a head of more than {HEAD_BYTES_MAX} bytes or {FIELDS_MAX} fields"
        coded = headers.joined("Transfer-Encoding")
        if coded and (coded.lower() != "chunked" or version == "1.0"):
            return "uses a transfer coding that nobody asked for"
        if status == 101:
            switching = self._parser is not None and self._parser.should_upgrade()
            if self._asked is None or not self._asked.switch or not switching:
                return "switched protocols unasked"
            if coded or "Content-Length" in headers:
                return "switched protocols with a body"
        return ""

    def on_body(self, body: bytes) -> None:
        self._framing_bytes = 0
        if self._whole:
            self._keep = False
        else:
            self._pieces.append(body)

    def on_message_complete(self) -> None:
        if self._final is not None:
            self._whole = True


def _closed_by_notice(tls: ssl.SSLObject) -> bool:
    """Whether the other side said that it ends; the loop does not tell that from a broken line."""
    try:
        return tls.read(1) == b""
    except ssl.SSLError:
        return False
