"""`skerry top`: the node at one glance, again and again.

Owns the drawing. The numbers are those of the first page: one route gives both.
"""

from __future__ import annotations

import time
from typing import Annotated

import typer
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from skerry.cli.admin_client import AdminClient, NodeRefused, NodeUnreachable
from skerry.cli.options import AsJson, Config, DataDir, NodeUrl, connect
from skerry.cli.screen import TILE_NAMES, ago, out, print_json
from skerry.dashboard import words
from skerry.dashboard.overview import Overview, Tile
from skerry.telemetry.ratios import HitRatio

COLUMNS_MIN, ROWS_MIN = 72, 20
"""Below either the large drawing would push out of sight what matters."""
_STYLES = {"good": "green", "warn": "yellow", "bad": "red", "none": "dim"}
_WORDS = {"good": "good", "warn": "look", "bad": "act", "none": ""}


def top(
    node: NodeUrl = None,
    config: Config = None,
    data_dir: DataDir = None,
    every: Annotated[
        float, typer.Option(metavar="SECONDS", min=0.5, help="How often to look.")
    ] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="Look once and end.")] = False,
    as_json: AsJson = False,
) -> None:
    """Watch the node: upstream, service, endurance, costs, hit ratios, what needs you."""
    client = connect(node, config, data_dir)
    if as_json:
        print_json(_seen(client))
        return
    console = out()
    if once or not console.is_terminal:
        console.print(_look(client, console))
        return
    watch = Watch(client, console)
    with Live(watch.look(), console=console, screen=True, auto_refresh=False) as live:
        while True:
            time.sleep(every)
            live.update(watch.look(), refresh=True)


class Watch:
    """Looks at a node again and again, also past its restart."""

    def __init__(self, client: AdminClient, console: Console) -> None:
        self._client = client
        self._console = console
        self._last: RenderableType | None = None
        self._silent = 0

    def look(self) -> RenderableType:
        """One look; while nobody answers, the last one below a line that says so. Raises
        NodeUnreachable when there was none yet, NodeRefused for a wrong token."""
        try:
            self._last, self._silent = _look(self._client, self._console), 0
        except (NodeUnreachable, NodeRefused) as error:
            # A node that is just ending answers 503. One that knows the token no more is another.
            ending = isinstance(error, NodeUnreachable) or error.status >= 500
            if self._last is None or not ending:
                raise
            self._silent += 1
            said = f"{error.what} (look {self._silent}); below is how it was. {error.next_step}"
            return Group(Text(_plain(said), "bold red"), self._last)
        return self._last


def _look(client: AdminClient, console: Console) -> RenderableType:
    """One look, drawn for the terminal as large as it is now."""
    seen = _seen(client)
    small = console.is_terminal and (console.width < COLUMNS_MIN or console.height < ROWS_MIN)
    return drawn_small(seen) if small else drawn(seen)


def _seen(client: AdminClient) -> Overview:
    return client.get("/api/v1/overview", Overview)


def drawn(seen: Overview) -> RenderableType:
    """One look, as a terminal shows it."""
    status = seen.status
    head = Text.assemble(
        (_plain(status.node), "bold"),
        f"  skerry {_plain(status.version)}, up for {words.span(seen.at - status.started_at)},"
        f" {words.amount(status.store.blob_bytes)} of {words.amount(status.store.budget_bytes)},"
        f" {status.images.whole} images whole, {status.images.half} half",
    )
    parts: list[RenderableType] = [head, _tiles(seen.tiles)]
    if seen.needs:
        lines = Text()
        for event in seen.needs:
            lines.append(f"{_plain(event.subject)}: ", style="bold")
            lines.append(f"{_plain(event.cause or event.kind)} ({ago(event.at, seen.at)})\n")
            lines.append(f"  {_plain(event.next_step)}\n", style="dim")
        lines.rstrip()
        parts.append(Panel(lines, title="What needs you", title_align="left"))
    if seen.ratios:
        parts.append(_ratios(seen.ratios))
    for row in seen.fills:
        done = words.share(row.received_bytes, row.size_bytes)
        parts.append(Text(f"{_plain(row.what)}  {words.amount(row.received_bytes)}  {done}"))
    return Group(*parts)


def drawn_small(seen: Overview) -> RenderableType:
    """One look for a telephone or a corner of a screen: what is wrong, what it costs and how long
    it can go on come first, and what is cut off below is what matters least."""
    status = seen.status
    store = f"{words.amount(status.store.blob_bytes)} of {words.amount(status.store.budget_bytes)}"
    parts: list[RenderableType] = [
        _head(Text.assemble((_plain(status.node), "bold"), f"  {store}"))
    ]
    for name, tile in zip(TILE_NAMES, seen.tiles, strict=False):
        parts.append(_head(Text.assemble(f"{name:<9} ", _answer(tile))))
        count = 3 if name == "cost" else int(tile.state != "good")
        parts.extend(_head(Text(f"  {_plain(each)}")) for each in tile.details[:count])
    for event in seen.needs:
        said = f"{_plain(event.subject)}: {_plain(event.cause or event.kind)}"
        parts.append(_head(Text.assemble(("needs you ", "bold yellow"), said)))
    for row in seen.ratios:
        share, size = (
            words.share(row.hits, row.requests),
            words.share(row.hit_bytes, row.body_bytes),
        )
        line = f"{_plain(row.what):<9} {share} of {row.requests}, {size} of bytes"
        parts.append(_head(Text(line)))
    return Group(*parts)


def _head(line: Text) -> Text:
    """One row of the terminal, whatever it says."""
    line.no_wrap, line.overflow = True, "ellipsis"
    return line


def _answer(tile: Tile) -> Text:
    style, word = _STYLES[tile.state], _WORDS[tile.state]
    return Text.assemble(
        (_plain(tile.answer), f"bold {style}"), (f" ({word})" if word else "", style)
    )


def _tiles(tiles: tuple[Tile, ...]) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for tile in tiles:
        details = Text("; ".join(map(_plain, tile.details)))
        table.add_row(Text(tile.question), _answer(tile), details)
    return table


def _ratios(ratios: tuple[HitRatio, ...]) -> Table:
    table = Table(box=None, header_style="dim", padding=(0, 2, 0, 0))
    for name in ("class", "requests", "hits", "of requests", "of bytes", "stale", "joined"):
        table.add_column(name, justify="left" if name == "class" else "right")
    for row in ratios:
        table.add_row(
            Text(_plain(row.what)), str(row.requests), str(row.hits),
            words.share(row.hits, row.requests), words.share(row.hit_bytes, row.body_bytes),
            str(row.stale), str(row.collapsed),
        )  # fmt: skip
    return table


def _plain(text: str) -> str:
    """Others' text without what moves a terminal's cursor."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
