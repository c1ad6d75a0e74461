"""`skerry clients`: print, install or remove a client's mirror configuration."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from skerry.app.clients.configuration import Client, ClientConfig, configure, endpoint
from skerry.app.clients.install import Change, install, uninstall
from skerry.app.settings.load import load
from skerry.base.errors import BadInput
from skerry.cli.options import AsJson, Config, Overrides, overrides_of
from skerry.cli.screen import err, out, plain, print_json

HELP = {
    Client.CONTAINERD: "Mirror every upstream in containerd (and ctr, nerdctl, Kubernetes).",
    Client.PODMAN: "Mirror every upstream in podman, buildah, skopeo and CRI-O.",
    Client.DOCKER: "Mirror Docker Hub in Docker.",
}


def make_clients() -> typer.Typer:
    """The subcommands, one for each client."""
    app = typer.Typer(no_args_is_help=True, help="Make clients pull through this node.")
    for client, text in HELP.items():
        app.command(client.value, help=text)(_command(client))
    return app


def _command(client: Client) -> Callable[..., None]:
    def command(
        write: Annotated[bool, typer.Option("--write", help="Install it, with a backup.")] = False,
        remove: Annotated[bool, typer.Option("--remove", help="Take it out again.")] = False,
        address: Annotated[
            str | None,
            typer.Option(metavar="[URL]", help="Where clients reach the node, e.g. node1:5000."),
        ] = None,
        root: Annotated[
            Path, typer.Option(metavar="DIR", help="Write below this instead of /.")
        ] = Path("/"),
        config: Config = None,
        overrides: Overrides = None,
        as_json: AsJson = False,
    ) -> None:
        if write and remove:
            raise BadInput("--write and --remove exclude each other", next_step="use one")
        settings = load(config, os.environ, overrides_of(overrides))
        wanted = configure(client, settings, endpoint(settings, address))
        changes: list[Change] = []
        if write or remove:
            act = install if write else uninstall
            changes = act(wanted.files, root, now=time.time())
        if as_json:
            print_json({"client": client, "files": wanted.files, "changes": changes,
                        "restart": wanted.restart, "notes": wanted.notes})  # fmt: skip
        elif write or remove:
            _tell(wanted, changes)
        else:
            _print(wanted)

    return command


def _print(wanted: ClientConfig) -> None:
    for file in wanted.files:
        out().print(f"[bold]# /{plain(file.path)}[/]")
        out().print(plain_text(file.text), soft_wrap=True)
    _advise(wanted)
    err().print(f"install it with: skerry clients {wanted.client.value} --write")


def _tell(wanted: ClientConfig, changes: list[Change]) -> None:
    for change in changes:
        backup = f" (before: {plain(change.backup)})" if change.backup else ""
        out().print(f"{change.action:9} {plain(change.path)}{backup}", soft_wrap=True)
    if any(change.action != "unchanged" for change in changes):
        _advise(wanted)


def _advise(wanted: ClientConfig) -> None:
    for note in wanted.notes:
        err().print(f"note: {plain(note)}")
    if wanted.restart:
        err().print(f"then: {plain(wanted.restart)}")


def plain_text(text: str) -> str:
    """Lines of configuration, without markup in them."""
    return "\n".join(plain(line) for line in text.split("\n"))
