"""`skerry top` draws what the first page shows, and nothing that moves the cursor."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO

from rich.console import Console

from skerry.base.clock import ManualClock
from skerry.cli.status import _mode, _source
from skerry.cli.top import drawn
from skerry.dashboard.overview import Overview, look
from skerry.registry.operations import SourceStatus
from tests.dashboard.scene import NOW, full_facts


async def seen() -> Overview:
    return await look(full_facts(ManualClock(NOW)))


def text_of(overview: Overview, *, width: int = 160) -> str:
    console = Console(file=StringIO(), width=width, force_terminal=True)
    console.print(drawn(overview))
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


async def test_the_tiles_the_ratios_and_what_needs_somebody_are_there() -> None:
    text = text_of(await seen())
    for said in (
        "edge-1",
        "Is the upstream there?",
        "2h00m",
        "1.23 EUR so far",
        "70.0 %",
        "images",
    ):
        assert said in text
    assert "What needs you" in text


async def test_names_of_strangers_move_no_cursor() -> None:
    overview = await seen()
    nasty = replace(overview.needs[0], subject="\x1b[2Jgone", cause="\x07\x1b]0;title\x07")
    text = text_of(replace(overview, needs=(nasty,)))
    assert "\x1b[2J" not in text
    assert "\x07" not in text


async def test_a_node_without_anything_to_tell_is_drawn_too() -> None:
    overview = replace(await seen(), needs=(), ratios=(), fills=())
    assert "What needs you" not in text_of(overview, width=40)


async def test_a_node_that_serves_nothing_is_not_called_connected_nor_serving() -> None:
    found = await seen()
    upstream, service, *others = found.tiles
    broken = replace(service, state="bad")
    assert "serving from here" in _mode(found)
    assert _mode(replace(found, tiles=(upstream, broken, *others))).endswith("served[/], cut off")
    there = replace(upstream, state="good")
    assert "connected" not in _mode(replace(found, tiles=(there, broken, *others)))


def test_a_source_that_only_failed_is_not_said_to_have_been_silent_for_ever() -> None:
    failed = SourceStatus("origin", "closed", trouble="Connection refused", since=NOW - 7)
    assert _source(failed, NOW).endswith("not answered since the start")
    assert _source(SourceStatus("origin", "closed"), NOW).endswith("not asked yet")
