"""How large a buffer the kernel gives a client that is near.

Owns that choice, for bodies that leave by sendfile (docs/internals/http-server.md has the numbers).
"""

from __future__ import annotations

import socket
import struct

NEAR_MICROSECONDS = 250
NEAR_BUFFER_BYTES = 128 << 10
"""A client nearer than this round trip gets a send buffer that the kernel makes twice as large,
enough for 1 GB/s at that distance, and not more: it reads what has left the processor's cache."""

_ROUND_TRIP_AT = 68
"""Offset of `tcpi_rtt` (microseconds) in Linux's `struct tcp_info`."""


def keep_near_buffer_small(connection: socket.socket) -> None:
    """Bounds the send buffer of a connection whose client is near."""
    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _ROUND_TRIP_AT + 4)
    (round_trip,) = struct.unpack_from("I", info, _ROUND_TRIP_AT)
    if round_trip < NEAR_MICROSECONDS:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, NEAR_BUFFER_BYTES)
