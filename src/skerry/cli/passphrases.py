"""Passphrases of private keys, for the commands that sign."""

from __future__ import annotations

import getpass
import sys
from pathlib import Path
from typing import Annotated

import typer

from skerry.base.errors import BadInput

PASSPHRASE_BYTES_MAX = 4096

Passphrase = Annotated[
    Path | None,
    typer.Option("--passphrase-file", metavar="FILE", help="The first line unlocks the key."),
]


def new_passphrase(path: Path | None, *, unencrypted: bool) -> bytes:
    """What a new key is encrypted with; b"" for one that is not to be. Raises BadInput.

    Without a file it is asked for, twice and without echo, or is the first line of what is piped
    in: a key is never left open because nobody was there to ask.
    """
    if unencrypted:
        if path is not None:
            raise BadInput(
                "--unencrypted and --passphrase-file contradict each other", next_step="choose one"
            )
        return b""
    if path is not None:
        return passphrase(path)
    given = _asked() if sys.stdin is not None and sys.stdin.isatty() else _piped()
    if not given:
        raise BadInput(
            "no passphrase came, and a key without one is made on demand only",
            next_step="name --passphrase-file, pipe the passphrase in, or say --unencrypted",
        )
    return given


def _asked() -> bytes:
    first = getpass.getpass("Passphrase of the new key: ")
    if first and getpass.getpass("Again: ") != first:
        raise BadInput("the two passphrases differ", next_step="try again")
    return first.encode()


def _piped() -> bytes:
    try:
        line = sys.stdin.buffer.readline(PASSPHRASE_BYTES_MAX) if sys.stdin is not None else b""
    except (OSError, ValueError):  # closed
        return b""
    return line.rstrip(b"\r\n")


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
