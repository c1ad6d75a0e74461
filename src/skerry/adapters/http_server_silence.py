"""When silence ends a connection.

Owns the waits of one client connection: for its first request, for a head, for a body, for its
reading. Called at each beat of the door, so that no connection has a timer of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from skerry.adapters.http_server_state import Stage
from skerry.adapters.http_server_strict import Reason, Refusal

if TYPE_CHECKING:
    from skerry.adapters.http_server_connection import DoorConnection

LINGER_SECONDS = 5.0
"""How long a refused client may go on sending before its connection is closed: closing at once
would reset it, and the refusal would be lost on the way."""


def sweep(connection: DoorConnection) -> None:
    """Ends a connection that has been silent for too long; called at each beat."""
    limits, tick = connection.state.limits, connection.state.tick
    quiet_seconds = tick - connection.moved_at
    if connection.transport.is_closing() or (
        connection.switching is not None and connection.switching.open
    ):
        return
    if connection.running():
        _sweep_running(connection, quiet_seconds)
    elif connection.refusal is not None:
        if quiet_seconds >= LINGER_SECONDS:
            connection.transport.abort()
    elif connection.stage is Stage.HEAD or not connection.served:
        # Measured from the first byte, so that one byte now and then does not help.
        if connection.head_since is None:
            connection.head_since = tick
        elif tick - connection.head_since >= limits.head_seconds:
            sentence = f"no whole request within {limits.head_seconds:g} s"
            connection.refuse(Refusal(408, Reason.SLOW, sentence))
        return
    elif connection.stage is Stage.BODY:
        if quiet_seconds >= limits.body_stall_seconds:
            connection.transport.abort()
    elif quiet_seconds >= limits.keep_alive_seconds:
        connection.transport.close()
    connection.head_since = None


def _sweep_running(connection: DoorConnection, quiet_seconds: float) -> None:
    limits, tick = connection.state.limits, connection.state.tick
    awaits_body = connection.stage is Stage.BODY and not connection.flow.read_paused
    taken, mark = connection.outlet.taken_bytes(), connection.sent_mark
    # A byte now and then is no reading: it holds files open that were evicted long ago.
    if taken is None or mark is None or taken - mark >= limits.send_bytes_min:
        connection.sent_mark, connection.sent_mark_at = taken, tick
    elif tick - connection.sent_mark_at >= limits.send_stall_seconds:
        connection.outlet.abort()
        return
    if awaits_body and quiet_seconds >= limits.body_stall_seconds:
        connection.outlet.abort()
