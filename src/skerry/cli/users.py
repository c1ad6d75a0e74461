"""The commands about people: who is in the users file. They talk to no node."""

from __future__ import annotations

import getpass
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from skerry.base.errors import BadInput
from skerry.cli.options import Config
from skerry.cli.screen import out, plain

Name = Annotated[str, typer.Argument(metavar="NAME", show_default=False)]
UsersFile = Annotated[
    Path | None,
    typer.Option("--file", metavar="FILE", help="The users file.", show_default=False),
]


def add(name: Name, file: UsersFile = None, config: Config = None) -> None:
    """Add somebody, or give them another password: asked for, or the first line of stdin."""
    from skerry.app.clients.people_file import added

    path = _file(file, config)
    known = added(path, name, _password(name))
    out().print(f"{path}: {plain(name)} {'has another password' if known else 'is added'}")
    out().print("have the node take it: skerry reload")


def remove(name: Name, file: UsersFile = None, config: Config = None) -> None:
    """Remove somebody."""
    from skerry.app.clients.people_file import removed

    path = _file(file, config)
    removed(path, name)
    out().print(f"{path}: {plain(name)} is removed")
    out().print("end what they hold: skerry reload")


def list_(file: UsersFile = None, config: Config = None) -> None:
    """List who is in the file."""
    from skerry.app.clients.people_file import names

    for name in names(_file(file, config)):
        out().print(plain(name))


def make_users() -> typer.Typer:
    """The `users` commands."""
    app = typer.Typer(no_args_is_help=True, help="Say who may log in with a password.")
    app.command("add")(add)
    app.command("remove")(remove)
    app.command("list")(list_)
    return app


def _file(file: Path | None, config: Path | None) -> Path:
    if file is not None:
        return file
    from skerry.app.clients.people_file import configured

    return configured(config, os.environ)


def _password(name: str) -> str:
    if sys.stdin is not None and sys.stdin.isatty():
        first = getpass.getpass(f"Password of {name}: ")
        if getpass.getpass("Again: ") != first:
            raise BadInput("the two passwords differ", next_step="try again")
        return first
    try:
        return (sys.stdin.readline(4097) if sys.stdin is not None else "").rstrip("\r\n")
    except (OSError, ValueError):  # closed
        return ""
