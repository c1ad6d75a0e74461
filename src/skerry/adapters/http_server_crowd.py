"""Who may have a connection to one door.

Owns how many there are, how many one client may have, and which of them make way when the door
is full: those that rest, longest first. Never ends one that is being answered. Opening a thousand
connections and saying nothing must cost the others nothing. A trusted proxy is many clients: it may
have them all, and what those ask for is charged to them (`wire.forwarded`).
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

from skerry.adapters.http_server_state import DoorState
from skerry.adapters.http_server_strict import Reason, Refusal
from skerry.base.address import near_of

if TYPE_CHECKING:
    from skerry.adapters.http_server_connection import DoorConnection

MAKE_WAY_SHARE = 64
"""A full door ends this part of its connections at once: looking for them costs a walk."""

NO_ROOM = Refusal(503, Reason.CROWDED, "this door has no connection to spare, try again")
NO_ROOM_FOR_YOU = Refusal(
    503, Reason.CROWDED, "this address has as many connections as one may have, try again"
)


def enter(connection: DoorConnection, state: DoorState) -> None:
    """Takes a new connection in, or refuses it."""
    limits, near = state.limits, _near(connection)
    state.connections.add(connection)
    state.opened_count += 1
    connection.number = state.opened_count
    state.clients[near] += 1
    if len(state.connections) > limits.connections_max:
        _make_way(connection, state)
    over = state.clients[near] - limits.client_connections_max
    if over > 0 and connection.client and state.proxies.trusts(connection.client[0]):
        over = 0
    # To be told why takes a connection, too: who asks for still more is not told.
    if (
        over > max(1, limits.client_connections_max // 4)
        or len(state.connections) > 2 * limits.connections_max
    ):
        connection.transport.abort()
    elif over > 0:
        connection.refuse(NO_ROOM_FOR_YOU)
    elif len(state.connections) > limits.connections_max:
        connection.refuse(NO_ROOM)
    elif state.closing:
        connection.transport.close()


def leave(connection: DoorConnection, state: DoorState) -> None:
    """Forgets a connection that has ended."""
    state.connections.discard(connection)
    near = _near(connection)
    state.clients[near] -= 1
    if state.clients[near] <= 0:
        del state.clients[near]


def _make_way(newest: DoorConnection, state: DoorState) -> None:
    resting = [c for c in state.connections if c is not newest and c.resting()]
    count = max(1, state.limits.connections_max // MAKE_WAY_SHARE)
    for connection in heapq.nsmallest(count, resting, key=lambda c: (c.moved_at, c.number)):
        state.connections.discard(connection)  # its end is told only later
        connection.transport.abort()


def _near(connection: DoorConnection) -> str:
    return near_of(connection.client[0]) if connection.client else ""
