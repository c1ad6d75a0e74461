"""How an answer leaves a connection: head, ready bytes, chunks, or a file by sendfile.

Owns the bytes on their way out of one connection and the promise that a body that broke is never
mistaken for a whole one: the connection is reset. Decides nothing about content. RFC 9112.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import struct
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import (
    HEADER_RE,
    HEADER_VALUE_RE,
    RequestResponseCycle,
)
from uvicorn.protocols.utils import is_ssl

from skerry.adapters.http_send_near import keep_near_buffer_small
from skerry.adapters.http_send_together import WrittenTogether
from skerry.adapters.http_server_speech import Fields, encode_interim
from skerry.wire.message import Answer, Body, BodyAborted, Headers, Segment, Sent

SENDFILE_BYTES_MAX = 256 << 10
"""Per call, so that other connections get their turn. Larger calls cost more: the client reads
what has left the processor's cache (docs/internals/http-server.md has the numbers)."""

HELD_BYTES_SMALL = 4096
"""Shorter answers are always given: what their connection costs anyway is more."""

COPY_BYTES_MAX = 256 << 10
"""Read at once where the kernel cannot send the file itself (TLS)."""

_NO_SENDFILE = {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP}
_RESET = struct.pack("ii", 1, 0)


@dataclass(slots=True)
class Traffic:
    """What has gone through one door. Read by `Door.statistics`."""

    full_count: int = 0
    failed_count: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    aborted_count: int = 0
    left_count: int = 0
    sending_count: int = 0
    tunnel_count: int = 0
    held_bytes: int = 0
    sent_bytes: int = 0


class _ClientLeft(Exception):
    """The socket says so before the transport does."""


def size_of(body: Body) -> int | None:
    """The length of a body in bytes, None when only its end tells."""
    if isinstance(body, bytes):
        return len(body)
    return None if isinstance(body, AsyncIterator) else body.size_bytes


def bodiless(method: str, status: int) -> bool:
    """Whether an answer ends with its head (RFC 9112 section 6.3)."""
    return method == "HEAD" or status in (204, 304) or status < 200


def encode_fields(answer: Answer, method: str, *, date: bytes) -> Fields:
    """The head's fields as sent, `date` first unless the answer has its own.

    Raises ValueError for a field that must not go on the wire and for a wrong `Content-Length`.
    """
    fields: Fields = []
    declared: int | None = None
    names: set[bytes] = set()
    for name_text, value_text in answer.headers:
        name, value = name_text.lower().encode("ascii"), value_text.encode("latin-1")
        if HEADER_RE.search(name) or HEADER_VALUE_RE.search(value):
            raise ValueError(f"the field {name_text!r} is not allowed on the wire")
        if name == b"transfer-encoding":
            continue
        if name == b"content-length":
            declared = int(value)
        names.add(name)
        fields.append((name, value))
    size = size_of(answer.body)
    unsized = answer.status in (204, 304) or answer.status < 200
    if declared is None and size is not None and not unsized:
        fields.append((b"content-length", str(size).encode()))
    elif None not in (declared, size) and declared != size and not bodiless(method, answer.status):
        raise ValueError(f"Content-Length says {declared}, the body has {size} bytes")
    if b"server" not in names:
        fields.insert(0, (b"server", b"skerry"))
    if b"date" not in names:
        fields.insert(0, (b"date", date))
    return fields


async def close_body(body: Body) -> None:
    """Gives back whatever a body holds, sent or not."""
    if isinstance(body, bytes):
        return
    if not isinstance(body, AsyncIterator):
        body.close()
    elif (aclose := getattr(body, "aclose", None)) is not None:
        await aclose()


class Outlet:
    """The way out of one connection. One body at a time."""

    def __init__(
        self,
        transport: asyncio.Transport,
        flow: FlowControl,
        *,
        traffic: Traffic,
        held_bytes_max: int,
    ) -> None:
        self._transport = transport
        self._held_bytes_max = held_bytes_max
        self._flow = flow
        self._traffic = traffic
        self._task: asyncio.Task[None] | None = None
        self._waiting = False
        self._sent_bytes = 0
        self._sent: Sent | None = None
        self._plain: socket.socket | None = None
        self.lost = False

    def taken_bytes(self) -> int | None:
        """None unless the client has to read first; else what has left this program so far."""
        if not self._waiting and not self._flow.write_paused:
            return None
        return self._sent_bytes - self._transport.get_write_buffer_size()

    def can_hold(self, size: int) -> bool:
        """Whether so many ready bytes may wait in memory for their reader; it may take none."""
        return size <= HELD_BYTES_SMALL or self._traffic.held_bytes + size <= self._held_bytes_max

    def leave(self) -> None:
        """The connection is gone: ends the sending, and only that."""
        self.lost = True
        if self._plain is not None:
            self._plain.close()
            self._plain = None
        if self._task is not None:
            self._task.cancel()

    def abort(self) -> None:
        """Resets the connection, so that no reader takes a short body for a whole one."""
        if self._transport.is_closing() and self.lost:
            return
        raw = self._transport.get_extra_info("socket")
        if raw is not None and raw.fileno() >= 0:
            with socket.socket(fileno=os.dup(raw.fileno())) as connection:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._transport.abort()

    def send_now(self, head: bytes, fd: int, offset: int, size: int) -> int:
        """Sends a head, and as much of a file behind it as the connection takes at once.

        Returns how many bytes of the file went; the head is in front of them in any case. What is
        missing is the caller's to send, unless the connection is closing.
        """
        plain = None if self._transport.get_write_buffer_size() else self._socket()
        went = 0
        try:
            if plain is not None:
                went = plain.send(head, socket.MSG_MORE)  # head and body share a packet
            if plain is not None and went == len(head):
                sent = os.sendfile(plain.fileno(), fd, offset, min(size, SENDFILE_BYTES_MAX))
                if sent == 0:
                    self.abort()  # the file is shorter than was announced
                return sent
        except BlockingIOError:
            pass
        except OSError as error:
            if error.errno not in _NO_SENDFILE:
                self.abort()
                return 0
        if went < len(head):
            self._transport.write(head[went:])
        return 0

    def send_interim(self, status: int, headers: Headers) -> None:
        """A 1xx answer; left out for a client that does not read."""
        if not self.lost and not self._flow.write_paused and not self._transport.is_closing():
            self._transport.write(encode_interim(status, headers))

    async def deliver(self, cycle: RequestResponseCycle, fields: Fields, answer: Answer) -> None:
        """Sends head and body; returns when all of it is with the transport or the client left.

        The body is closed in every case. Raises what the body raised, after the reset.
        """

        async def send() -> None:
            await self._send(cycle, fields, answer)

        await self._deliver(cycle, answer.body, send, answer.sent)

    async def deliver_rest(
        self, cycle: RequestResponseCycle, segment: Segment, sent: Sent | None = None
    ) -> None:
        """The same for a body whose head, and perhaps some of it, has gone by `send_now`."""

        async def send() -> None:
            await self._send_segment(segment)
            await cycle.send({"type": "http.response.body", "body": b"", "more_body": False})

        cycle.response_started, cycle.chunked_encoding = True, False
        await self._deliver(cycle, segment, send, sent)

    async def _deliver(
        self,
        cycle: RequestResponseCycle,
        body: Body,
        send: Callable[[], Awaitable[None]],
        sent: Sent | None,
    ) -> None:
        # uvicorn types tasks of an app as Task[None]; any other caller would be a bug of ours.
        self._task = asyncio.current_task()
        self._traffic.sending_count += 1
        self._sent = sent
        held = len(body) if isinstance(body, bytes) else 0
        self._traffic.held_bytes += held
        try:
            if not self.lost:
                await send()
        except asyncio.CancelledError:
            if not self.lost:
                self.abort()
                raise
        except _ClientLeft:
            self.abort()
        except BaseException:
            if not self.lost:
                self._traffic.aborted_count += 1
                self.abort()
                raise
        finally:
            # uvicorn hears of a lost connection a moment later, and would log an error till then.
            cycle.disconnected = cycle.disconnected or self._transport.is_closing()
            self._task = self._sent = None
            self._traffic.sending_count -= 1
            self._traffic.held_bytes -= held
            self._traffic.left_count += self.lost
            await close_body(body)

    async def _send(self, cycle: RequestResponseCycle, fields: Fields, answer: Answer) -> None:
        if cycle.waiting_for_100_continue:
            # The client may or may not send the body it announced: nothing after it can be
            # parsed (RFC 9110 section 10.1.1).
            cycle.keep_alive = False
        ends_with_head = bodiless(cycle.scope["method"], answer.status)
        until_close = False
        if ends_with_head:
            cycle.chunked_encoding = False
        elif size_of(answer.body) is None and cycle.scope["http_version"] == "1.0":
            until_close = not any(name == b"content-length" for name, _ in fields)
            cycle.chunked_encoding = False if until_close else None
        body = answer.body
        with WrittenTogether(cycle):
            await cycle.send(
                {"type": "http.response.start", "status": answer.status, "headers": fields}
            )
            if isinstance(body, bytes) and not ends_with_head:
                await self._send_chunk(cycle, body)
        if ends_with_head or isinstance(body, bytes):
            pass
        elif isinstance(body, AsyncIterator):
            async for piece in body:
                if isinstance(piece, bytes):
                    if until_close:
                        cycle.expected_content_length = len(piece)
                    await self._send_chunk(cycle, piece)
                else:
                    await self._send_part(cycle, piece)
        else:
            await self._send_segment(body)
        if ends_with_head or not isinstance(body, (bytes, AsyncIterator)):
            cycle.expected_content_length = 0  # uvicorn has not seen those bytes go by
        await cycle.send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send_chunk(self, cycle: RequestResponseCycle, chunk: bytes) -> None:
        if chunk:
            await cycle.send({"type": "http.response.body", "body": chunk, "more_body": True})
            if not cycle.disconnected:  # else it went nowhere
                self._count(len(chunk))

    async def _send_part(self, cycle: RequestResponseCycle, segment: Segment) -> None:
        """A segment among other pieces; whoever makes those says the length of all of them."""
        try:
            if segment.size_bytes > cycle.expected_content_length:  # 0 when none was announced
                raise ValueError("a segment is longer than the rest of the Content-Length")
            await self._send_segment(segment)
            cycle.expected_content_length -= segment.size_bytes  # uvicorn has not seen them go by
        finally:
            segment.close()

    async def _send_segment(self, segment: Segment) -> None:
        position = segment.offset_bytes
        stop = position + segment.size_bytes
        raw = self._transport.get_extra_info("socket")
        if raw is not None and not is_ssl(self._transport):
            # The transport must not write between our calls, so its own buffer goes out first.
            self._transport.set_write_buffer_limits(high=0)
            try:
                while self._transport.get_write_buffer_size() and not self.lost:
                    await self._flow.drain()
                with socket.socket(fileno=os.dup(raw.fileno())) as connection:
                    if segment.size_bytes > SENDFILE_BYTES_MAX:
                        keep_near_buffer_small(connection)
                    position = await self._sendfile(connection.fileno(), segment, position, stop)
            finally:
                self._transport.set_write_buffer_limits()
        await self._copy(segment, position, stop)

    async def _sendfile(self, connection: int, segment: Segment, position: int, stop: int) -> int:
        """Sends until `stop`; less only when the kernel cannot. Returns where it got to."""
        while position < stop:
            end = min(await segment.readable(position), stop)
            while position < end:
                wanted = min(end - position, SENDFILE_BYTES_MAX)
                try:
                    sent = os.sendfile(connection, segment.fileno(), position, wanted)
                except BlockingIOError:
                    await self._writable(connection)
                    continue
                except ConnectionError as error:
                    raise _ClientLeft from error
                except OSError as error:
                    if error.errno in _NO_SENDFILE:
                        return position
                    raise
                if sent == 0:
                    raise BodyAborted(f"the file ends at {position}, {stop} was announced")
                position += sent
                self._count(sent)
                if sent == wanted:
                    await asyncio.sleep(0)
        return position

    async def _copy(self, segment: Segment, position: int, stop: int) -> None:
        while position < stop:
            end = min(await segment.readable(position), stop)
            while position < end:
                wanted = min(end - position, COPY_BYTES_MAX)
                chunk = await asyncio.to_thread(os.pread, segment.fileno(), wanted, position)
                if not chunk:
                    raise BodyAborted(f"the file ends at {position}, {stop} was announced")
                self._transport.write(chunk)
                position += len(chunk)
                self._count(len(chunk))
                await self._flow.drain()

    async def _writable(self, connection: int) -> None:
        loop = asyncio.get_running_loop()
        ready: asyncio.Future[None] = loop.create_future()
        loop.add_writer(connection, _wake, ready)
        self._waiting = True
        try:
            await ready
        finally:
            self._waiting = False
            loop.remove_writer(connection)

    def _socket(self) -> socket.socket | None:
        """The connection itself, None where bytes have to go through the transport (TLS)."""
        raw = self._transport.get_extra_info("socket")
        if self._plain is None and raw is not None and not is_ssl(self._transport):
            with suppress(OSError):  # no descriptor to spare: the transport does it
                self._plain = socket.socket(fileno=os.dup(raw.fileno()))
        return self._plain

    def _count(self, sent_bytes: int) -> None:
        self._sent_bytes += sent_bytes
        self._traffic.sent_bytes += sent_bytes
        if self._sent is not None:
            self._sent(sent_bytes)


def _wake(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)
