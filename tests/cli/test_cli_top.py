"""`skerry top` draws what the first page shows, and nothing that moves the cursor."""

from __future__ import annotations

import re
from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from skerry.base.clock import ManualClock
from skerry.base.errors import Party
from skerry.cli.admin_client import NodeRefused, NodeUnreachable
from skerry.cli.status import _mode, _source
from skerry.cli.top import Watch, _look, drawn, drawn_small
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


async def test_in_forty_columns_and_a_dozen_rows_one_sees_what_is_wrong_and_what_it_costs() -> None:
    found = await seen()
    upstream, *others = found.tiles
    lost = replace(upstream, state="bad", answer="No", details=("No registry can be reached.",))
    overview = replace(found, tiles=(lost, *others))
    console = Console(file=StringIO(), width=40, force_terminal=True, no_color=True)
    console.print(drawn_small(overview))
    assert isinstance(console.file, StringIO)
    rows = [re.sub(r"\x1b\[[0-9;]*m", "", row) for row in console.file.getvalue().splitlines()]
    assert max(map(len, rows)) <= 40
    first = "\n".join(rows[:12])
    for said in ("upstream  No (act)", "No registry can be reached", "service ", "alone     2h00m",
                 "1.23 EUR so far", "needs you "):  # fmt: skip
        assert said in first, first
    assert any(row.startswith("images    70.0 % of") for row in rows)


@pytest.mark.parametrize(
    ("columns", "rows", "small"), [(40, 24, True), (80, 10, True), (80, 24, False)]
)
async def test_a_small_terminal_gets_the_small_drawing(
    columns: int, rows: int, small: bool
) -> None:
    found = await seen()

    class Node:
        def get(self, path: str, kind: type[Overview]) -> Overview:
            assert path == "/api/v1/overview"
            return found

    console = Console(file=StringIO(), width=columns, height=rows, force_terminal=True)
    console.print(_look(Node(), console))  # type: ignore[arg-type]
    assert isinstance(console.file, StringIO)
    assert ("Is the upstream" not in console.file.getvalue()) == small


async def test_a_node_that_goes_silent_is_told_of_above_how_it_was_until_it_is_back() -> None:
    found = await seen()

    class Node:
        silent = False
        error: Exception = NodeUnreachable("no node answers at the door", next_step="start one")

        def get(self, path: str, kind: type[Overview]) -> Overview:
            if self.silent:
                raise self.error
            return found

    def text() -> str:
        console.print(watch.look())
        assert isinstance(console.file, StringIO)
        said = console.file.getvalue()
        console.file = StringIO()
        return said

    console = Console(file=StringIO(), width=160, height=50, force_terminal=True)
    node = Node()
    watch = Watch(node, console)  # type: ignore[arg-type]
    assert "no node answers" not in text()
    node.silent = True
    for times in ("look 1", "look 2"):
        said = text()
        assert "no node answers at the door" in said
        assert times in said
        assert "Is the upstream there?" in said
    node.silent = False
    assert "no node answers" not in text()
    node.silent, node.error = (
        True,
        NodeRefused("it is ending", next_step="", party=Party.NODE, status=503),
    )
    assert "it is ending" in text()
    node.error = NodeRefused("no", next_step="", party=Party.OPERATOR, status=401)
    with pytest.raises(NodeRefused):
        watch.look()
    node.error = NodeUnreachable("none yet")
    with pytest.raises(NodeUnreachable):
        Watch(node, console).look()  # type: ignore[arg-type]


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
