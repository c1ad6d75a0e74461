"""The commands about money: what it costs, and the ledger behind it."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from rich.table import Table

from skerry.base.errors import BadInput, SkerryError
from skerry.base.units import format_bytes
from skerry.budget.core.money import format_money
from skerry.budget.core.summary import CostLine, Costs
from skerry.budget.desk import BudgetState
from skerry.budget.ports import Proof
from skerry.cli.causes import show_sources, show_warmth
from skerry.cli.options import AsJson, Config, DataDir, NodeUrl, connect
from skerry.cli.screen import out, plain, print_json

Month = Annotated[
    str,
    typer.Option(
        "--month", metavar="YYYY-MM", help="Another month than this one; last for the one before."
    ),
]

FORMATS = {"focus": "/api/v1/ledger/focus", "usage": "/api/v1/ledger"}


def costs(
    month: Month = "",
    node: NodeUrl = None,
    config: Config = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Show what this month has cost so far, and for whom."""
    path = f"/api/v1/costs?month={month}" if month else "/api/v1/costs"
    client = connect(node, config, data_dir)
    found = client.get(path, Costs)
    if as_json:
        print_json(found)
        return
    if not month and found.currency:
        state = client.get("/api/v1/budget", BudgetState)
        _stand(state)
    _show(found)
    show_warmth(found.warmth, found.currency)
    if not month and found.currency:
        show_sources(state.sources, found.currency)


def export(
    form: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="NAME",
            help="focus: FOCUS 1.0 as CSV; usage: what `skerry budget try` reads.",
        ),
    ] = "focus",
    month: Month = "",
    node: NodeUrl = None,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Write a month to stdout: its charges for cost tools, or its usage to try prices on."""
    path = FORMATS.get(form)
    if path is None:
        raise BadInput(f"{form[:40]!r} is no format", next_step=f"write {' or '.join(FORMATS)}")
    path = f"{path}?month={month}" if month else path
    sys.stdout.write(connect(node, config, data_dir).text(path))


def verify(
    node: NodeUrl = None, config: Config = None, data_dir: DataDir = None, as_json: AsJson = False
) -> None:
    """Read the whole ledger again and compare every closed bucket with its mark."""
    proof = connect(node, config, data_dir).get("/api/v1/ledger/verify", Proof)
    if as_json:
        print_json(proof)
    elif not proof.broken_at:
        out().print(f"{proof.closings} buckets of {proof.rows} rows are as they were closed")
        out().print(f"mark {proof.chain or 'none yet'}")
    if proof.broken_at:
        what = f"closing {proof.broken_at} of the ledger is not as it was: {proof.why}"
        raise SkerryError(what, next_step="keep the file, and find out who wrote to it")


def make_ledger() -> typer.Typer:
    """The `ledger` commands."""
    app = typer.Typer(no_args_is_help=True, help="Look at what was counted.")
    app.command("export")(export)
    app.command("verify")(verify)
    return app


def _stand(state: BudgetState) -> None:
    """Where the budget stands, and where it ends."""
    if state.amount_micro >= 0:
        spent = plain(format_money(state.spent_micro, state.currency))
        amount = format_money(state.amount_micro, state.currency)
        tenths = state.burn // 100_000
        out().print(
            f"{state.period}  {spent} of {plain(amount)}, burn {tenths // 10}.{tenths % 10}"
        )
    ahead = state.forecast
    low, middle, high = (
        plain(format_money(each, state.currency))
        for each in (ahead.low_micro, ahead.middle_micro, ahead.high_micro)
    )
    out().print(f"at its end {middle}, between {low} and {high} ({ahead.days} days sampled)")
    for each in state.ladders:
        sight = " (what is spent cannot be read: see `skerry events`)" if each.blind else ""
        out().print(f"{plain(each.scope)}: rung {each.name}: {each.means}{sight}")
        if each.warming_paused:
            out().print(f"{plain(each.scope)}: warming is paused: the budget burns above 1")


def _show(found: Costs) -> None:
    money = format_money(found.spent_micro, found.currency)
    if found.currency:
        out().print(f"{found.period}  [bold]{plain(money)}[/]")
    else:
        out().print(f"{found.period}  no price sheet is named: budget.prices_file")
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("TENANT", "FOR", "REQUESTS", "HITS", "OUT", "IN", "COST"):
        table.add_column(column, justify="left" if column in ("TENANT", "FOR") else "right")
    for line in found.lines:
        used = line.used
        table.add_row(
            plain(line.tenant),
            plain(_for(line)),
            str(used.get("requests", 0)),
            str(used.get("hits", 0)),
            format_bytes(used.get("egress_bytes", 0)),
            format_bytes(used.get("ingress_bytes", 0)),
            plain(format_money(line.micro, found.currency, places=4)),
        )
    if table.row_count:
        out().print(table)


def _for(line: CostLine) -> str:
    what = f"{line.site}{line.route}" if line.site else line.upstream or "the node itself"
    return f"{what} ({line.workflow})" if line.workflow else what
