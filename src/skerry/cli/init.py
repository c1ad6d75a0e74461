"""The command that makes a settings file for this machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from skerry.app.init import look, text_of, write
from skerry.app.settings.load import SYSTEM_FILE, load
from skerry.cli.screen import out, plain


def init(
    file: Annotated[
        Path, typer.Option("--file", metavar="FILE", help="Where it goes.")
    ] = SYSTEM_FILE,
    force: Annotated[bool, typer.Option("--force", help="Over a file that is there.")] = False,
) -> None:
    """Write a settings file with what is found on this machine; asks nothing."""
    found = look(os.environ)
    write(file, text_of(found), force=force)
    load(file, {}, {})  # what we write, a node takes
    out().print(f"{plain(file)} is written; read it, it is short")
    for client in found.clients:
        out().print(f"{client} is here: skerry clients {client}")
    out().print(f"then: skerry up --config {plain(file)}; after a day: skerry baseline images")
