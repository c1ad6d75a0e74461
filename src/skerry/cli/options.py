"""The options that many commands share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from skerry.base.errors import BadInput
from skerry.base.units import parse_bytes
from skerry.cli.admin_client import AdminClient, find_node
from skerry.cli.screen import wants_json

Config: TypeAlias = Annotated[
    Path | None,
    typer.Option("--config", "-c", metavar="FILE", help="Settings file.", show_default=False),
]
DataDir: TypeAlias = Annotated[
    Path | None,
    typer.Option("--data-dir", metavar="DIR", help="The node's data.", show_default=False),
]
NodeUrl: TypeAlias = Annotated[
    str | None,
    typer.Option("--node", metavar="URL", help="The node's admin door.", show_default=False),
]
AsJson: TypeAlias = Annotated[
    bool, typer.Option("--json", help="One JSON document on stdout.", callback=wants_json)
]
Overrides: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="FIELD=VALUE", help="A setting, e.g. store.budget=200GiB.",
        show_default=False,
    ),
]  # fmt: skip


def connect(node: str | None, config: Path | None, data_dir: Path | None) -> AdminClient:
    """The API of the node that is meant."""
    return AdminClient(find_node(node, config, data_dir, os.environ))


def overrides_of(pairs: list[str] | None) -> dict[str, str]:
    """`--set` pairs as a mapping. Raises BadInput."""
    found: dict[str, str] = {}
    for pair in pairs or ():
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise BadInput(
                f"--set {pair!r} is not FIELD=VALUE",
                next_step="write e.g. --set store.budget=200GiB",
            )
        found[name.strip()] = value
    return found


def size_of(text: str | None) -> int | None:
    """A size option as bytes. Raises BadInput."""
    return None if text is None else parse_bytes(text)
