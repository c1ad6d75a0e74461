"""A link to the outside that can be broken at any moment.

Owns a TCP relay on loopback, its counters and the ways it breaks. Never looks into the bytes it
carries, except that `ANSWER` waits for the end of a request head before it says its piece.
The faults are those the node promises to survive (known failures T13, T25); a real SYN black
hole needs a packet filter and is not one of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from dataclasses import dataclass
from enum import StrEnum

from skerry.aio.tasks import Nursery

CHUNK_BYTES = 64 * 1024
_RESET = struct.pack("ii", 1, 0)


class Fault(StrEnum):
    """What the link does to its connections."""

    PASS = "pass"
    REFUSE = "refuse"
    """Nobody listens: new connections are refused, old ones are reset."""
    RESET = "reset"
    """Every connection is reset, new ones right after they were accepted."""
    SILENCE = "silence"
    """New connections are accepted and never answered; old ones go on."""
    HANG = "hang"
    """As SILENCE, and old connections freeze."""
    RATE = "rate"
    """`amount` bytes a second come down, together over all connections or fewer."""
    CUT = "cut"
    """After `amount` more bytes came down, every connection is reset."""
    CUT_ONCE = "cut_once"
    """As CUT, and then the link is whole again."""
    ANSWER = "answer"
    """Old connections are reset; new ones get `text` as their answer and are closed."""


@dataclass(frozen=True, slots=True)
class Mode:
    """A fault with its size: bytes per second for RATE, bytes for a CUT, an answer for ANSWER."""

    fault: Fault
    amount: int = 0
    text: bytes = b""


PASS = Mode(Fault.PASS)
REFUSE = Mode(Fault.REFUSE)
RESET = Mode(Fault.RESET)
SILENCE = Mode(Fault.SILENCE)
HANG = Mode(Fault.HANG)
DRIP = Mode(Fault.RATE, 1)


def rate(bytes_per_second: int) -> Mode:
    """The link carries no more than this down, per connection."""
    return Mode(Fault.RATE, bytes_per_second)


def cut_after(count_bytes: int, *, then_heal: bool = False) -> Mode:
    """The link breaks after so many more bytes came down, for good or for that moment."""
    return Mode(Fault.CUT_ONCE if then_heal else Fault.CUT, count_bytes)


def status_answer(status: int, reason: str, *fields: str) -> Mode:
    """Whatever is asked, an HTTP status with an empty body comes back."""
    lines = (f"HTTP/1.1 {status} {reason}", "Content-Length: 0", "Connection: close", *fields)
    return Mode(Fault.ANSWER, text="\r\n".join((*lines, "", "")).encode())


@dataclass(frozen=True, slots=True)
class WanStatistics:
    """A snapshot. `connections` counts what was accepted in any mode; bytes are those carried."""

    connections: int
    open_connections: int
    up_bytes: int
    down_bytes: int


class Wan:
    """A relay from a loopback port to one host and port."""

    def __init__(self, target_host: str, target_port: int) -> None:
        self._target = (target_host, target_port)
        self._mode = PASS
        self._changed = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._placeholder: socket.socket | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._nursery = Nursery(on_crash=lambda name, error: None)
        self._connections = self._up_bytes = self._down_bytes = 0
        self._down_left = 0
        self.host = "127.0.0.1"
        self.port = 0

    async def start(self, port: int = 0) -> None:
        """Listens; `port` 0 takes a free one and keeps it until `close`."""
        self.port = port
        await self._listen()

    @property
    def mode(self) -> Mode:
        """What the link does now."""
        return self._mode

    async def switch(self, mode: Mode) -> None:
        """Changes what the link does, for new connections and, where the mode says so, old."""
        self._mode = mode
        self._down_left = mode.amount
        if mode.fault is Fault.REFUSE:
            await self._stop_listening()
        elif self._server is None:
            await self._listen()
        if mode.fault in (Fault.REFUSE, Fault.RESET, Fault.ANSWER):
            self._reset_all()
        self._changed.set()
        self._changed = asyncio.Event()

    def statistics(self) -> WanStatistics:
        return WanStatistics(
            self._connections, len(self._writers), self._up_bytes, self._down_bytes
        )

    async def close(self) -> None:
        """Ends the listener and every connection."""
        await self._stop_listening(keep_port=False)
        self._reset_all()
        await self._nursery.close()

    async def _listen(self) -> None:
        if self._placeholder is not None:
            self._placeholder.close()
            self._placeholder = None
        self._server = await asyncio.start_server(self._accept, self.host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _stop_listening(self, *, keep_port: bool = True) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
            await asyncio.sleep(0)  # the loop closes the listening socket on its next turn
        if keep_port and self._placeholder is None:
            # Bound but not listening: connections are refused and nobody else gets the port.
            self._placeholder = socket.socket()
            self._placeholder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._placeholder.bind((self.host, self.port))
        elif not keep_port and self._placeholder is not None:
            self._placeholder.close()
            self._placeholder = None

    def _reset_all(self) -> None:
        for writer in tuple(self._writers):
            _reset(writer)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections += 1
        self._nursery.start(self._carry(reader, writer), name="wan connection")

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        far: asyncio.StreamWriter | None = None
        try:
            while self._mode.fault in (Fault.SILENCE, Fault.HANG):
                await self._changed.wait()
            if self._mode.fault is Fault.RESET:
                return
            if self._mode.fault is Fault.ANSWER:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(self._mode.text)
                await writer.drain()
                return
            far_reader, far = await asyncio.open_connection(*self._target)
            self._writers.add(far)
            up = self._nursery.start(self._pump_up(reader, far), name="wan up")
            try:
                await self._pump_down(far_reader, writer)
            finally:
                up.cancel()
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            _reset(writer)
        finally:
            if self._mode.fault is Fault.RESET:
                _reset(writer)
            for ended in (writer, far):
                if ended is not None:
                    self._writers.discard(ended)
                    ended.close()

    async def _pump_up(self, reader: asyncio.StreamReader, far: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(CHUNK_BYTES):
                while self._mode.fault is Fault.HANG:
                    await self._changed.wait()
                self._up_bytes += len(chunk)
                far.write(chunk)
                await far.drain()
        _shut(far)

    async def _pump_down(self, far: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await far.read(CHUNK_BYTES):
            while chunk:
                sent = await self._let_down(chunk, writer)
                chunk = chunk[sent:]
                await writer.drain()

    async def _let_down(self, chunk: bytes, writer: asyncio.StreamWriter) -> int:
        """Sends what the mode allows now, after waiting as long as it says; returns how much."""
        mode, changed = self._mode, self._changed
        if mode.fault is Fault.HANG:
            await changed.wait()
            return 0
        count = len(chunk)
        if mode.fault is Fault.RATE:
            count = max(1, min(count, mode.amount // 10))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(changed.wait(), count / mode.amount)
                return 0
        elif mode.fault in (Fault.CUT, Fault.CUT_ONCE):
            count = min(count, self._down_left)
            self._down_left -= count
        self._down_bytes += count  # before the far end can have them: tests read the count then
        writer.write(chunk[:count])
        if mode.fault in (Fault.CUT, Fault.CUT_ONCE) and self._down_left <= 0:
            await writer.drain()
            if mode.fault is Fault.CUT_ONCE:
                self._mode = PASS
            self._reset_all()
            raise ConnectionResetError("the link was cut")
        return count


def _shut(writer: asyncio.StreamWriter) -> None:
    """Passes a half-close on, if the connection still stands."""
    with contextlib.suppress(OSError, RuntimeError):
        if writer.can_write_eof() and not writer.is_closing():
            writer.write_eof()


def _reset(writer: asyncio.StreamWriter) -> None:
    """Ends a connection with RST instead of FIN."""
    found = writer.get_extra_info("socket")
    if found is not None and not writer.is_closing():
        with contextlib.suppress(OSError):
            found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()
