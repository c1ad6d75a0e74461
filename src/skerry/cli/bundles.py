"""The commands about telemetry bundles: list, take away, and verify with the public key alone."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from skerry.base.chain import Anchor, Finding, Flaw
from skerry.base.errors import BadInput
from skerry.base.units import format_bytes
from skerry.cli.options import AsJson, Config, DataDir, NodeUrl, connect
from skerry.cli.screen import Exit, err, out, plain, print_json
from skerry.dashboard.words import moment

FILE_BYTES_MAX = 64 << 20
FINDINGS_SHOWN_MAX = 10

After = Annotated[int, typer.Option(metavar="N", min=0, help="Only those after this.")]


class BundleRow(msgspec.Struct, frozen=True):
    """One bundle of the answer of GET /api/v1/bundles."""

    sequence: int
    name: str
    began_at: float
    ended_at: float
    size_bytes: int


class BundleList(msgspec.Struct, frozen=True):
    """That answer."""

    public_key: str
    bundles: tuple[BundleRow, ...] = ()
    waiting: dict[str, int] = {}
    trouble: dict[str, str] = {}


class Verified(msgspec.Struct, frozen=True):
    """What --json prints."""

    count: int
    good: bool
    findings: list[dict[str, object]]


def bundle_list(
    after: After = 0,
    node: NodeUrl = None,
    config: Config = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """List the bundles that a node keeps, and what waits to be put somewhere."""
    client = connect(node, config, data_dir)
    found: list[BundleRow] = []
    first: BundleList | None = None
    while True:
        page = client.get(f"/api/v1/bundles?after={after}", BundleList)
        first = first or page
        if not page.bundles:
            break
        found += page.bundles
        after = page.bundles[-1].sequence
    if as_json:
        print_json({"bundles": found, "waiting": first.waiting, "trouble": first.trouble})
        return
    for each in found:
        ended = moment(each.ended_at)
        out().print(f"{each.sequence:>8}  until {ended}  {format_bytes(each.size_bytes)}")
    for place, count in first.waiting.items():
        why = f": {plain(first.trouble[place])}" if place in first.trouble else ""
        out().print(f"{count} wait for {plain(place)}{why}")


def bundle_export(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where they go, one file each.")],
    after: After = 0,
    node: NodeUrl = None,
    config: Config = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Write bundles into a folder, under the names that uploads have."""
    client = connect(node, config, data_dir)
    written = 0
    try:
        folder.mkdir(parents=True, exist_ok=True)
        while page := client.get(f"/api/v1/bundles?after={after}", BundleList).bundles:
            lines = client.text(f"/api/v1/bundles/lines?after={after}").splitlines()
            for each, line in zip(page, lines, strict=False):
                (folder / Path(each.name).name).write_text(f"{line}\n")
            written += min(len(page), len(lines))
            after = page[-1].sequence
    except OSError as error:
        raise BadInput(
            f"{folder}: {(error.strerror or 'unknown').lower()}", next_step="name another folder"
        ) from error
    if as_json:
        print_json({"folder": str(folder), "count": written})
    else:
        out().print(f"{written} bundles in {plain(folder)}")


def bundle_key(
    node: NodeUrl = None, config: Config = None, data_dir: DataDir = None, as_json: AsJson = False
) -> None:
    """Print the node's public key, which bundles are verified with."""
    found = connect(node, config, data_dir).get("/api/v1/bundles?after=999999999999999", BundleList)
    if as_json:
        print_json({"public_key": found.public_key})
        return
    typer.echo(found.public_key, nl=False)


def bundle_verify(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="Bundles, or folders of them.")
    ],
    key: Annotated[Path, typer.Option(metavar="FILE", help="The node's public key.")],
    anchor: Annotated[
        str,
        typer.Option(metavar="N:HASH", help="One that was noted elsewhere: it has to be there."),
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Check bundles with the public key alone; needs no node. Order counts."""
    # Cryptography takes longer to load than all the rest: other commands need not wait.
    from skerry.app.trust.node_key import check_signature, read_public
    from skerry.telemetry.core.bundles import verify

    placed = [placed for path in files for placed in _lines(path)]
    if not placed:
        raise BadInput("there is no bundle", next_step="get some with skerry bundle export")
    pem = _read(key)
    try:
        public_key = read_public(pem)
    except BadInput as error:
        what = f"{key} holds no node's public key"
        raise BadInput(
            what, next_step="get it with `skerry bundle key`, on a way you trust"
        ) from error
    findings = verify(
        [line for _, line in placed],
        public_key=public_key,
        check=check_signature,
        anchors=_anchors(anchor),
    )
    places = ["all of them", *(place for place, _ in placed)]
    if as_json:
        told = [_told(each, places[each.line]) for each in findings]
        print_json(Verified(len(placed), not findings, told))
    else:
        _say(findings, places)
    if findings:
        raise typer.Exit(Exit.FAILED)


def make_bundle() -> typer.Typer:
    """The `bundle` commands."""
    app = typer.Typer(no_args_is_help=True, help="Signed records of what the node did.")
    for name, command in (
        ("list", bundle_list),
        ("export", bundle_export),
        ("key", bundle_key),
        ("verify", bundle_verify),
    ):
        app.command(name)(command)
    return app


def _say(findings: Sequence[Finding], places: Sequence[str]) -> None:
    """What is wrong, where, and what to do about it."""
    count = len(places) - 1
    if not findings:
        out().print(f"{count} bundles: good")
        return
    if count > 1 and [each.flaw for each in findings] == [Flaw.EDITED] * count:
        err().print(f"[bold red]skerry:[/] none of the {count} bundles is signed with this key")
        err().print("        is it this node's? get it with `skerry bundle key` from the node")
        return
    for finding in findings[:FINDINGS_SHOWN_MAX]:
        err().print(f"[bold red]{plain(places[finding.line])}:[/] {plain(finding.sentence)}")
    if len(findings) > FINDINGS_SHOWN_MAX:
        err().print(f"and {len(findings) - FINDINGS_SHOWN_MAX} more: --json has them all")
    err().print(
        "        get them from the node once more, `skerry bundle export`; what is not good"
    )
    err().print("        there either was changed at the node")


def _told(finding: Finding, place: str) -> dict[str, object]:
    return {
        "flaw": finding.flaw.value,
        "line": finding.line,
        "where": place,
        "sentence": finding.sentence,
    }


def _anchors(text: str) -> tuple[Anchor, ...]:
    if not text:
        return ()
    number, colon, digest = text.partition(":")
    if not colon or not number.isdigit() or len(digest) != 64:
        raise BadInput(f"{text!r} is no anchor", next_step="write its number, a colon, its sha256")
    return (Anchor(int(number), digest.lower()),)


def _lines(path: Path) -> list[tuple[str, bytes]]:
    """A file's lines, each with its place; of a folder, those of its files by name, as they are
    numbered. An empty file is a line that is no bundle: something was to be there."""
    if path.is_dir():
        return [
            placed
            for name in sorted(os.listdir(path))
            if name.endswith(".json")
            for placed in _lines(path / name)
        ]
    lines = [
        (f"{path} line {number}", line)
        for number, line in enumerate(_read(path).splitlines(), start=1)
        if line.strip()
    ]
    return (
        [(str(path), line) for _, line in lines] if len(lines) == 1 else lines or [(str(path), b"")]
    )


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        reason = (error.strerror or "unknown").lower()
        raise BadInput(f"{path} cannot be read: {reason}", next_step="name a file") from error
    if len(data) > FILE_BYTES_MAX:
        raise BadInput(f"{path} is over 64 MiB", next_step="name its parts, in their order")
    return data
