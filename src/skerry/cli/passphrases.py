"""Passphrases of private keys, for the commands that sign."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from skerry.base.errors import BadInput

PASSPHRASE_BYTES_MAX = 4096

Passphrase = Annotated[
    Path | None,
    typer.Option("--passphrase-file", metavar="FILE", help="The first line unlocks the key."),
]


def passphrase(path: Path | None) -> bytes:
    """The first line of a file; b"" without one. Raises BadInput."""
    if path is None:
        return b""
    try:
        with path.open("rb") as file:
            line = file.read(PASSPHRASE_BYTES_MAX).splitlines()
    except OSError as error:
        raise BadInput(f"{path} cannot be read", next_step="name a file") from error
    if not line or not line[0]:
        raise BadInput(f"{path} is empty", next_step="put the passphrase on its first line")
    return line[0]
