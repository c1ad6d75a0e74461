"""The commands that look back: the monthly report, the baseline of a workflow, the alarms."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import typer
from rich.table import Table

from skerry.app.telemetry.alarms import AlarmList
from skerry.base.errors import BadInput
from skerry.base.units import format_bytes
from skerry.budget.core.money import format_money
from skerry.budget.core.report import Figures, Miss, Report
from skerry.budget.core.report_html import columns_of, maybe, page, percent, rows_of
from skerry.budget.desk import Baseline
from skerry.cli.budget import Month
from skerry.cli.options import AsJson, Config, DataDir, NodeUrl, connect
from skerry.cli.outcomes import show_units, unit_lines
from skerry.cli.screen import numbers_table, out, plain, print_json


def report(
    month: Month = "",
    html: Annotated[
        Path | None,
        typer.Option("--html", metavar="FILE", help="Write it as a page.", show_default=False),
    ] = None,
    node: NodeUrl = None,
    config: Config = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Compare this month with the one before, and say which misses cost most and what to change."""
    path = f"/api/v1/report?month={month}" if month else "/api/v1/report"
    found = connect(node, config, data_dir).get(path, Report)
    if html is not None:
        try:
            html.write_text(page(found), encoding="utf-8")
        except OSError as error:
            reason = (error.strerror or "unknown").lower()
            what = f"{html} cannot be written: {reason}"
            raise BadInput(what, next_step="name another file") from error
    if as_json:
        print_json(found)
        return
    table = numbers_table("", *columns_of(found))
    for row in rows_of(found):
        table.add_row(row.name, plain(row.now), plain(row.then), row.change)
    out().print(f"[bold]{plain(found.node)}[/]")
    out().print(table)
    _misses(found.dearest, found.currency)
    show_units(found.units, found.currency)
    for each in found.advice:
        out().print(f"- {plain(each)}")


def baseline(
    workflow: Annotated[str, typer.Argument(metavar="WORKFLOW", show_default=False)],
    days: Annotated[int, typer.Option("--days", help="How many, today included.")] = 7,
    node: NodeUrl = None,
    config: Config = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Measure one workflow: hit ratio, cost per request, and how long a rollback takes."""
    path = f"/api/v1/baseline?workflow={quote(workflow, safe='')}&days={days}"
    found = connect(node, config, data_dir).get(path, Baseline)
    if as_json:
        print_json(found)
        return
    for name, value in _lines(found.figures, found.currency):
        out().print(f"{name:<24}{plain(value)}")
    out().print(f"{'rollback':<24}{plain(found.rollback.words)}")
    for name, value in unit_lines(found.units[0], found.currency):
        out().print(f"{name:<24}{plain(value)}")
    _misses(found.dearest, found.currency)


def alarms_list(
    node: NodeUrl = None, config: Config = None, data_dir: DataDir = None, as_json: AsJson = False
) -> None:
    """List the latest alarms, and whom they have reached."""
    found = connect(node, config, data_dir).get("/api/v1/alarms", AlarmList)
    if as_json:
        print_json(found)
        return
    _alarms(found)


def alarms_test(
    node: NodeUrl = None, config: Config = None, data_dir: DataDir = None, as_json: AsJson = False
) -> None:
    """Send a test alarm to every channel; `skerry alarms ls` says whom it has reached."""
    found = connect(node, config, data_dir).post("/api/v1/alarms", {}, AlarmList)
    if as_json:
        print_json(found)
        return
    _alarms(found)


def make_alarms() -> typer.Typer:
    """The `alarms` commands."""
    app = typer.Typer(no_args_is_help=True, help="Look at alarms, and try their channels.")
    app.command("ls")(alarms_list)
    app.command("test")(alarms_test)
    return app


def _alarms(found: AlarmList) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("KIND", "ABOUT", "WHAT", "SENT", "WAITS FOR"):
        table.add_column(column)
    for each in found.alarms:
        sent, waiting = ", ".join(each.sent), ", ".join(each.waiting)
        table.add_row(*map(plain, (each.kind, each.subject, each.what, sent, waiting)))
    out().print(table if table.row_count else "none on record")
    if any(each.held_back for each in found.alarms):
        out().print("what neither reached nor waits for a channel is summed up for it in one alarm")
    if any(each.waiting for each in found.alarms):
        out().print("what waits is sent again by itself; why: skerry events --kind alarm")


def _lines(found: Figures, currency: str) -> list[tuple[str, str]]:
    return [
        ("requests", str(found.requests)),
        ("hit ratio", percent(found.hit_ratio) + _apart(found)),
        ("cost", format_money(found.cost_micro, currency, places=4)),
        ("cost of 1000 requests", maybe(found.per_thousand_micro, currency)),
        ("cost of a GB saved", maybe(found.per_saved_gb_micro, currency)),
        ("bytes out", format_bytes(found.egress_bytes)),
        ("bytes in", format_bytes(found.ingress_bytes)),
    ]


def _apart(found: Figures) -> str:
    """How many answers beside the hits were stale or joined, where any were."""
    parts = ((found.stale, "stale"), (found.joined, "joined"))
    said = ", ".join(f"{count} {word}" for count, word in parts if count)
    return f", besides {said}" if said else ""


def _misses(dearest: Sequence[Miss], currency: str) -> None:
    if not dearest:
        return
    table = numbers_table("DEAREST MISSES", "KIND", "TIMES", "BYTES IN", "COST")
    for each in dearest:
        table.add_row(
            plain(each.what),
            each.kind,
            str(each.count),
            format_bytes(each.ingress_bytes),
            format_money(each.micro, currency, places=4),
        )
    out().print(table)
