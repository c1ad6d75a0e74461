"""The commands about what workflows bring in: orders and revenue beside their cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from skerry.app.budget.outcomes import OutcomeList, OutcomeTaken
from skerry.budget.core.money import format_money, parse_money
from skerry.budget.core.outcomes import UnitFigures
from skerry.cli.budget import Month
from skerry.cli.options import AsJson, Config, DataDir, NodeUrl, connect
from skerry.cli.screen import numbers_table, out, plain, print_json

PATH = "/api/v1/outcomes"


def add(
    workflow: Annotated[str, typer.Argument(metavar="WORKFLOW", show_default=False)],
    key: Annotated[str, typer.Option("--key", metavar="KEY", help="Your name of this report.")],
    orders: Annotated[int, typer.Option("--orders", metavar="N", help="How many.")] = 0,
    revenue: Annotated[
        str, typer.Option("--revenue", metavar="AMOUNT", help="What for, as in 12.50.")
    ] = "0",
    currency: Annotated[str, typer.Option("--currency", metavar="CODE")] = "",
    node: NodeUrl = None,
    config: Config = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Report what a workflow brought in; the same key again counts once."""
    client = connect(node, config, data_dir)
    body = {
        "key": key,
        "workflow": workflow,
        "orders": orders,
        "revenue_micro": -parse_money(revenue[1:])
        if revenue.startswith("-")
        else parse_money(revenue),
        "currency": currency or client.get(PATH, OutcomeList).currency or "EUR",
    }
    taken = client.post(PATH, body, OutcomeTaken)
    if as_json:
        print_json(taken)
    else:
        out().print("counted" if taken.counted else "it was there already: nothing is added")


def show(
    month: Month = "",
    node: NodeUrl = None,
    config: Config = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Show what each workflow cost and brought in, by the request and by the order."""
    path = f"{PATH}?month={month}" if month else PATH
    found = connect(node, config, data_dir).get(path, OutcomeList)
    if as_json:
        print_json(found)
        return
    if not found.units:
        out().print("no workflow is described: [[budget.workflow]] in the settings", markup=False)
    show_units(found.units, found.currency)


def unit_lines(found: UnitFigures, currency: str) -> list[tuple[str, str]]:
    """One workflow in words."""
    return [
        ("orders", str(found.orders)),
        ("cost of an order", _money(found.cost_per_order_micro, currency)),
        ("revenue of an order", _money(found.revenue_per_order_micro, currency)),
    ]


def show_units(units: Sequence[UnitFigures], currency: str) -> None:
    """A line for each workflow; nothing where none is described."""
    if not units:
        return
    table = numbers_table(
        "WORKFLOW", "COST", "OF 1000 REQUESTS", "ORDERS", "REVENUE", "COST/ORDER", "REVENUE/ORDER"
    )
    for each in units:
        table.add_row(
            plain(each.workflow),
            format_money(each.cost_micro, currency, places=4),
            _money(each.per_thousand_requests_micro, currency),
            str(each.orders),
            format_money(each.revenue_micro, currency),
            _money(each.cost_per_order_micro, currency),
            _money(each.revenue_per_order_micro, currency),
        )
    out().print(table)


def make_outcomes() -> typer.Typer:
    """The `outcomes` commands."""
    app = typer.Typer(no_args_is_help=True, help="Report and show what workflows bring in.")
    app.command("add")(add)
    app.command("list")(show)
    return app


def _money(micro: int | None, currency: str) -> str:
    return "-" if micro is None else format_money(micro, currency, places=6)
