"""A cheap router between clients and a node: it forgets its table and changes its address.

Owns three network namespaces in a row (clients, router, server) and the router's masquerading; all
of it goes with the context. Nothing outside them is touched. Needs root.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

from tests.rig.netns import inside
from tests.rig.processes import need, need_root

SERVER_ADDRESS = "10.79.0.2"
_CLIENT, _INNER = "10.78.0.2", "10.78.0.1"
_numbers = count()


class Nat:
    """Use as a context manager. `server()` puts the calling thread at the server's side."""

    def __init__(self) -> None:
        need_root()
        self._ip, self._nft = need("ip"), need("nft")
        stem = f"sknat{os.getpid()}x{next(_numbers)}"
        self._clients, self._router, self._server = (f"{stem}{side}" for side in "abc")
        self._outer = 10

    def __enter__(self) -> Nat:
        try:
            self._lay()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for name in (self._clients, self._router, self._server):
            subprocess.run([self._ip, "netns", "del", name], check=False, capture_output=True)

    def client_argv(self, *argv: str) -> list[str]:
        """A command as the clients run it."""
        return [self._ip, "netns", "exec", self._clients, *argv]

    @contextmanager
    def server(self) -> Iterator[None]:
        with inside(self._server):
            yield

    def forget(self) -> None:
        """The router's outer address is gone, with every mapping of it, and another one there."""
        before = f"10.79.0.{self._outer}/24"
        self._outer = 10 + (self._outer - 9) % 40
        self._do("-n", self._router, "addr", "del", before, "dev", "out")
        self._do("-n", self._router, "addr", "add", f"10.79.0.{self._outer}/24", "dev", "out")

    def _lay(self) -> None:
        clients, router, server = self._clients, self._router, self._server
        for name in (clients, router, server):
            self._do("netns", "add", name)
            self._do("-n", name, "link", "set", "lo", "up")
        for name, end, peer in ((clients, "v0", "in"), (server, "v0", "out")):
            pair = ("type", "veth", "peer", "name", peer, "netns", router)
            self._do("-n", name, "link", "add", end, *pair)
        places = ((clients, "v0", _CLIENT), (router, "in", _INNER), (server, "v0", SERVER_ADDRESS),
                  (router, "out", f"10.79.0.{self._outer}"))  # fmt: skip
        for name, device, address in places:
            self._do("-n", name, "addr", "add", f"{address}/24", "dev", device)
            self._do("-n", name, "link", "set", device, "up")
        self._do("-n", clients, "route", "add", "default", "via", _INNER)
        run = [self._ip, "netns", "exec", router]
        forward = ["sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"]
        subprocess.run([*run, *forward], check=True, capture_output=True)
        rules = ("table ip nat { chain after { type nat hook postrouting priority 100; "
                 "oifname out masquerade; }; }")  # fmt: skip
        subprocess.run([*run, self._nft, rules], check=True, capture_output=True)

    def _do(self, *arguments: str) -> None:
        subprocess.run([self._ip, *arguments], check=True, capture_output=True)
