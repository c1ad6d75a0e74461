"""Two network namespaces and a cable between them, for packets that really vanish.

Owns the namespaces, the cable and the packet filter on the far side; all of it goes with `close`.
Nothing outside them is touched. Needs root.
"""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from tests.rig.processes import need, need_root

NEAR_ADDRESS, FAR_ADDRESS = "10.77.0.1", "10.77.0.2"
_CLONE_NEWNET = 0x40000000
_numbers = count()


class Cable:
    """A near and a far namespace. Use as a context manager.

    `near()` and `far()` put the calling thread (and the children it starts) into one of them.
    """

    def __init__(self) -> None:
        need_root()
        self._ip, self._nft = need("ip"), need("nft")
        stem = f"skrig{os.getpid()}x{next(_numbers)}"
        self._names = (f"{stem}a", f"{stem}b")

    def __enter__(self) -> Cable:
        try:
            self._lay()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _lay(self) -> None:
        near, far = self._names
        self._do("netns", "add", near)
        self._do("netns", "add", far)
        self._do(
            "-n", near, "link", "add", "v0", "type", "veth", "peer", "name", "v0", "netns", far
        )
        for name, address in zip(self._names, (NEAR_ADDRESS, FAR_ADDRESS), strict=True):
            self._do("-n", name, "link", "set", "lo", "up")
            self._do("-n", name, "addr", "add", f"{address}/30", "dev", "v0")
            self._do("-n", name, "link", "set", "v0", "up")
        self._filter(
            "table inet rig { counter arrived { }; counter openings { }; chain seen { "
            "type filter hook input priority -10; iif v0 ip protocol tcp counter name arrived; "
            "iif v0 tcp flags & (syn | ack) == syn counter name openings; }; "
            "chain cut { type filter hook input priority 0; }; }"
        )

    def __exit__(self, *_: object) -> None:
        for name in self._names:
            subprocess.run([self._ip, "netns", "del", name], check=False, capture_output=True)

    def cut(self) -> None:
        """From now on every packet that arrives at the far side vanishes."""
        self._filter("add rule inet rig cut iif v0 drop")

    def heal(self) -> None:
        self._filter("flush chain inet rig cut")

    def packets(self) -> int:
        """TCP packets that reached the far side, dropped or not."""
        return self._counted("arrived")

    def openings(self) -> int:
        """Packets that ask for a new connection, dropped or not.

        Unlike `packets` it says nothing of the kernel, which goes on to end the connections of a
        process that was killed.
        """
        return self._counted("openings")

    def _counted(self, name: str) -> int:
        listed = self._filter(f"list counter inet rig {name}", as_json=True)
        found = next(
            item["counter"] for item in json.loads(listed)["nftables"] if "counter" in item
        )
        return int(found["packets"])

    @contextmanager
    def near(self) -> Iterator[None]:
        """The calling thread is on the near side."""
        with inside(self._names[0]):
            yield

    @contextmanager
    def far(self) -> Iterator[None]:
        """The calling thread is on the far side."""
        with inside(self._names[1]):
            yield

    def _do(self, *arguments: str) -> None:
        subprocess.run([self._ip, *arguments], check=True, capture_output=True)

    def _filter(self, text: str, *, as_json: bool = False) -> str:
        argv = [self._ip, "netns", "exec", self._names[1], self._nft, *(["-j"] if as_json else [])]
        ran = subprocess.run([*argv, text], check=True, capture_output=True, text=True)
        return ran.stdout


@contextmanager
def inside(name: str) -> Iterator[None]:
    """The calling thread, and the children that it starts, are in a namespace."""
    libc = ctypes.CDLL(None, use_errno=True)
    with (
        Path("/proc/thread-self/ns/net").open() as home,
        Path(f"/run/netns/{name}").open() as there,
    ):
        if libc.setns(there.fileno(), _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"cannot enter {name}")
        try:
            yield
        finally:
            libc.setns(home.fileno(), _CLONE_NEWNET)
