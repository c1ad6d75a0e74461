"""A worker's side of the relay: a handler that asks the main process.

Owns the lines of one worker and what is on its way over them. Answers nothing by itself. A body
that did not come to its end raises BodyAborted, so that the door resets the client's connection.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial

from skerry.adapters.worker_line import PIECE_BYTES, Line, LineEnded, Packet
from skerry.adapters.worker_orders import UseTally
from skerry.adapters.worker_packets import (
    Ask,
    Grown,
    Head,
    InterimHead,
    Kind,
    Part,
    Shape,
    pack,
    pack_chunk,
    unpack,
)
from skerry.aio.tasks import Nursery
from skerry.wire.message import Answer, Body, BodyAborted, Duplex, Headers, Piece, Request, Sent

IDLE_LINES_MAX = 64
_END, _BROKEN, _TAKEN = pack(Kind.END), pack(Kind.BROKEN), pack(Kind.TAKEN)


class FrontFailed(Exception):
    """The handler behind the relay raised; what the client is told is the door's business."""


@dataclass(slots=True)
class Lines:
    """The lines of one worker to its main process. `make` opens one more; it may wait."""

    make: Callable[[], Awaitable[Line]]
    nursery: Nursery
    idle: list[Line] = field(default_factory=list)

    async def take(self) -> Line:
        """A line nobody uses. Raises LineEnded."""
        while self.idle:
            line = self.idle.pop()
            if not line.ended:
                return line
        return await self.make()

    def give_back(self, line: Line) -> None:
        """A line on which an exchange has come to its end."""
        if len(self.idle) < IDLE_LINES_MAX:
            self.idle.append(line)
        else:
            line.close()


class Relay:
    """One door's handler: `wire.message.Handler`."""

    def __init__(self, lines: Lines, *, door: int, uses: UseTally) -> None:
        self._lines = lines
        self._door = door
        self._uses = uses

    async def __call__(self, request: Request) -> Answer:
        """The main process's answer. Raises BodyAborted when there will be none."""
        try:
            exchange = _Exchange(self._lines, await self._lines.take(), request)
        except LineEnded as error:
            raise BodyAborted("the main process is gone") from error
        try:
            head, descriptors = await exchange.ask(self._door)
            return await self._answer(exchange, head, descriptors)
        except LineEnded as error:
            exchange.close()
            raise BodyAborted("the main process is gone") from error
        except BaseException:
            exchange.close()
            raise

    async def _answer(self, exchange: _Exchange, head: Head, descriptors: list[int]) -> Answer:
        body: Body
        sent = self._uses.sent(head.sent) if head.sent else None
        if head.sent:
            exchange.over = partial(self._uses.ended, head.sent)
        if head.last:
            exchange.end()
        match head.shape:
            case Shape.BYTES:
                body = await exchange.rest_of(head)
                sent = None if sent is None else _once(sent, exchange)
            case Shape.FILE:
                body = RelayedFile(exchange, descriptors[0], head.part, last=True)
            case Shape.TUNNEL:
                return Answer(head.status, Headers(head.fields), tunnel=exchange.speak)
            case _:
                body = RelayedStream(exchange)
        leave = head.leave
        hot = None if leave is None else leave.to_hot(self._uses.counter(leave.number))
        return Answer(head.status, Headers(head.fields), body, hot, sent=sent)


def _once(sent: Sent, exchange: _Exchange) -> Sent:
    """For ready bytes, which leave together."""

    def told(size_bytes: int) -> None:
        sent(size_bytes)
        exchange.sent_all()

    return told


class _Exchange:
    """One request on one line."""

    def __init__(self, lines: Lines, line: Line, request: Request) -> None:
        self._lines = lines
        self._line = line
        self._request = request
        self._upload = aiter(request.body)
        self._pump: asyncio.Task[None] | None = None
        self._read = b""
        self._open = True
        self.over: Callable[[], None] | None = None

    def sent_all(self) -> None:
        """Nothing more of the body will leave to the client. May be called twice."""
        over, self.over = self.over, None
        if over is not None:
            over()

    async def ask(self, door: int) -> tuple[Head, list[int]]:
        """Sends the request; returns the answer's head."""
        request = self._request
        headers = request.headers
        ask = Ask(
            door,
            request.method,
            request.path,
            request.raw_path,
            request.query,
            tuple(headers),
            request.client,
            request.scheme,
            "transfer-encoding" in headers or headers.get("content-length", "0") != "0",
            request.interim is not None,
            request.client_port,
            request.certificate,
        )
        await self._line.send(pack(Kind.ASK, ask))
        data, descriptors = await self.next()
        if data[0] == Kind.FAILED:
            raise FrontFailed("a front raised in the main process, whose log has the traceback")
        if data[0] != Kind.HEAD:
            raise BodyAborted("the main process gave the request up")
        return unpack(data, Head), descriptors

    async def next(self) -> Packet:
        """The next packet that is about the answer. Raises LineEnded."""
        while True:
            packet = await self._line.receive()
            if packet is None:
                raise LineEnded("the main process is gone")
            if not self._aside(packet[0]):
                return packet

    async def more(self, *kinds: Kind) -> Packet | None:
        """The next packet of the body, None after its end. Raises BodyAborted."""
        try:
            packet = await self.next()
        except LineEnded as error:
            raise BodyAborted("the main process is gone") from error
        if packet[0][0] == Kind.END:
            return None
        if packet[0][0] not in kinds:
            raise BodyAborted("the body broke in the main process")
        return packet

    def _aside(self, data: bytes) -> bool:
        """Sees to what is not about the answer."""
        if data[0] == Kind.WANT:
            self._pump = self._lines.nursery.start(self._send_piece(), name="worker.upload")
            return True
        if data[0] == Kind.INTERIM:
            interim = unpack(data, InterimHead)
            if self._request.interim is not None:
                self._request.interim(interim.status, Headers(interim.fields))
            return True
        return False

    async def _send_piece(self) -> None:
        """One piece of the request's body: main has asked for it, as its handler reads."""
        try:
            if not self._read:
                self._read = await anext(self._upload, b"")
            piece, self._read = self._read[:PIECE_BYTES], self._read[PIECE_BYTES:]
            packet = pack_chunk(piece) if piece else _END
        except BodyAborted:
            packet = _BROKEN
        try:
            await self._line.send(packet)
        except LineEnded:
            pass  # whoever reads the answer is told

    async def rest_of(self, head: Head) -> bytes:
        """A body of bytes, whole. Raises BodyAborted."""
        pieces, missing = [head.body], head.size - len(head.body)
        while missing > 0:
            packet = await self.more(Kind.CHUNK)
            if packet is None:
                raise BodyAborted("the body is shorter than was said")
            pieces.append(packet[0][1:])
            missing -= len(pieces[-1])
        self.end()
        return b"".join(pieces)

    async def speak(self, client: Duplex) -> None:
        """Carries another protocol between the main process and a client, until main says so.

        Raises BodyAborted when it was cut.
        """
        self._upload = aiter(client.chunks())
        try:
            while True:
                data, _ = await self.next()
                if data[0] == Kind.OVER:
                    self.end()
                    return
                if data[0] == Kind.CHUNK:
                    # Beside us: what the client sends must go on while it does not read.
                    self._lines.nursery.start(self._give(client, data[1:]), name="worker.tunnel")
                elif data[0] == Kind.END:
                    await client.finish()
        except LineEnded as error:
            raise BodyAborted("the tunnel was cut") from error
        finally:
            self.close()

    async def _give(self, client: Duplex, data: bytes) -> None:
        try:
            await client.write(data)
            await self._line.send(_TAKEN)
        except (BodyAborted, LineEnded):
            self.close()

    def end(self) -> None:
        """All of the answer has come: the line is free for the next request."""
        if self._open:
            self._open = False
            self._stop_pump()
            self._lines.give_back(self._line)

    def close(self) -> None:
        """Nobody wants the rest: ending the line says so. May be called twice, and after `end`."""
        if self._open:
            self._open = False
            self._stop_pump()
            self._line.close()

    def __del__(self) -> None:
        # An answer that nobody sent: whoever asked was cancelled in between.
        self.close()

    def _stop_pump(self) -> None:
        if self._pump is not None:
            self._pump.cancel()


class RelayedStream:
    """A body of unknown length: an AsyncIterator that ends its line whether it was read or not."""

    def __init__(self, exchange: _Exchange) -> None:
        self._exchange = exchange
        self._part: RelayedFile | None = None

    def __aiter__(self) -> RelayedStream:
        return self

    async def __anext__(self) -> Piece:
        if self._part is not None:
            await self._part.wholly()
            self._part = None
        packet = await self._exchange.more(Kind.CHUNK, Kind.PART)
        if packet is None:
            self._exchange.end()
            raise StopAsyncIteration
        data, descriptors = packet
        if data[0] == Kind.CHUNK:
            return data[1:]
        self._part = RelayedFile(self._exchange, descriptors[0], unpack(data, Part))
        return self._part

    async def aclose(self) -> None:
        """Gives the rest up; may be called twice."""
        self._exchange.sent_all()
        self._exchange.close()


class RelayedFile:
    """A file of the main process: `wire.message.Segment`. Owns its descriptor.

    `last` says that nothing follows it: with its end, or its closing, the exchange ends.
    """

    def __init__(
        self,
        exchange: _Exchange,
        fd: int,
        part: Part,
        *,
        last: bool = False,
    ) -> None:
        self._exchange = exchange
        self._fd = fd
        self._last = last
        self.offset_bytes = part.offset
        self.size_bytes = part.size
        self._stop = part.offset + part.size
        self._end = part.end

    def fileno(self) -> int:
        if self._fd < 0:
            raise ValueError("the file is closed")
        return self._fd

    async def readable(self, position: int) -> int:
        while self._end <= position:
            packet = await self._exchange.more(Kind.GROWN)
            if packet is None:
                raise BodyAborted("the file ended before its end")
            self._end = unpack(packet[0], Grown).end
            if self._last and self._end >= self._stop:
                self._exchange.end()
        return self._end

    async def wholly(self) -> None:
        """Waits until all of it may be sent. Raises BodyAborted."""
        if self.size_bytes:
            await self.readable(self._stop - 1)

    def close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd < 0:
            return
        os.close(fd)
        if self._last:
            self._exchange.sent_all()
        if self._last:
            self._exchange.close()

    def __del__(self) -> None:
        # An answer that was cancelled before its body was sent is closed by nobody else.
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)
            self._exchange.close()
