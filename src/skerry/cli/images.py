"""The commands about images: each asks the running node for one thing and prints the answer."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from rich.table import Table

from skerry.base.units import format_bytes
from skerry.cli.options import AsJson, Config, DataDir, NodeUrl, connect, size_of
from skerry.cli.screen import Exit, absolute, ago, err, out, plain, print_json
from skerry.registry.operations import (
    Evicted,
    Exported,
    ImageRow,
    Imported,
    Pinned,
    Removed,
    ScrubEvent,
    ScrubStep,
    WarmEvent,
    WarmStep,
)

Image = Annotated[str, typer.Argument(metavar="IMAGE", show_default=False)]


class ImageList(msgspec.Struct, frozen=True):
    """The answer of GET /api/v1/images."""

    images: list[ImageRow]


def ls(
    missing: Annotated[bool, typer.Option("--missing", help="Only what is not whole.")] = False,
    node: NodeUrl = None,
    config: Config = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """List the images that are here, whole or half."""
    path = f"/api/v1/images{'?missing=true' if missing else ''}"
    found = connect(node, config, data_dir).get(path, ImageList)
    if as_json:
        print_json(found)
        return
    if not found.images:
        err().print("nothing is missing" if missing else "no image is here yet; try skerry warm")
        return
    out().print(image_table(found.images, now=time.time()))


def image_table(rows: Iterable[ImageRow], *, now: float) -> Table:
    """Images as a table; `now` in seconds since the epoch."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("IMAGE", "DIGEST"):
        table.add_column(column, overflow="fold" if column == "IMAGE" else "ellipsis")
    table.add_column("SIZE", justify="right")
    for column in ("STATE", "PLATFORMS", "PINNED", "USED", "FRESHNESS"):
        table.add_column(column)
    for row in rows:
        table.add_row(
            plain(row.reference),
            row.digest.partition(":")[2][:12],
            format_bytes(row.size_bytes),
            "whole" if row.whole else f"[yellow]half[/]: {_missing(row)}",
            plain(", ".join(row.platforms) or "-"),
            "pinned" if row.pinned else "-",
            ago(row.last_used, now),
            row.freshness.value,
        )
    return table


def _missing(row: ImageRow) -> str:
    kinds: dict[str, int] = {}
    for part in row.missing:
        kinds[part.kind] = kinds.get(part.kind, 0) + 1
    counted = ", ".join(f"{n} {plain(kind)}{'s' * (n > 1)}" for kind, n in sorted(kinds.items()))
    return f"{counted} ({format_bytes(sum(part.size_bytes for part in row.missing))}) missing"


@dataclass
class Warmed:
    """What became of one image; JSON of `warm`."""

    image: str
    ok: bool = False
    digest: str = ""
    planned_bytes: int = 0
    done_bytes: int = 0
    what: str = ""
    next_step: str = ""


def warm(
    images: Annotated[list[str], typer.Argument(metavar="IMAGE...", show_default=False)],
    platform: Annotated[
        list[str] | None,
        typer.Option(metavar="OS/ARCH", help="Which platform; repeatable. Default: this node's."),
    ] = None,
    all_platforms: Annotated[bool, typer.Option("--all-platforms", help="Every platform.")] = False,
    bytes_max: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Fetch no more than this, e.g. 5GiB.")
    ] = None,
    node: NodeUrl = None,
    config: Config = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Fetch images now, so that they are here when the link is not."""
    body = {
        "images": images,
        "platforms": platform or [],
        "all_platforms": all_platforms,
        "bytes_max": size_of(bytes_max),
    }
    warmed: dict[str, Warmed] = {}
    client = connect(node, config, data_dir)
    with _progress() as progress:
        bars = {}
        for event in client.stream("/api/v1/warm", body, WarmEvent):
            one = warmed.setdefault(event.image, Warmed(event.image))
            _note(one, event)
            if event.image not in bars:
                bars[event.image] = progress.add_task(plain(event.image), total=None)
            progress.update(
                bars[event.image], total=event.planned_bytes, completed=event.done_bytes
            )
            if event.step in (WarmStep.DONE, WarmStep.FAILED) and not as_json:
                (out() if one.ok else err()).print(_said(one))
    if as_json:
        fetched = sum(one.done_bytes for one in warmed.values())
        print_json({"images": list(warmed.values()), "fetched_bytes": fetched})
    # An image that was asked for and never reported is not here.
    if not all(image in warmed and warmed[image].ok for image in images):
        raise typer.Exit(Exit.FAILED)


def _note(one: Warmed, event: WarmEvent) -> None:
    one.ok = event.step is WarmStep.DONE
    one.digest = event.digest or one.digest
    one.planned_bytes = max(one.planned_bytes, event.planned_bytes)
    one.done_bytes = max(one.done_bytes, event.done_bytes)
    one.what, one.next_step = event.what, event.next_step


def _said(one: Warmed) -> str:
    if one.ok:
        return f"{plain(one.image)}: whole, {format_bytes(one.done_bytes)} fetched"
    step = f"; {plain(one.next_step)}" if one.next_step else ""
    return f"[bold red]{plain(one.image)}[/]: {plain(one.what)}{step}"


def _progress() -> Progress:
    console = err()
    return Progress(
        TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(),
        console=console, transient=True, disable=not console.is_terminal,
    )  # fmt: skip


def pin(
    image: Image,
    node: NodeUrl = None,
    config: Config = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Keep an image from ever being evicted."""
    body = {"reference": image}
    done = connect(node, config, data_dir).post("/api/v1/pins", body, Pinned)
    word = "pinned" if done.changed else "was pinned already"
    _show(done, f"{done.reference}: {word}", as_json=as_json)


def unpin(
    image: Image,
    node: NodeUrl = None,
    config: Config = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Let an image be evicted again."""
    done = connect(node, config, data_dir).delete("/api/v1/pins", image, Pinned)
    word = "not pinned any more" if done.changed else "was not pinned"
    _show(done, f"{done.reference}: {word}", as_json=as_json)


def rm(
    image: Image,
    node: NodeUrl = None,
    config: Config = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Forget an image and free what only it used."""
    done = connect(node, config, data_dir).delete("/api/v1/images", image, Removed)
    text = f"{done.reference}: removed, {format_bytes(done.freed_bytes)} freed"
    _show(done, text, as_json=as_json)


def export(
    image: Image,
    path: Annotated[Path, typer.Argument(metavar="PATH", help="On the node's machine.")],
    node: NodeUrl = None,
    config: Config = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Write a whole image as an OCI layout."""
    body = {"reference": image, "path": absolute(path)}
    done = connect(node, config, data_dir).post("/api/v1/export", body, Exported)
    text = f"{done.path}: {done.blob_count} blobs, {format_bytes(done.size_bytes)}"
    _show(done, text, as_json=as_json)


def import_(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="On the node's machine.")],
    name: Annotated[
        str | None, typer.Option("--as", metavar="NAME", help="Instead of the names inside.")
    ] = None,
    node: NodeUrl = None,
    config: Config = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Read an OCI layout in, every blob proven."""
    body = {"path": absolute(path), "name": name}
    done = connect(node, config, data_dir).post("/api/v1/import", body, Imported)
    text = f"{', '.join(done.references)}: {done.blob_count} blobs, {format_bytes(done.size_bytes)}"
    _show(done, text, as_json=as_json)


def evict(
    bytes_: Annotated[
        str | None, typer.Option("--bytes", metavar="SIZE", help="How much room to make.")
    ] = None,
    image: Annotated[
        str | None, typer.Option("--image", metavar="IMAGE", help="Which image to drop.")
    ] = None,
    node: NodeUrl = None,
    config: Config = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Make room by the node's own rules, down to the low watermark unless told otherwise."""
    body = {"bytes": size_of(bytes_), "reference": image}
    done = connect(node, config, data_dir).post("/api/v1/evict", body, Evicted)
    text = "\n".join((*done.references, f"{format_bytes(done.freed_bytes)} freed"))
    _show(done, text, as_json=as_json)


def scrub(
    node: NodeUrl = None,
    config: Config = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Hash everything again; quarantine what is wrong and fetch it anew."""
    last = ScrubEvent(ScrubStep.PROGRESS)
    lost: list[str] = []
    with _progress() as progress:
        bar = progress.add_task("hashing", total=None)
        for last in connect(node, config, data_dir).stream("/api/v1/scrub", {}, ScrubEvent):
            progress.update(bar, total=last.total_bytes, completed=last.checked_bytes)
            if last.step is ScrubStep.LOST:
                lost.append(last.digest)
            if last.digest and not as_json:
                err().print(f"{last.digest}: {last.step.value} {plain(last.what)}".rstrip())
    if as_json:
        print_json({"result": last, "lost": lost, "ended": last.step is ScrubStep.DONE})
    else:
        out().print(
            f"{last.checked_count} blobs, {format_bytes(last.checked_bytes)}: "
            f"{last.corrupt_count} were wrong, {last.healed_count} healed, {len(lost)} lost"
        )
    if lost or last.step is not ScrubStep.DONE:
        raise typer.Exit(Exit.FAILED)


def _show(value: object, text: str, *, as_json: bool) -> None:
    if as_json:
        print_json(value)
    else:
        out().print(plain(text) if "\n" not in text else "\n".join(map(plain, text.split("\n"))))
