"""What the connections of one door share, and what a request takes along.

Owns no behaviour.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from skerry.adapters.http_hot import HotRequest, HotTable
from skerry.adapters.http_send import Outlet, Traffic
from skerry.adapters.http_server_tls import Certificates
from skerry.aio.tasks import Nursery
from skerry.wire.forwarded import Trusted

if TYPE_CHECKING:
    from skerry.adapters.http_hot_way import HotFields
    from skerry.adapters.http_server_connection import DoorConnection


class Stage(IntEnum):
    """Where in a message the parser is."""

    REST = 0
    HEAD = 1
    BODY = 2


@dataclass(frozen=True, slots=True)
class DoorLimits:
    """What one door lets a client do.

    Attributes:
        client_connections_max: of one address, so that no single client can have them all.
        proxies: networks whose addresses may have them all: many clients stand behind each.
        send_bytes_min: what a reader has to take within `send_stall_seconds`.
        unread_bytes_max: of a body that its handler did not want; more ends the connection.
        held_bytes_max: of answers that are in memory until their readers have taken them.
        hot_files_max: files kept open for the fast way.
    """

    header_bytes_max: int = 64 << 10
    header_count_max: int = 128
    url_bytes_max: int = 8 << 10
    connections_max: int = 4096
    client_connections_max: int = 2048
    proxies: tuple[str, ...] = ()
    keep_alive_seconds: float = 75.0
    head_seconds: float = 30.0
    body_stall_seconds: float = 60.0
    send_stall_seconds: float = 300.0
    send_bytes_min: int = 256 << 10
    unread_bytes_max: int = 4 << 20
    held_bytes_max: int = 64 << 20
    hot_files_max: int = 512


@dataclass(slots=True)
class DoorState:
    """What the connections of one door share. `tick` and `date` are moved on by the door.

    Attributes:
        hot_fields: which requests may take the fast way.
        monotonic: for the hot answers' end, exact.
        tick: monotonic seconds of the last beat; coarse, for silence.
        date: value of the `Date` field, a new object whenever it changes.
        proxies: the trusted ones of `limits`.
        certificates: what a door with TLS shows.
        plain_refusals: whether refusals are a line of text, else the registry's JSON.
    """

    limits: DoorLimits
    hot: HotTable
    hot_fields: HotFields
    nursery: Nursery
    monotonic: Callable[[], float]
    tick: float
    date: bytes
    proxies: Trusted
    traffic: Traffic = field(default_factory=Traffic)
    connections: set[DoorConnection] = field(default_factory=set)
    clients: Counter[str] = field(default_factory=Counter)
    opened_count: int = 0
    closing: bool = False
    plain_refusals: bool = False
    certificates: Certificates | None = None
    emptied: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(slots=True)
class Carried:
    """What a request takes along to the full way, in the scope's extension `skerry`.

    Attributes:
        hot_request: set when its answer may be kept in the hot table, under `hot_generation`.
    """

    state: DoorState
    outlet: Outlet
    hot_request: HotRequest | None
    hot_generation: int
    cycle: RequestResponseCycle
    connection: DoorConnection
