"""The commands about what happened: events, incidents, the rules that Prometheus judges by."""

from __future__ import annotations

import time
from typing import Annotated
from urllib.parse import quote

import msgspec
import typer
from rich.table import Table

from skerry.app.telemetry.room import IncidentList
from skerry.base.errors import BadInput
from skerry.base.units import format_seconds, parse_seconds
from skerry.cli.options import AsJson, Config, DataDir, NodeUrl, connect
from skerry.cli.screen import Exit, out, plain, print_json
from skerry.dashboard.lists import is_about
from skerry.dashboard.words import moment
from skerry.telemetry.core.incidents import Incident, Indicator
from skerry.telemetry.core.slo import Goals, as_yaml
from skerry.telemetry.core.slo import rules as rules_of
from skerry.telemetry.events import Event
from skerry.telemetry.validation import OF_OUTAGES, STRANGERS


class EventList(msgspec.Struct, frozen=True):
    """The answer of GET /api/v1/events."""

    events: list[Event]


def events(
    since: Annotated[str, typer.Option(metavar="DURATION", help="How far back, e.g. 15m.")] = "1d",
    kind: Annotated[
        str, typer.Option(metavar="KIND", help="Of one kind or its first word, e.g. breaker.")
    ] = "",
    about: Annotated[
        str, typer.Option(metavar="TEXT", help="With a text in it: the name of an image, say.")
    ] = "",
    node: NodeUrl = None,
    config: Config = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """List what happened, with cause and next step."""
    start = time.time() - parse_seconds(since)
    path = f"/api/v1/events?since={start:.3f}&kind={quote(kind, safe='')}"
    found = connect(node, config, data_dir).get(path, EventList)
    if about:
        found = EventList([each for each in found.events if is_about(each, about)])
    if as_json:
        print_json(found)
        return
    if not found.events:
        out().print(f"nothing on record in the last {plain(since)}")
    for event in found.events:
        cause = f": {plain(event.cause)}" if event.cause else ""
        step = f"; {plain(event.next_step)}" if event.next_step else ""
        style = {"warning": "yellow", "error": "red"}.get(event.level, "default")
        kind_of = f"[{style}]{plain(event.kind)}[/]"
        out().print(f"{moment(event.at)} {kind_of} {plain(event.subject)}{cause}{step}")


def incidents(
    since: Annotated[str, typer.Option(metavar="DURATION", help="How far back, e.g. 30d.")] = "30d",
    node: NodeUrl = None,
    config: Config = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """List what was lost and how soon service here was good; by drills and for real."""
    start = time.time() - parse_seconds(since)
    found = connect(node, config, data_dir).get(
        f"/api/v1/incidents?since={start:.3f}", IncidentList
    )
    if as_json:
        print_json(found)
    else:
        _show(found)
    if not all(each.met for each in found.objectives):
        raise typer.Exit(Exit.FAILED)


def _show(found: IncidentList) -> None:
    table = Table()
    for title in ("lost", "began", "noticed", "good here", "interrupted", "back"):
        table.add_column(title)
    for each in found.incidents:
        table.add_row(
            f"{plain(each.lost.value)} {plain(each.what)}"
            + ("" if each.origin.value == "real" else " (drill)"),
            moment(each.began_at),
            f"after {_span(each, each.noticed_at)}",
            _after(each, each.good_at),
            format_seconds(each.interrupted_seconds),
            _after(each, each.back_at),
        )
    out().print(table if found.incidents else "none on record")
    shares = Table()
    for title in ("objective", "within", "kept", "worst"):
        shares.add_column(title)
    for indicator in found.objectives:
        if indicator.incident_count:
            shares.add_row(*_row(indicator))
    if shares.rows:
        out().print(shares)


def _row(found: Indicator) -> tuple[str, ...]:
    style = "green" if found.met else "bold red"
    drill = "" if found.origin.value == "real" else " (drill)"
    return (
        f"{found.lost.value} {found.measure.value.replace('_', ' ')}{drill}",
        f"{format_seconds(found.within_seconds)} for {found.wanted_share:.0%}",
        f"[{style}]{found.kept_count} of {found.incident_count}[/]",
        format_seconds(found.worst_seconds),
    )


def _after(incident: Incident, moment: float | None) -> str:
    return "[yellow]not yet[/]" if moment is None else f"after {_span(incident, moment)}"


def _span(incident: Incident, moment: float) -> str:
    return format_seconds(max(0.0, moment - incident.began_at))


def rules(
    availability: Annotated[
        float, typer.Option(metavar="PERCENT", help="Of requests, that are to be answered.")
    ] = 99.9,
    recovery: Annotated[
        float, typer.Option(metavar="PERCENT", help="Of incidents, that are to be over in time.")
    ] = 95.0,
    horizon: Annotated[
        str, typer.Option(metavar="DURATION", help="Tell when something expires sooner.")
    ] = "1d",
    as_json: AsJson = False,
) -> None:
    """Print rules for Prometheus: burn rates, recovery, horizon. Needs no node."""
    if not 0 < availability < 100 or not 0 < recovery < 100:
        raise BadInput("a share is between 0 and 100 percent", next_step="write e.g. 99.9")
    goals = Goals(availability / 100, recovery / 100, parse_seconds(horizon))
    document = rules_of(goals, strangers=STRANGERS, of_outages=OF_OUTAGES)
    if as_json:
        print_json(document)
    else:
        typer.echo(as_yaml(document), nl=False)


def make_slo() -> typer.Typer:
    """The `slo` commands."""
    app = typer.Typer(no_args_is_help=True, help="Objectives, as rules for Prometheus.")
    app.command("rules")(rules)
    return app
