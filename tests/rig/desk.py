"""An operator's terminal at a live node, for tests of the command line.

Owns the node, its upstream behind a recording proxy and a link, and the reading of what commands
print. Commands run in this process; only the node is another.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from skerry.app.drill import wan as link
from skerry.app.drill.client import RegistryClient
from skerry.app.drill.images import Image, Piece, push
from skerry.app.drill.processes import NodeProcess, Setting
from skerry.app.drill.wan import Wan
from skerry.base.digest import Digest
from skerry.cli.main import make_app
from tests.rig import nodes
from tests.rig.faulty import Faulty
from tests.rig.nodes import HOST
from tests.rig.processes import Rig

TEAM = "team/app"
NAME = f"{HOST}/{TEAM}"
Json = dict[str, Any]


@dataclass(frozen=True)
class Said:
    """What a command ended with and printed."""

    code: int
    out: str
    err: str

    def json(self) -> Json:
        """Its one JSON document."""
        found = json.loads(self.out)
        assert isinstance(found, dict)
        return found


@dataclass
class Desk:
    """A node, its operator's terminal, and the way to its upstream."""

    rig: Rig
    origin: Faulty
    wan: Wan
    node: NodeProcess

    @property
    def client(self) -> RegistryClient:
        return RegistryClient(self.node.registry)

    def skerry(self, *arguments: str, node: NodeProcess | None = None) -> Said:
        """One command, about this node unless another is given."""
        config = str((node or self.node).config)
        done = CliRunner().invoke(make_app(), [*arguments, "--config", config])
        return Said(done.exit_code, done.stdout, done.stderr)

    def done(self, *arguments: str, node: NodeProcess | None = None) -> Json:
        """The JSON of a command that has to succeed."""
        said = self.skerry(*arguments, "--json", node=node)
        assert said.code == 0, said
        return said.json()

    def row(self, reference: str, *, node: NodeProcess | None = None) -> Json:
        """What `ls` says of one image."""
        rows = self.done("ls", node=node)["images"]
        assert isinstance(rows, list)
        (found,) = [row for row in rows if row["reference"] == reference]
        return dict(found)

    def names(self, *arguments: str) -> set[str]:
        rows = self.done("ls", *arguments)["images"]
        assert isinstance(rows, list)
        return {row["reference"] for row in rows}

    def events(self, kind: str, subject: object) -> list[dict[str, str]]:
        found = self.done("events", "--since", "1h")["events"]
        assert isinstance(found, list)
        return [e for e in found if (e["kind"], e["subject"]) == (kind, str(subject))]

    def cut(self) -> None:
        self.rig.run(self.wan.switch(link.REFUSE))

    def heal(self) -> None:
        """The link works again; a crash is sooner over than a breaker's patience."""
        if self.wan.mode != link.PASS:
            self.rig.run(self.wan.switch(link.PASS))
            self.node.restart()

    def push(self, image: Image, tag: str) -> str:
        """Makes an image known upstream; its name at the node."""
        push(RegistryClient(self.origin.server.authority), TEAM, image, tag)
        return f"{NAME}:{tag}"

    def serves(self, image: Image, tag: str) -> None:
        """The whole image comes from the node by tag."""
        got = self.client.manifest(NAME, tag)
        assert (got.status, got.body) == (200, image.manifest.data), got.text()
        for blob in image.every_blob():
            found = self.client.blob(NAME, blob.digest)
            assert (found.status, found.body) == (200, blob.data), found.text()


def open_desk(rig: Rig, *, window: str = "1h", start: bool = True, **tables: Setting) -> Desk:
    """A node called `harbour` with a registry behind it; `tables` go into its settings."""
    origin = rig.faulty(rig.registry().authority)
    wan = rig.wan(origin.server.authority)
    settings = nodes.settings(f"http://127.0.0.1:{wan.port}", window=window)
    node = rig.node({**settings, **tables}, name="harbour", start=start)
    return Desk(rig, origin, wan, node)


def blob_file(node: NodeProcess, digest: Digest) -> Path:
    """Where the store keeps a blob (docs/internals/store.md)."""
    return node.folder / "data/blobs" / digest.algorithm / digest.hex[:2] / digest.hex


def blob_files(node: NodeProcess) -> list[Path]:
    """Every file below `blobs/`."""
    return [file for file in (node.folder / "data/blobs").rglob("*") if file.is_file()]


def lengths(*pieces: Piece) -> int:
    return sum(len(piece.data) for piece in pieces)
