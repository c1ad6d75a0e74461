"""One connection between the main process and a worker: whole messages, now and then with a file.

Owns the socket and the waiting at both its ends. Never looks into a message. A message is one
packet (unix(7), SOCK_SEQPACKET): it arrives whole, in order and with its descriptors, or the line
has ended; so no length is parsed and no half of one is ever acted on.
"""

from __future__ import annotations

import array
import asyncio
import os
import socket
from collections.abc import Sequence

PACKET_BYTES_MAX = 192 << 10
"""A head of 64 KiB, its target and an inline body fit."""

PIECE_BYTES = 64 << 10
"""A longer body is sent in pieces of so many bytes."""

BUFFER_BYTES = 128 << 10
"""What may be on its way (the kernel doubles it): a reader that stops holds the writer soon."""

DESCRIPTORS_MAX = 64
_SPACE = socket.CMSG_SPACE(DESCRIPTORS_MAX * array.array("i").itemsize)


class LineEnded(ConnectionError):
    """The other process is gone, or has given this line up."""


Packet = tuple[bytes, list[int]]
"""One message and the descriptors that came with it; whoever takes it owns them."""


def pair() -> tuple[socket.socket, socket.socket]:
    """Both ends of a new line."""
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in ends:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)
    return ends


class Line:
    """One end. One task may receive, any may send.

    `room` is where packets arrive, `PACKET_BYTES_MAX` long; all lines of a loop may share it.
    """

    def __init__(self, end: socket.socket, room: bytearray) -> None:
        end.setblocking(False)
        self._socket = end
        self._room = memoryview(room)
        self._loop = asyncio.get_running_loop()
        self._reader: asyncio.Future[None] | None = None
        self._writers: list[asyncio.Future[None]] = []
        self.ended = False

    async def receive(self) -> Packet | None:
        """The next packet; None once the line has ended."""
        while True:
            packet = self.receive_now()
            if packet is not None or self.ended:
                return packet
            await self._readable()

    def receive_now(self) -> Packet | None:
        """The next packet if one is there."""
        if self.ended:
            return None
        try:
            size, notes, flags, _ = self._socket.recvmsg_into(
                [self._room], _SPACE, socket.MSG_CMSG_CLOEXEC
            )
        except BlockingIOError:
            return None
        except OSError:
            size, notes, flags = 0, [], 0
        descriptors = array.array("i")
        for level, kind, data in notes:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                descriptors.frombytes(data[: len(data) - len(data) % descriptors.itemsize])
        if size == 0 or flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
            for descriptor in descriptors:
                os.close(descriptor)
            self.close()
            return None
        return bytes(self._room[:size]), descriptors.tolist()

    async def send(self, packet: bytes, descriptors: Sequence[int] = ()) -> None:
        """Sends; waits while the other side does not read. Raises LineEnded, ValueError."""
        while not self.send_now(packet, descriptors):
            await self.writable()

    def send_now(self, packet: bytes, descriptors: Sequence[int] = ()) -> bool:
        """Sends if there is room, and says whether it did. Raises LineEnded, ValueError.

        The kernel has copies of the descriptors when this returns.
        """
        if self.ended:
            raise LineEnded("the line has ended")
        if len(packet) > PACKET_BYTES_MAX or len(descriptors) > DESCRIPTORS_MAX:
            raise ValueError(f"{len(packet)} bytes and {len(descriptors)} files are no packet")
        notes = []
        if descriptors:
            notes = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))]
        try:
            self._socket.sendmsg([packet], notes)
        except BlockingIOError:
            return False
        except OSError as error:
            self.close()
            raise LineEnded(f"the line has ended: {error.strerror}") from error
        return True

    def close(self) -> None:
        """Ends the line at both ends; may be called twice. Whoever waits is woken."""
        if self.ended:
            return
        self.ended = True
        if self._reader is not None:
            self._loop.remove_reader(self._socket)
            _wake([self._reader])
        if self._writers:
            self._loop.remove_writer(self._socket)
            _wake(self._writers)
        self._socket.close()

    async def _readable(self) -> None:
        if self._reader is not None:
            raise RuntimeError("two tasks receive on one line")
        self._reader = self._loop.create_future()
        self._loop.add_reader(self._socket, _wake, [self._reader])
        try:
            await self._reader
        finally:
            self._reader = None
            if not self.ended:
                self._loop.remove_reader(self._socket)

    async def writable(self) -> None:
        """Waits until a packet may find room, or the line has ended."""
        waiter = self._loop.create_future()
        if not self._writers:
            self._loop.add_writer(self._socket, _wake, self._writers)
        self._writers.append(waiter)
        try:
            await waiter
        finally:
            self._writers.remove(waiter)
            if not self._writers and not self.ended:
                self._loop.remove_writer(self._socket)


def _wake(waiters: Sequence[asyncio.Future[None]]) -> None:
    for waiter in waiters:
        if not waiter.done():
            waiter.set_result(None)
