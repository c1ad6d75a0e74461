"""How many files and sockets this process may have open, and what doors make of that.

Owns the arithmetic. A connection takes up to four descriptors (itself, its copy for sendfile, the
file, a spool); the fast way keeps some files open; what is left is for upstreams, the store and the
catalog. Without this a thousand connections would keep the node from opening its own files.
"""

from __future__ import annotations

import resource
from contextlib import suppress

from skerry.adapters.http_server_state import DoorLimits

WANTED = 65_536
OWN = 256
PER_CONNECTION = 4
ADMIN_CONNECTIONS_MAX = 256
HOT_FILES_SHARE = 16
"""At most one in so many descriptors is a file that the fast way keeps open."""


def raise_limit() -> int:
    """Asks for as many descriptors as make sense; returns how many there are.

    Debian's soft limit is 1024, its hard one far higher: meant for programs that ask.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED if hard == resource.RLIM_INFINITY else min(WANTED, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):  # a sandbox may forbid it: fewer connections then
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
    return WANTED if soft == resource.RLIM_INFINITY else soft


def door_limits(descriptors: int) -> DoorLimits:
    """What the registry's door may take with so many descriptors."""
    most = DoorLimits()
    files = min(most.hot_files_max, descriptors // HOT_FILES_SHARE)
    left = descriptors - OWN - files
    connections = max(16, min(most.connections_max, left // PER_CONNECTION))
    return DoorLimits(
        connections_max=connections,
        client_connections_max=max(8, connections // 2),
        hot_files_max=files,
    )


def admin_limits() -> DoorLimits:
    """What the admin door may take: a few people and their programs."""
    return DoorLimits(
        connections_max=ADMIN_CONNECTIONS_MAX, client_connections_max=ADMIN_CONNECTIONS_MAX
    )
