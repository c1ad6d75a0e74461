"""The stage of the drill: a region, a link that can be cut, and the node under test.

Owns both nodes, the link between them, their folder and the names. The region is a second Skerry
node that takes pushes; the node knows it as `region.drill` and reaches it only over the link.
"""

from __future__ import annotations

import random
import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path

import bcrypt

from skerry.app.drill import trust
from skerry.app.drill.client import RegistryClient
from skerry.app.drill.loop import LoopThread
from skerry.app.drill.names import NameFault, NameServer
from skerry.app.drill.processes import NodeProcess, Setting, wait_until_still
from skerry.app.drill.wan import PASS, RESET, Mode, Wan
from skerry.base.errors import BadInput, Party

HOST = "region.drill"
USER = "drill"
MEMBERS = "drill/members"
"""A repository that takes a token."""
SIGNED = "drill/signed"
"""Where the node asks for signatures."""
TAG_WINDOW = "200ms"
"""Short, so that every pull of the drill finds its tag due for a check."""


class Stage:
    """Everything the drill starts; a context manager that ends it all. Raises BadInput when made
    over a folder that has something in the drill's places."""

    def __init__(self, folder: Path | None, *, keep: bool) -> None:
        self._ends = ExitStack()
        _refuse_used(folder)
        self.folder = folder or Path(tempfile.mkdtemp(prefix="skerry-drill-"))
        if not keep:
            self._ends.callback(self._tidy, folder is None)
        self._loop = LoopThread()
        self._password = random.SystemRandom().randbytes(12).hex()
        self.region: NodeProcess
        self.node: NodeProcess
        self.owners = trust.people(trust.OWNERS)
        self._wan: Wan
        self._names = NameServer()

    def __enter__(self) -> Stage:
        try:
            self._build()
        except BaseException:
            self._ends.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.close()

    @property
    def pusher(self) -> RegistryClient:
        """Speaks to the region with the right to push."""
        return RegistryClient(self.region.registry, user=USER, password=self._password)

    @property
    def client(self) -> RegistryClient:
        """Speaks to the node under test, as an anonymous client would."""
        return RegistryClient(self.node.registry, timeout_seconds=30)

    @property
    def somebody(self) -> RegistryClient:
        """Speaks to the node under test as somebody whom it knows."""
        return RegistryClient(self.node.registry, user=USER, password=self._password)

    @property
    def down_bytes(self) -> int:
        """What has come over the link to the node."""
        return self._wan.statistics().down_bytes

    def settle(self) -> None:
        """Until what a pull left to do behind its answers has come, and is durable."""
        wait_until_still(lambda: self.down_bytes)
        self.node.wait_until_stored()

    def switch(self, mode: Mode) -> None:
        """Changes the link."""
        self._loop.run(self._wan.switch(mode))

    def forget_name(self) -> None:
        """The region's name does not resolve any more and its connections are gone."""
        self._names.fault = NameFault.NXDOMAIN
        self.switch(RESET)

    def heal(self) -> None:
        """The link is as good as new."""
        self._names.fault = NameFault.ANSWER
        self.switch(PASS)

    def _build(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._ends.enter_context(self._loop)
        self.region = self._start("region", self._region_settings())
        host, _, port = self.region.registry.partition(":")
        self._wan = Wan(host, int(port))
        self._loop.run(self._wan.start())
        self._ends.callback(lambda: self._loop.run(self._wan.close()))
        self._loop.run(self._names.start())
        self._ends.callback(lambda: self._loop.run(self._names.close()))
        trust.publish_root(self.folder / "root", self.owners)
        self.node = self._start("node", self._node_settings())

    def _start(self, name: str, settings: dict[str, Setting]) -> NodeProcess:
        node = NodeProcess(self.folder / name, settings, name=name)
        self._ends.callback(node.stop)
        node.start()
        return node

    def _region_settings(self) -> dict[str, Setting]:
        users = self.folder / "users"
        hashed = bcrypt.hashpw(self._password.encode(), bcrypt.gensalt(4)).decode()
        users.touch(mode=0o600)
        users.write_text(f"{USER}:{hashed}\n")
        return {
            "registry": {
                "users_file": str(users),
                "local": {"enabled": True, "namespaces": ["drill/*"]},
            },
            "upstream": [],
        }

    def _node_settings(self) -> dict[str, Setting]:
        source: dict[str, Setting] = {
            "name": "region",
            "kind": "region",
            "url": f"http://{HOST}:{self._wan.port}",
            "plain_http": True,
            "proxy": "",
        }
        return {
            "registry": {
                "tag_window": [{"pattern": "*", "window": TAG_WINDOW}],
                "users_file": str(self.folder / "users"),
            },
            "access": {"rule": [{"repositories": [f"{HOST}/{MEMBERS}"], "identities": [USER]}]},
            "upstream": [{"name": HOST, "source": [source]}],
            "dns": {"servers": [f"127.0.0.1:{self._names.port}"]},
            "trust": trust.settings(self.folder / "root", f"{HOST}/{SIGNED}"),
        }

    def _tidy(self, own: bool) -> None:
        for name in ("region", "node", "root"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        (self.folder / "users").unlink(missing_ok=True)
        if own:
            shutil.rmtree(self.folder, ignore_errors=True)


def _refuse_used(folder: Path | None) -> None:
    """What the drill did not put there it must not remove. Raises BadInput."""
    for name in ("region", "node", "root", "users"):
        if folder is not None and (folder / name).exists():
            raise BadInput(
                f"{folder} already has {name!r} in it",
                next_step="give the drill a folder of its own, or none",
                party=Party.OPERATOR,
            )
