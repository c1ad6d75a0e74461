"""The commands about the vault: how it stands, whether it is whole, and having it back."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from skerry.app.settings.load import load
from skerry.app.vault.desk import VaultStatus
from skerry.app.vault.files import key_path, read_vault_key
from skerry.base.errors import BadInput
from skerry.base.units import format_bytes
from skerry.cli.options import AsJson, Config, DataDir, NodeUrl, connect, size_of
from skerry.cli.screen import Exit, ago, err, out, plain, print_json

Percent = Annotated[
    float, typer.Option(metavar="N", min=0.001, max=100, help="Of the copies, drawn by chance.")
]
BytesMax = Annotated[
    str | None, typer.Option(metavar="SIZE", help="Read no more bodies than this, e.g. 5GiB.")
]
PlanOnly = Annotated[bool, typer.Option("--plan", help="Say what would be read, and read nothing.")]


class ToldRow(msgspec.Struct, frozen=True):
    """A line of `verify`, `repair` and `restore`."""

    step: str
    subject: str = ""
    what: str = ""
    done_count: int = 0
    total_count: int = 0
    read_bytes: int = 0
    total_bytes: int = 0
    request_count: int = 0
    read_micros: int = 0
    damaged_count: int = 0
    healed_count: int = 0
    lost_count: int = 0


def status(
    node: NodeUrl = None, config: Config = None, data_dir: DataDir = None, as_json: AsJson = False
) -> None:
    """What is in the vault, what waits, and what is wrong."""
    found = connect(node, config, data_dir).get("/api/v1/vault", VaultStatus)
    if as_json:
        print_json(found)
        return
    screen = out()
    screen.print(f"vault {plain(found.url)}")
    if found.trouble:
        screen.print(f"  [bold yellow]not sent to now[/]: {plain(found.trouble)}")
    screen.print(
        f"  {found.there_count} copies there: {found.content_count} bodies, "
        f"{format_bytes(found.plain_bytes)}"
    )
    waits = f"  {found.waiting_count} wait to be sent, {found.leaving_count} to be deleted"
    if found.oldest_due_at:
        waits += f"; the oldest was due {ago(found.oldest_due_at, time.time())}"
    screen.print(waits)
    screen.print(
        f"  since start: {found.sent_count} sent ({format_bytes(found.sent_bytes)}), "
        f"{found.removed_count} deleted, {found.given_count} taken back, "
        f"{found.failed_count} failures, {found.dropped_count} put off"
    )
    screen.print(f"  key {plain(found.key_file)}: without it nothing there can be opened")


def verify(
    percent: Percent = 100.0,
    bytes_max: BytesMax = None,
    plan: PlanOnly = False,
    node: NodeUrl = None,
    config: Config = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Read copies back and compare both tiers; changes nothing in the vault."""
    body = {"percent": percent, "bytes_max": size_of(bytes_max), "plan": plan}
    _care("verify", body, node=node, config=config, data_dir=data_dir, as_json=as_json)


def repair(
    percent: Percent = 100.0,
    bytes_max: BytesMax = None,
    plan: PlanOnly = False,
    node: NodeUrl = None,
    config: Config = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Compare both tiers, and heal each from the other."""
    body = {"percent": percent, "bytes_max": size_of(bytes_max), "plan": plan}
    _care("repair", body, node=node, config=config, data_dir=data_dir, as_json=as_json)


def restore(
    bodies: Annotated[
        bool, typer.Option("--bodies", help="Bring the bodies to the disk too, not when asked for.")
    ] = False,
    bytes_max: BytesMax = None,
    plan: PlanOnly = False,
    node: NodeUrl = None,
    config: Config = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Rebuild the node's record of its copies from the vault."""
    body = {"bodies": bodies, "bytes_max": size_of(bytes_max), "plan": plan}
    _care("restore", body, node=node, config=config, data_dir=data_dir, as_json=as_json)


def key(config: Config = None, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Print the vault's key, to be kept where neither the node nor the vault is; needs no node."""
    overrides = {"node.data_dir": str(data_dir)} if data_dir else {}
    settings = load(config, os.environ, overrides)
    path = key_path(settings.vault.key_file, settings.node.data_path)
    try:
        secret = read_vault_key(path).hex()
    except OSError as error:
        reason = (error.strerror or "unknown").lower()
        step = "the node makes it at its first start with [vault]"
        raise BadInput(f"{path} cannot be read: {reason}", next_step=step) from error
    line = f"skerry-vault-key/1 {secret}"
    if as_json:
        print_json({"path": str(path), "key": line})
        return
    err().print("[yellow]note:[/] whoever has this line and the vault can read all of it")
    typer.echo(line)


def make_vault() -> typer.Typer:
    """The `vault` commands."""
    app = typer.Typer(no_args_is_help=True, help="See, verify, repair and restore the vault.")
    for name, command in (
        ("status", status), ("verify", verify), ("repair", repair), ("restore", restore),
        ("key", key),
    ):  # fmt: skip
        app.command(name)(command)
    return app


def _care(
    name: str,
    body: Mapping[str, object],
    *,
    node: str | None,
    config: Path | None,
    data_dir: Path | None,
    as_json: bool,
) -> None:
    """Runs one of them, line by line; exit code 1 when something is damaged or lost."""
    last = ToldRow("")
    found: list[ToldRow] = []
    console = err()
    with Progress(
        TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(),
        console=console, transient=True, disable=not console.is_terminal,
    ) as progress:  # fmt: skip
        bar = progress.add_task(name, total=None)
        lines = connect(node, config, data_dir).stream(f"/api/v1/vault/{name}", body, ToldRow)
        for last in lines:
            progress.update(bar, total=last.total_bytes or None, completed=last.read_bytes)
            if last.step == "plan":
                err().print(_plan(name, last))
            elif last.step not in ("progress", "done"):
                found.append(last)
                if not as_json:
                    said = f"{plain(last.subject)}: {last.step.replace('_', ' ')}"
                    err().print(f"{said} {plain(last.what)}".rstrip())
    if as_json:
        print_json({"result": last, "findings": found, "ended": last.step in ("done", "plan")})
    elif last.step != "plan":
        out().print(_ended(name, last))
    left = last.damaged_count if name == "verify" else last.lost_count
    if left or last.step not in ("done", "plan"):
        raise typer.Exit(Exit.FAILED)


def _plan(name: str, told: ToldRow) -> str:
    what = "records" if name == "restore" else "bodies"
    cost = f", {told.read_micros / 1e6:.2f} in money" if told.read_micros else ""
    return (
        f"reads {told.total_count} {what}, {format_bytes(told.total_bytes)}, "
        f"in about {told.request_count} requests{cost}"
    )


def _ended(name: str, told: ToldRow) -> str:
    if name == "restore":
        return (
            f"{told.done_count} records read: {told.healed_count} taken back, "
            f"{told.lost_count} lost"
        )
    return (
        f"{told.done_count} bodies, {format_bytes(told.read_bytes)}: {told.damaged_count} damaged, "
        f"{told.healed_count} healed, {told.lost_count} lost"
    )
