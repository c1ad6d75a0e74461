"""The command that says how long a node can go on alone."""

from __future__ import annotations

import time

from rich.table import Table

from skerry.app.telemetry.horizon_desk import HorizonList
from skerry.base.units import format_seconds
from skerry.cli.options import AsJson, Config, DataDir, NodeUrl, connect
from skerry.cli.screen import out, plain, print_json


def horizon(
    node: NodeUrl = None, config: Config = None, data_dir: DataDir = None, as_json: AsJson = False
) -> None:
    """List what will end without the outside, the first to end first."""
    found = connect(node, config, data_dir).get("/api/v1/horizon", HorizonList)
    if as_json:
        print_json(found)
        return
    if not found.expiries:
        out().print("nothing here ends: this node can go on alone for ever")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("ENDS", "IN", "WHAT", "NAME", "DO"):
        table.add_column(column)
    for each in found.expiries:
        table.add_row(
            when(each.at),
            left(each.seconds),
            plain(each.kind.replace("_", " ")),
            plain(each.what),
            plain(each.next_step),
        )
    out().print(table)


def left(seconds: float) -> str:
    """How long from now, for people."""
    return format_seconds(seconds) if seconds > 0 else f"ended {format_seconds(-seconds)} ago"


def when(at: float) -> str:
    """A moment to the minute, as everywhere in UTC."""
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(at))
