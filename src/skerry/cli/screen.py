"""What the commands print.

Owns the two streams: results on stdout (one JSON document with --json), everything said to a
person besides on stderr; and the exit codes.
"""

from __future__ import annotations

import sys
from enum import IntEnum
from pathlib import Path
from typing import TextIO

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from skerry.app.settings.errors import SettingsError
from skerry.base.errors import BadInput, Party, SkerryError
from skerry.base.units import format_seconds
from skerry.cli.admin_client import NodeRefused, NodeUnreachable

PIPE_COLUMNS = 400
"""Width of tables that go into a file or another program: nothing is cut there."""

TILE_NAMES = ("upstream", "service", "alone", "cost")
"""The first screen's questions in one word each, in its order."""

_JSON = "skerry.json"


class Exit(IntEnum):
    """What a command ends with; documented in docs/reference/cli.md."""

    OK = 0
    FAILED = 1
    BAD_INPUT = 2
    UNREACHABLE = 3


def _console(stream: TextIO) -> Console:
    width = None if stream.isatty() else PIPE_COLUMNS
    return Console(file=stream, width=width, highlight=False, soft_wrap=not stream.isatty())


def out() -> Console:
    """Where results go."""
    return _console(sys.stdout)


def err() -> Console:
    """Where everything else goes."""
    return _console(sys.stderr)


def print_json(value: object) -> None:
    """One JSON document on stdout."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n")


def wants_json(context: typer.Context, value: bool) -> bool:
    """Notes --json where errors are printed."""
    context.meta[_JSON] = value
    return value


def code_of(error: SkerryError) -> Exit:
    """What a failed command ends with."""
    if isinstance(error, NodeUnreachable):
        return Exit.UNREACHABLE
    if isinstance(error, NodeRefused):
        return Exit.BAD_INPUT if error.status in (400, 401, 421) else Exit.FAILED
    if isinstance(error, SettingsError | BadInput) or error.party is Party.OPERATOR:
        return Exit.BAD_INPUT
    return Exit.FAILED


def say_error(error: SkerryError, context: typer.Context) -> None:
    """An error on stderr, and on stdout too for whoever asked for JSON."""
    if context.meta.get(_JSON):
        print_json({"error": error_of(error)})
    lines = error.what.splitlines() or [""]
    console = err()
    for line in lines:
        console.print(f"[bold red]skerry:[/] {plain(line)}")
    if error.next_step:
        console.print(f"        {plain(error.next_step)}")


def error_of(error: SkerryError) -> dict[str, object]:
    """An error as JSON, in the form of the admin API."""
    found: dict[str, object] = {
        "party": error.party.value,
        "what": error.what,
        "next_step": error.next_step,
    }
    if isinstance(error, SettingsError):
        found["problems"] = error.problems
    return found


def plain(text: object) -> str:
    """Text of others, so that brackets and control characters in it do nothing."""
    kept = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in str(text))
    return escape(kept)


def ago(then: float, now: float) -> str:
    """How long ago, for people; `never` for 0."""
    if then <= 0:
        return "never"
    passed = max(1.0, now - then)
    return f"{passed:.0f} s ago" if passed < 120 else f"{format_seconds(passed)} ago"


def absolute(path: Path) -> str:
    """A path as the node must be told it."""
    return str(Path.cwd() / path.expanduser())


def numbers_table(first: str, *others: str) -> Table:
    """A table of what and how much: the first column is words, the others are numbers."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(first)
    for column in others:
        table.add_column(column, justify="right")
    return table
