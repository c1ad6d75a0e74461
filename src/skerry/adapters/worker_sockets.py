"""One address, listened on by several processes.

Owns the making of the sockets: each worker has one of its own, and the kernel spreads connections
over them by a hash of both ends' addresses (socket(7), SO_REUSEPORT). The main process keeps a
copy of each, so that what waits on one outlives its worker.
"""

from __future__ import annotations

import socket
from contextlib import ExitStack

from skerry.adapters.http_server import BACKLOG, cannot_listen

Listening = tuple[socket.socket, ...]
"""One socket for every address a name stands for."""


def listen(name: str, host: str, port: int, *, count: int) -> list[Listening]:
    """So many sets of sockets on one address, all on the same port. Raises DoorError."""
    with ExitStack() as ends:
        try:
            places = socket.getaddrinfo(
                host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )
            sets: list[Listening] = []
            for number in range(count):
                made: list[socket.socket] = []
                for family, kind, protocol, _, place in dict.fromkeys(places):
                    one = ends.enter_context(socket.socket(family, kind, protocol))
                    first = number == 0 and not made
                    _bind(one, (place[0], port, *place[2:]), alone=first and port != 0)
                    port = one.getsockname()[1]
                    made.append(one)
                sets.append(tuple(made))
            for one in (one for each in sets for one in each):
                one.listen(BACKLOG)
        except OSError as error:
            raise cannot_listen(error, name, f"{host}:{port}") from error
        ends.pop_all()
        return sets


def _bind(one: socket.socket, place: tuple[object, ...], *, alone: bool) -> None:
    one.setblocking(False)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if one.family == socket.AF_INET6:
        one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    if alone:
        # Another node of this user with workers would otherwise share the port unseen.
        with socket.socket(one.family, one.type, one.proto) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(place)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    one.bind(place)
