"""`skerry prewarm`: the plan, then the fetching, as the node tells it."""

from __future__ import annotations

import sys
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from skerry.base.errors import BadInput
from skerry.base.units import format_bytes
from skerry.cdn.core.prewarm import MICRO, PrewarmEvent, Step
from skerry.cli.options import AsJson, Config, DataDir, NodeUrl, connect, size_of
from skerry.cli.screen import Exit, err, out, plain, print_json

LIST_BYTES_MAX = 1 << 20


def prewarm(
    list_file: Annotated[
        str | None, typer.Argument(metavar="LIST", help="URLs, one a line; - for stdin.")
    ] = None,
    manifest: Annotated[
        str | None, typer.Option(metavar="URL", help="A manifest on a site of this node.")
    ] = None,
    bytes_max: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Fetch no more than this, e.g. 5GiB.")
    ] = None,
    cost_max: Annotated[
        str | None, typer.Option(metavar="MONEY", help="Spend no more than this, e.g. 2.50.")
    ] = None,
    price_per_gb: Annotated[
        str | None, typer.Option(metavar="MONEY", help="What 10^9 bytes cost, e.g. 0.09.")
    ] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Only say what would be done.")] = False,
    node: NodeUrl = None,
    config: Config = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Fetch what sites will be asked for, in idle bandwidth; prints the plan first."""
    body: dict[str, object] = {
        "list": None if list_file is None else _read(list_file),
        "manifest": manifest,
        "bytes_max": size_of(bytes_max),
        "cost_micro_max": _micro(cost_max),
        "price_per_gb_micro": _micro(price_per_gb),
        "only_plan": plan,
    }
    client = connect(node, config, data_dir)
    events: list[PrewarmEvent] = []
    with _progress() as progress:
        bars = {}
        for event in client.stream("/api/v1/prewarm", body, PrewarmEvent):
            if event.step in (Step.FETCHING, Step.WAITING, Step.PAUSED):
                if event.url not in bars:
                    bars[event.url] = progress.add_task(plain(event.url), total=None)
                total = event.missing_bytes if event.missing_bytes > 0 else None
                progress.update(bars[event.url], total=total, completed=event.done_bytes)
                continue
            events.append(event)
            if not as_json:
                _say(event)
    if as_json:
        print_json({"events": events})
    last = events[-1] if events else None
    ended = Step.PLAN if plan else Step.DONE
    if last is None or last.step is not ended or (last.counts or {}).get("failed"):
        raise typer.Exit(Exit.FAILED)


def _say(event: PrewarmEvent) -> None:
    url, counts = plain(event.url), event.counts or {}
    match event.step:
        case Step.ITEM:
            size = "?" if event.missing_bytes < 0 else format_bytes(event.missing_bytes)
            why = f"  {plain(event.what)}" if event.what else ""
            out().print(f"{event.verdict:8} {size:>10}  {url}{why}")
        case Step.PLAN:
            left = {"here": "here already", "beyond": "over a cap", "refused": "refused"}
            more = "".join(f", {counts[name]} {said}" for name, said in left.items()
                           if counts.get(name))  # fmt: skip
            out().print(
                f"plan: {counts.get('fetch', 0)} objects, {format_bytes(event.missing_bytes)}, "
                f"cost {_money(event.cost_micro)}{more}"
            )
        case Step.FETCHED:
            out().print(f"{url}: here, {format_bytes(event.done_bytes)} fetched")
        case Step.FAILED:
            err().print(f"[bold red]{url}[/]: {plain(event.what)}")
        case Step.DONE:
            out().print(
                f"done: {counts.get('fetched', 0)} objects, {format_bytes(event.done_bytes)}, "
                f"cost {_money(event.cost_micro)}"
            )


def _money(micro: int) -> str:
    return f"{micro / MICRO:.2f}" if micro % 10_000 == 0 else f"{micro / MICRO:.6f}"


def _micro(text: str | None) -> int | None:
    """Money as written, in millionths. Raises BadInput."""
    if text is None:
        return None
    try:
        micro = Decimal(text) * MICRO
        right = micro.is_finite() and micro >= 0 and micro == micro.to_integral_value()
    except InvalidOperation:
        right = False
    if not right or micro > 10**18:
        raise BadInput(f"{text!r} is not an amount of money", next_step="write e.g. 2.50")
    return int(micro)


def _read(name: str) -> str:
    """The list's text. Raises BadInput."""
    try:
        if name == "-":
            data = sys.stdin.buffer.read(LIST_BYTES_MAX + 1)
        else:
            with Path(name).open("rb") as file:
                data = file.read(LIST_BYTES_MAX + 1)
        if len(data) > LIST_BYTES_MAX:
            raise BadInput(f"{name} is over 1 MiB", next_step="split it")
        return data.decode()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise BadInput(f"{name} cannot be read: {reason}", next_step="name a file") from error


def _progress() -> Progress:
    console = err()
    return Progress(
        TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(),
        console=console, transient=True, disable=not console.is_terminal,
    )  # fmt: skip
