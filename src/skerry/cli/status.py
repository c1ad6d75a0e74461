"""`skerry status`: how the node is, once.

Owns the words. The answers and numbers are those of the first page and of `skerry top`: one route
gives them all.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from skerry.base.units import format_bytes, format_seconds
from skerry.cli.options import AsJson, Config, DataDir, NodeUrl, connect
from skerry.cli.screen import TILE_NAMES, ago, err, out, plain, print_json
from skerry.dashboard import words
from skerry.dashboard.overview import HELD, Overview, Tile
from skerry.registry.operations import SourceStatus, Status
from skerry.telemetry.ratios import HitRatio
from skerry.upstream.misses import Spending

_STYLES = {"good": "green", "warn": "yellow", "bad": "red", "none": "default"}


def status(
    node: NodeUrl = None, config: Config = None, data_dir: DataDir = None, as_json: AsJson = False
) -> None:
    """Show how the node is: upstreams, service, endurance, costs, hit ratios, what needs you."""
    seen = connect(node, config, data_dir).get("/api/v1/overview", Overview)
    if as_json:
        told = msgspec.to_builtins(seen)
        print_json({**told["status"], **{name: told[name] for name in ("at", "tiles", "needs")}})
        return
    found, now = seen.status, seen.at
    say = out().print
    say(f"[bold]{plain(found.node)}[/] skerry {plain(found.version)}: {_mode(seen)}")
    for name, tile in zip(TILE_NAMES, seen.tiles, strict=False):
        say(f"  {name:<9} {_answer(tile)}")
    for ratio in seen.ratios:
        say(f"  {'answered':<9} {_ratio(ratio)}")
    _rooms(found, now)
    for event in seen.needs:
        say(f"  [yellow]needs you[/] {plain(event.subject)}: {plain(event.cause or event.kind)}"
            f" ({ago(event.at, now)}); {plain(event.next_step)}")  # fmt: skip
    for warning in found.warnings:
        err().print(f"[yellow]note:[/] {plain(warning)}")


def _mode(seen: Overview) -> str:
    """The answers to the first two questions, in the words of this command."""
    tile, service = seen.tiles[:2]
    if service.state == "bad":
        return "[bold red]nothing is served[/]" + (", cut off" if tile.state == "bad" else "")
    if tile.state == "bad":
        return "[bold yellow]cut off[/], serving from here"
    if tile.state == "warn":
        return "[bold yellow]cut off in part[/], serving from here"
    if tile.answer == HELD:
        return "[bold yellow]the budget holds upstream work back[/], serving from here"
    return "[green]connected[/]" if tile.state == "good" else "no upstream asked yet"


def _answer(tile: Tile) -> str:
    details = f": {plain('; '.join(tile.details))}" if tile.details else ""
    return f"[{_STYLES[tile.state]}]{plain(tile.answer)}[/]{details}"


def _ratio(row: HitRatio) -> str:
    """One class in numbers, as the table of the first page has them."""
    size = words.share(row.hit_bytes, row.body_bytes)
    return (
        f"{plain(row.what)}: {words.share(row.hits, row.requests)} of {row.requests} requests,"
        f" {size} of bytes, {row.stale} stale, {row.collapsed} joined"
    )


def _rooms(found: Status, now: float) -> None:
    """What the first page has in its first line, and each source."""
    store, say = found.store, out().print
    say(f"  {'up since':<9} {ago(found.started_at, now)}")
    say(f"  {'images':<9} {found.images.whole} whole, {found.images.half} half, "
        f"{found.images.pinned} pinned, {found.fills} fills in flight")  # fmt: skip
    trouble = "" if store.writable else ", [red]read-only or full[/]"
    say(f"  {'disk':<9} {format_bytes(store.blob_bytes)} of {format_bytes(store.budget_bytes)} "
        f"in {store.blob_count} blobs{trouble}")  # fmt: skip
    if found.processes > 1:
        note = ", [red]see the events[/]" if found.serving < found.processes else ""
        say(f"  processes {found.serving} of {found.processes} serve the public doors{note}")
    if store.quarantine_count:
        say(f"  quarantine {store.quarantine_count} blobs, {format_bytes(store.quarantine_bytes)}")
    for upstream in (*found.upstreams, *found.sites):
        for source in upstream.sources:
            say(f"  {plain(upstream.name)} via {plain(source.name)}: {_source(source, now)}")
    for line in spending_lines(found.spending):
        say(f"  {plain(line)}")


SPENDERS_MAX = 5


def spending_lines(spending: Sequence[Spending]) -> list[str]:
    """Who has cost upstreams most since start: where they are, never who they are."""
    counted = [each for each in spending if each.asked_count or each.refused_count]
    counted.sort(key=lambda each: each.asked_count + each.refused_count, reverse=True)
    return [
        f"spent on {each.upstream} by {each.source} clients: {each.asked_count} misses, "
        f"{each.absent_count} of them for nothing, {each.refused_count} refused, "
        f"{format_bytes(each.fetched_bytes)}"
        for each in counted[:SPENDERS_MAX]
    ]


def _source(source: SourceStatus, now: float) -> str:
    """How a source is, when it last answered, and what it failed with since."""
    parts = [f"breaker {plain(source.breaker)}"]
    if source.trouble:
        parts[0] += f" after {plain(source.trouble)} ({ago(source.since, now)})"
    silent = "not answered since the start" if source.trouble else "not asked yet"
    parts.append(f"answered {ago(source.heard_at, now)}" if source.heard_at else silent)
    if source.blocked_seconds and source.breaker == "closed":
        parts.append(f"rate limited for {format_seconds(source.blocked_seconds)}")
    if source.remaining is not None:
        parts.append(f"{source.remaining} requests left of its limit")
    if source.requests_left is not None:
        parts.append(f"{source.requests_left} left of ours this minute")
    return ", ".join(parts)
