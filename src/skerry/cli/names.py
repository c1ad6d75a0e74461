"""The commands about names: what is believed of one and why, and holding it where it was."""

from __future__ import annotations

import time
from typing import Annotated
from urllib.parse import quote

import typer
from rich.table import Table

from skerry.app.names.desk import NameBelief, NamesReport
from skerry.cli.options import AsJson, Config, DataDir, NodeUrl, connect
from skerry.cli.screen import Exit, ago, err, out, plain, print_json

Name = Annotated[str, typer.Argument(metavar="NAME", show_default=False)]


def ls(
    node: NodeUrl = None, config: Config = None, data_dir: DataDir = None, as_json: AsJson = False
) -> None:
    """Show who is asked for names, where upstreams were last, and which names are held."""
    found = connect(node, config, data_dir).get("/api/v1/names", NamesReport)
    if as_json:
        print_json(found)
    else:
        _show(found)


def look(
    name: Name,
    kind: Annotated[str, typer.Option("--type", metavar="TYPE", help="A, AAAA, NS ...")] = "A",
    node: NodeUrl = None,
    config: Config = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Show what the node believes of a name, and why."""
    path = f"/api/v1/names/look?name={quote(name)}&type={quote(kind)}"
    found = connect(node, config, data_dir).get(path, NameBelief)
    if as_json:
        print_json(found)
    else:
        _tell(found)
    if found.rcode not in ("NOERROR", "NXDOMAIN"):
        raise typer.Exit(Exit.FAILED)


def hold(
    name: Name,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="For those who look later.")] = "",
    node: NodeUrl = None,
    config: Config = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Believe nothing new of a name and all below it; use its last good addresses."""
    body = {"name": name, "reason": reason} if reason else {"name": name}
    _changed(connect(node, config, data_dir).post("/api/v1/names/hold", body, NamesReport), as_json)


def release(
    name: Name,
    node: NodeUrl = None,
    config: Config = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Believe what is said of a name again."""
    client = connect(node, config, data_dir)
    _changed(client.post("/api/v1/names/release", {"name": name}, NamesReport), as_json)


def make_names() -> typer.Typer:
    """The `names` commands."""
    app = typer.Typer(no_args_is_help=True, help="See what is believed of names, and why.")
    app.command("ls")(ls)
    app.command("look")(look)
    app.command("hold")(hold)
    app.command("release")(release)
    return app


def _changed(found: NamesReport, as_json: bool) -> None:
    if as_json:
        print_json(found)
    else:
        _show(found)


def _show(found: NamesReport) -> None:
    screen = out()
    servers = ", ".join(found.servers) or "nobody yet: no name was needed"
    screen.print(f"asked       {plain(servers)}")
    if found.checked is not None:
        screen.print(f"signatures  {'are checked' if found.checked else 'are not checked'}")
    for held in found.holds:
        err().print(f"[bold yellow]held[/]: {plain(held.name)}: {plain(held.reason)}")
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("HOST", "WAS AT", "PROVEN", "SEEN"):
        table.add_column(column)
    for pin in sorted(found.pins, key=lambda each: each.name):
        proven = "yes" if pin.secure else "no"
        seen = ago(pin.at, time.time())
        table.add_row(plain(pin.name), plain(", ".join(pin.addresses)), proven, seen)
    if table.row_count:
        screen.print(table)


def _tell(found: NameBelief) -> None:
    screen = out()
    verdict = f"{found.verdict or 'no answer'}{', from before' if found.stale else ''}"
    colour = {"secure": "green", "bogus": "red"}.get(found.verdict, "yellow")
    screen.print(f"{plain(found.name)} {found.type}  [{colour}]{verdict}[/]  {found.rcode}")
    for record in found.records:
        screen.print(f"  {plain(record)}")
    if found.why:
        screen.print(f"why         {plain(found.why)}")
    if found.inside:
        screen.print(f"leads to    {found.inside}, an inside address: not given to the site")
    if found.held:
        screen.print(f"held        {plain(found.held)}")
    if found.pinned:
        screen.print(f"last good   {plain(', '.join(found.pinned))}")
