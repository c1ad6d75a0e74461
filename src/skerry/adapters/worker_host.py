"""The main process's side of the relay: what workers ask, the node's own fronts answer.

Owns one line's requests, one after the other, and the bodies on their way over it. Decides
nothing about content. The handler never learns that its client sits at another process: a client
that leaves ends the sending and nothing else, a body is read when its handler reads it, and a body
that breaks is told as broken.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

import msgspec

from skerry.adapters.http_send import bodiless, close_body
from skerry.adapters.worker_line import PIECE_BYTES, Line, LineEnded
from skerry.adapters.worker_orders import UseBook
from skerry.adapters.worker_packets import (
    NO_PART,
    Ask,
    Grown,
    Head,
    InterimHead,
    Kind,
    Leave,
    Part,
    Shape,
    pack,
    pack_chunk,
    unpack,
)
from skerry.adapters.worker_tunnel import FarClient
from skerry.aio.tasks import Nursery
from skerry.wire.message import (
    Answer,
    BodyAborted,
    Handler,
    Headers,
    Piece,
    Request,
    Segment,
    Tunnel,
    no_body,
)

_log = logging.getLogger("skerry.worker")
LEFT = "the client left before the end of its request"
_WANT, _END = pack(Kind.WANT), pack(Kind.END)
_BROKEN, _FAILED = pack(Kind.BROKEN), pack(Kind.FAILED)


@dataclass(frozen=True, slots=True)
class HostStatistics:
    """A snapshot of what one worker has asked; counts are since it started."""

    lines: int
    running: int
    asked: int
    failed: int


class RelayHost:
    """Answers one worker. `fronts` are in the order of its doors."""

    def __init__(self, fronts: Sequence[Handler], *, nursery: Nursery, uses: UseBook) -> None:
        self.fronts = fronts
        self.nursery = nursery
        self.uses = uses
        self.lines = self.running = self.asked = self.failed = 0

    def adopt(self, line: Line) -> None:
        """Answers what comes on this line until it ends."""
        self.nursery.start(self._serve(line), name="worker.line")

    def statistics(self) -> HostStatistics:
        """A snapshot."""
        return HostStatistics(self.lines, self.running, self.asked, self.failed)

    async def _serve(self, line: Line) -> None:
        self.lines += 1
        current: _Exchange | None = None
        try:
            while (packet := await line.receive()) is not None:
                data, _ = packet
                if data[0] == Kind.ASK:
                    current = _Exchange(self, line, unpack(data, Ask))
                    self.nursery.start(current.run(), name="worker.request")
                elif current is not None:
                    current.take(data)
        except msgspec.DecodeError:
            _log.exception("a worker sent what is no message")
        finally:
            self.lines -= 1
            line.close()
            if current is not None:
                current.leave()


class Upload:
    """What the worker has of a body (or a tunnel's other side), one piece for each WANT."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._wanted: asyncio.Future[bytes] | None = None
        self._closed = False
        self.ended = False

    def close(self) -> None:
        """The answer ends: what asks from now on would ask in the middle of the next request."""
        self._closed = True

    def put(self, packet: bytes) -> None:
        """A CHUNK, END or BROKEN has come. One that nobody waits for is too late to matter."""
        if self._wanted is not None and not self._wanted.done():
            self._wanted.set_result(packet)

    async def chunks(self) -> AsyncIterator[bytes]:
        """The pieces. Raises BodyAborted when the rest will never come."""
        while not self._closed:
            self._wanted = asyncio.get_running_loop().create_future()
            try:
                await self._line.send(_WANT)
            except LineEnded as error:
                raise BodyAborted(LEFT) from error
            packet = await self._wanted
            if packet[0] == Kind.END:
                self.ended = True
                return
            if packet[0] != Kind.CHUNK:
                raise BodyAborted(LEFT)
            yield packet[1:]
        raise BodyAborted("the request was answered before the end of its body")


class _Exchange:
    """One request and its answer."""

    def __init__(self, host: RelayHost, line: Line, ask: Ask) -> None:
        self._host = host
        self._line = line
        self._ask = ask
        self._sending: asyncio.Task[None] | None = None
        self._far: FarClient | None = None
        self._answered = False
        self.upload = Upload(line)

    def take(self, packet: bytes) -> None:
        """Something about this request has come."""
        if packet[0] != Kind.TAKEN:
            self.upload.put(packet)
        elif self._far is not None:
            self._far.taken()

    def leave(self) -> None:
        """The client or its worker is gone: ends the sending, and only that."""
        self.upload.put(_BROKEN)
        if self._far is not None:
            self._far.lost()
        # A tunnel is told by what it reads, unless it has read all there was.
        if self._sending is not None and (self._far is None or self.upload.ended):
            self._sending.cancel()

    async def run(self) -> None:
        """Asks the front and sends what it answers."""
        host = self._host
        host.asked += 1
        host.running += 1
        try:
            answer = await self._answer()
            if isinstance(answer, bytes):
                self._answered = True
                await self._line.send(answer)
            elif answer.status == 101 and answer.tunnel is not None:
                await self._switch(answer, answer.tunnel)
            else:
                await self._deliver(answer)
        except LineEnded:
            pass
        except BaseException:
            self._line.close()  # never half an answer, then the next one
            raise
        finally:
            host.running -= 1

    async def _answer(self) -> Answer | bytes:
        """What the front says, or the packet that tells why it says nothing."""
        ask = self._ask
        request = Request(
            method=ask.method,
            path=ask.path,
            headers=Headers(ask.fields),
            query=ask.query,
            raw_path=ask.raw_path,
            body=self.upload.chunks() if ask.has_body else no_body(),
            client=ask.client,
            scheme=ask.scheme,
            interim=self._interim if ask.interim else None,
            certificate=ask.certificate,
            client_port=ask.client_port,
        )
        try:
            answer = await self._host.fronts[ask.door](request)
            if answer.status == 101 and "upgrade" not in request.headers:
                raise RuntimeError("a front switches to a protocol that nobody offered")
            return answer
        except BodyAborted:
            return _BROKEN
        except Exception:
            self._host.failed += 1
            _log.exception("the handler failed")
            return _FAILED

    def _interim(self, status: int, headers: Headers) -> None:
        if self._answered:
            return  # it would stand before the answer to the next request
        with suppress(LineEnded):
            # A hint that finds no room is not worth waiting for (RFC 8297 section 2).
            self._line.send_now(pack(Kind.INTERIM, InterimHead(status, tuple(headers))))

    async def _switch(self, answer: Answer, tunnel: Tunnel) -> None:
        """The worker's client speaks another protocol until the tunnel returns."""
        self._far = far = FarClient(self._line, self.upload.chunks())
        self._sending = asyncio.current_task()
        try:
            await self._send_head(answer, Shape.TUNNEL, last=False)
            await tunnel(far)
        except asyncio.CancelledError:
            if not self._line.ended:
                raise
        finally:
            self._sending = None
            self.upload.close()
            await far.close()

    async def _deliver(self, answer: Answer) -> None:
        # A task of a nursery: typed Task[Any] there, but it is this method's.
        self._sending = asyncio.current_task()
        try:
            await self._send(answer)
        except asyncio.CancelledError:
            if not self._line.ended:
                raise
        except BodyAborted as error:
            _log.info("a body was cut: %s", error)
            await self._line.send(_BROKEN)
        except LineEnded:
            pass
        except Exception:
            _log.exception("a body failed while it was sent")
            await self._line.send(_BROKEN)
        finally:
            self._sending = None
            await close_body(answer.body)

    async def _send(self, answer: Answer) -> None:
        body = answer.body
        ends = bodiless(self._ask.method, answer.status)
        if isinstance(body, bytes):
            await self._send_bytes(answer, body)
        elif isinstance(body, AsyncIterator):
            await self._send_head(answer, Shape.STREAM, last=ends)
            if not ends:
                async for piece in body:
                    await self._send_piece(piece)
                self.upload.close()
                await self._line.send(_END)
        else:
            # The worker sends the file itself; it is told how far it may go.
            part = _part(body)
            ends = ends or part.end >= part.offset + part.size
            await self._send_head(answer, Shape.FILE, last=ends, part=part, file=body)
            if not ends:
                await self._send_growth(body, part.end, last=True)

    async def _send_bytes(self, answer: Answer, body: bytes) -> None:
        head, last = body[:PIECE_BYTES], len(body) <= PIECE_BYTES
        self.upload.close()
        await self._send_head(answer, Shape.BYTES, last=last, size=len(body), body=head)
        for start in range(PIECE_BYTES, len(body), PIECE_BYTES):
            await self._line.send(pack_chunk(body[start : start + PIECE_BYTES]))

    async def _send_piece(self, piece: Piece) -> None:
        if isinstance(piece, bytes):
            for start in range(0, len(piece), PIECE_BYTES):
                await self._line.send(pack_chunk(piece[start : start + PIECE_BYTES]))
            return
        try:
            part = _part(piece)
            await self._line.send(pack(Kind.PART, part), [piece.fileno()])
            await self._send_growth(piece, part.end, last=False)
        finally:
            piece.close()

    async def _send_growth(self, body: Segment, position: int, *, last: bool) -> None:
        stop = body.offset_bytes + body.size_bytes
        while position < stop:
            position = await body.readable(position)
            if last and position >= stop:
                self.upload.close()
            await self._line.send(pack(Kind.GROWN, Grown(min(position, stop))))

    async def _send_head(
        self,
        answer: Answer,
        shape: Shape,
        *,
        last: bool,
        size: int = 0,
        body: bytes = b"",
        part: Part = NO_PART,
        file: Segment | None = None,
    ) -> None:
        self._answered = True
        if last:
            self.upload.close()
        hot = answer.hot
        leave = None if hot is None else Leave.of(hot, self._host.uses.note(hot.hit))
        fields = tuple(answer.headers)
        counted = answer.sent is not None and not bodiless(self._ask.method, answer.status)
        sent = self._host.uses.follow(answer.sent) if counted and answer.sent is not None else 0
        head = Head(answer.status, fields, shape, last, size, body, part, leave, sent)
        await self._line.send(pack(Kind.HEAD, head), [] if file is None else [file.fileno()])


def _part(body: Segment) -> Part:
    """A file and how far it may be sent now, asked without waiting: most files are there wholly,
    and a second packet to say so would cost as much as the first."""
    offset, size = body.offset_bytes, body.size_bytes
    if not size:
        return Part(offset, size, offset)
    growth = body.readable(offset)
    try:
        growth.send(None)
    except StopIteration as found:
        return Part(offset, size, min(found.value, offset + size))
    growth.close()  # it would wait: it is asked again, as a task may
    return Part(offset, size, offset)
