"""The command that tries a price sheet and a budget on recorded usage: no node, no network."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated

import typer

from skerry.app.budget.trial import Asked, try_files
from skerry.base.errors import BadInput
from skerry.budget.core.ladder import MILLION, Rung, name_of
from skerry.budget.core.money import format_money, parse_money
from skerry.budget.core.periods import iso
from skerry.budget.core.trial import Bill, Course, Stay
from skerry.budget.core.verdict import Terms, Trial
from skerry.cli.options import AsJson, Config, Overrides, overrides_of
from skerry.cli.screen import Exit, err, numbers_table, out, plain, print_json

PLACES = 4


def try_budget(
    usage: Annotated[Path, typer.Argument(metavar="USAGE", show_default=False)],
    prices: Annotated[
        Path | None,
        typer.Option("--prices", metavar="FILE", help="The sheet to try.", show_default=False),
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option("--against", metavar="FILE", help="A sheet to compare.", show_default=False),
    ] = None,
    as_of: Annotated[
        str,
        typer.Option("--as-of", metavar="DATE", help="As if the prices of that day held always."),
    ] = "",
    at_most: Annotated[
        str, typer.Option("--at-most", metavar="RUNG", help="The highest rung that is allowed.")
    ] = "",
    cost_max: Annotated[
        str, typer.Option("--cost-max", metavar="AMOUNT", help="What all of it may cost.")
    ] = "",
    currency: Annotated[
        str,
        typer.Option("--currency", metavar="CODE", help="Of the amounts, if not that of the node."),
    ] = "",
    config: Config = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Try a price sheet and a budget on recorded usage. Fails when more happens than is allowed."""
    found = try_files(
        Asked(usage, prices, against, _moment(as_of)),
        Terms(_rung(at_most), parse_money(cost_max) if cost_max else None, currency),
        config=config,
        env=os.environ,
        overrides=overrides_of(overrides),
    )
    if as_json:
        print_json(found)
    else:
        _show(found)
    if found.broken:
        raise typer.Exit(Exit.FAILED)


def make_budget() -> typer.Typer:
    """The `budget` commands."""
    app = typer.Typer(no_args_is_help=True, help="Try prices and budgets before they hold.")
    app.callback()(_budget)  # or one command alone would be the group itself
    app.command("try")(try_budget)
    return app


def _budget() -> None:
    """Try prices and budgets before they hold."""


def _moment(text: str) -> int | None:
    if not text:
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError as error:
        step = "write it as 2027-01-01"
        raise BadInput(f"--as-of {text[:40]!r} is no day", next_step=step) from error
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())


def _rung(text: str) -> Rung | None:
    if not text:
        return None
    for rung in Rung:
        if name_of(rung) == text:
            return rung
    known = ", ".join(name_of(rung) for rung in Rung)
    raise BadInput(f"--at-most {text[:40]!r} is no rung", next_step=f"one of {known}")


def _show(found: Trial) -> None:
    paid, other = found.bill, found.against
    out().print(f"[bold]{plain(found.node)}[/]  {iso(found.start)} to {iso(found.end)}")
    out().print(f"would have cost [bold]{plain(_money(paid, paid.spent_micro))}[/]")
    if other is not None:
        more = format_money(found.more_micro, paid.currency, places=PLACES)
        was = _money(other, other.spent_micro)
        out().print(f"by the other sheet {plain(was)}: a difference of {plain(more)}")
    _parts("TENANT", paid, paid.tenants, other.tenants if other else None)
    _parts("PRICE", paid, paid.prices, other.prices if other else None)
    _courses(found.courses, paid.currency)
    _stays(found.stays)
    if found.forecast is not None:
        ahead = found.forecast
        low, middle, high = (
            plain(format_money(each, paid.currency))
            for each in (ahead.low_micro, ahead.middle_micro, ahead.high_micro)
        )
        out().print(f"at its end {middle}, between {low} and {high} ({ahead.days} days sampled)")
    for note in found.notes:
        out().print(f"note: {plain(note)}")
    for each in found.broken:
        err().print(f"[bold red]not allowed:[/] {plain(each)}")


def _parts(
    title: str, paid: Bill, parts: Mapping[str, int], others: Mapping[str, int] | None
) -> None:
    columns = ("COST",) if others is None else ("COST", "OTHER SHEET", "DIFFERENCE")
    table = numbers_table(title, *columns)
    then = others or {}
    for name in dict.fromkeys((*parts, *then)):
        now, was = parts.get(name, 0), then.get(name, 0)
        row = (now,) if others is None else (now, was, now - was)
        table.add_row(plain(name), *(plain(_money(paid, each)) for each in row))
    out().print(table)


def _courses(courses: Sequence[Course], currency: str) -> None:
    if not courses:
        return
    table = numbers_table(
        "BUDGET OF", "PERIOD", "AMOUNT", "SPENT", "SHARE", "BURN", "HIGHEST RUNG", "PAUSED"
    )
    for each in courses:
        table.add_row(
            plain(each.scope),
            each.period,
            format_money(each.amount_micro),
            plain(format_money(each.spent_micro, currency)),
            f"{each.share * 100 // MILLION} %",
            f"{each.burn / MILLION:.1f}",
            each.rung,
            f"{each.paused_hours} h",
        )
    out().print(table)


def _stays(stays: Sequence[Stay]) -> None:
    if not stays:
        return
    table = numbers_table("RUNG", "OF", "ENTERED IN THE HOUR FROM", "LEFT")
    for each in stays:
        left = iso(each.left_at) if each.left_at else "not by the end"
        table.add_row(each.rung, plain(each.scope), iso(each.entered_at), left)
    out().print(table)


def _money(paid: Bill, micro: int) -> str:
    return format_money(micro, paid.currency, places=PLACES)
