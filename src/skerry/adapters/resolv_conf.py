"""What this machine says of its own name servers.

Owns the reading of resolv.conf(5). Read again when it has changed: the network may have.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from skerry.base.errors import BadInput
from skerry.trust.core.names.servers import Server, read_server

SERVERS_MAX = 3
SEARCH_MAX = 6
FILE_BYTES_MAX = 64 * 1024


@dataclass(frozen=True, slots=True)
class ResolvConf:
    """Servers, and the domains that short names are looked for in."""

    servers: tuple[Server, ...] = ()
    search: tuple[str, ...] = ()


class ResolvConfFile:
    """A resolv.conf, at the path it is at."""

    def __init__(self, path: Path = Path("/etc/resolv.conf")) -> None:
        self._path = path
        self._stamp: tuple[int, int] | None = None
        self._read = ResolvConf()

    def read(self) -> ResolvConf:
        """What it says now; nothing when it is not there."""
        try:
            found = self._path.stat()
            stamp = (found.st_mtime_ns, found.st_size)
            if stamp != self._stamp:
                with self._path.open(encoding="utf-8", errors="replace") as file:
                    self._read, self._stamp = parse(file.read(FILE_BYTES_MAX)), stamp
        except OSError:
            return ResolvConf()
        return self._read


def parse(text: str) -> ResolvConf:
    """Leniently, as the C library reads it."""
    servers: list[Server] = []
    search: tuple[str, ...] = ()
    for line in text.splitlines():
        match line.split():
            case ["nameserver", address, *_] if len(servers) < SERVERS_MAX:
                try:
                    servers.append(read_server(address))
                except BadInput:
                    continue
            case ["search" | "domain", *domains]:
                search = tuple(each.rstrip(".").lower() for each in domains[:SEARCH_MAX])
    return ResolvConf(tuple(servers), tuple(each for each in search if each))
