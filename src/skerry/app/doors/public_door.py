"""One public door, as those who open it together see it.

Owns the value.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass

from skerry.adapters.http_hot_way import HotFields
from skerry.adapters.http_server import Door
from skerry.wire.message import Handler

Listening = tuple[socket.socket, ...]
"""One socket for every address that a name stands for."""


@dataclass(frozen=True, slots=True)
class PublicDoor:
    """A public door: what answers at it, and the sockets of each worker that opens it too."""

    front: Handler
    door: Door
    hot_fields: HotFields
    plain_refusals: bool
    sockets: Sequence[Listening]
