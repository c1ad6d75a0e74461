"""The commands about sites: purge what is stored of them, and prove that it was done."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from skerry.base.errors import BadInput
from skerry.cli.options import AsJson, Config, DataDir, NodeUrl, connect
from skerry.cli.screen import Exit, err, out, plain, print_json

FILE_BYTES_MAX = 64 << 20


class ReceiptRow(msgspec.Struct, frozen=True):
    """A receipt as the node tells it: the fields of `cdn.core.receipt`, under their names."""

    at_milliseconds: int
    kind: str
    mode: str
    node: str
    object_count: int
    previous: str
    scope: str
    sequence: int
    signature: str
    value: str
    version: int
    ordered_by: str | msgspec.UnsetType = msgspec.UNSET

    @property
    def line(self) -> str:
        """The canonical form: its names are in order, one that is not there left out."""
        return msgspec.json.encode(self, order="deterministic").decode()


class SiblingRow(msgspec.Struct, frozen=True):
    """Whether a sibling has a purge in force."""

    name: str
    confirmed: bool


class PurgedRow(msgspec.Struct, frozen=True):
    """The answer of POST /api/v1/purge."""

    receipt: ReceiptRow
    siblings: list[SiblingRow]


class ReceiptList(msgspec.Struct, frozen=True):
    """The answer of GET /api/v1/purges."""

    public_key: str
    receipts: list[ReceiptRow]


class Verified(msgspec.Struct, frozen=True):
    """What `skerry receipt verify` found."""

    receipts: int
    good: bool
    findings: list[dict[str, str | int]]


def purge(
    url: Annotated[str | None, typer.Option(metavar="URL", help="One URL.")] = None,
    prefix: Annotated[
        str | None, typer.Option(metavar="URL", help="A URL's path and all below it.")
    ] = None,
    host: Annotated[
        str | None, typer.Option(metavar="HOST", help="A host; with --key, on it alone.")
    ] = None,
    key: Annotated[str | None, typer.Option(metavar="KEY", help="A surrogate key.")] = None,
    group: Annotated[str | None, typer.Option(metavar="NAME", help="A group of --origin.")] = None,
    origin: Annotated[str | None, typer.Option(metavar="URL", help="Whose --group.")] = None,
    soft: Annotated[bool, typer.Option("--soft", help="Stale, not gone.")] = False,
    node: NodeUrl = None,
    config: Config = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Take something out of the cache, in force when this returns."""
    named = {"url": url, "prefix": prefix, "host": host, "key": key, "group": group,
             "origin": origin}  # fmt: skip
    body: dict[str, object] = {name: text for name, text in named.items() if text is not None}
    purged = connect(node, config, data_dir).post(
        "/api/v1/purge", {**body, "soft": soft}, PurgedRow
    )
    if as_json:
        print_json(purged)
        return
    found = purged.receipt
    done = "to be checked before use" if soft else "gone"
    of = f" of {plain(found.scope)}" if found.scope else ""
    out().print(f"{found.object_count} objects {done}: {found.kind} {plain(found.value)}{of}")
    out().print(f"receipt {found.sequence}: skerry receipt list --after {found.sequence - 1}")
    for has, said in ((True, "in force on"), (False, "[yellow]not yet in force on[/]")):
        if names := [plain(each.name) for each in purged.siblings if each.confirmed is has]:
            out().print(f"{said} {', '.join(names)}")
    if found.object_count == 0:
        err().print("[yellow]note:[/] nothing here bore that name; scheme and port belong to it")


def receipt_list(
    after: Annotated[int, typer.Option(metavar="N", min=0, help="Only those after this.")] = 0,
    node: NodeUrl = None,
    config: Config = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Print the receipts, one line each, for a file that can be verified."""
    client = connect(node, config, data_dir)
    found: list[ReceiptRow] = []
    while page := client.get(f"/api/v1/purges?after={after}", ReceiptList).receipts:
        found += page
        after = page[-1].sequence
    if as_json:
        print_json({"receipts": found})
        return
    for receipt in found:
        typer.echo(receipt.line)


def receipt_key(
    node: NodeUrl = None, config: Config = None, data_dir: DataDir = None, as_json: AsJson = False
) -> None:
    """Print the node's public key, which receipts are verified with."""
    found = connect(node, config, data_dir).get("/api/v1/purges?after=999999999999999", ReceiptList)
    if as_json:
        print_json({"public_key": found.public_key})
        return
    typer.echo(found.public_key, nl=False)


def receipt_verify(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Receipts, one a line.")],
    key: Annotated[Path, typer.Option(metavar="FILE", help="The node's public key.")],
    as_json: AsJson = False,
) -> None:
    """Check receipts with the public key alone; needs no node."""
    # Cryptography takes longer to load than all the rest: other commands need not wait.
    from skerry.app.trust.node_key import check_signature, read_public
    from skerry.cdn.core.receipt import verify

    lines = _lines(_read(file))
    if not lines:
        raise BadInput(f"{file} holds no receipt", next_step="write one with skerry receipt list")
    findings = verify(lines, public_key=read_public(_read(key)), check=check_signature)
    if as_json:
        told = [{"flaw": f.flaw.value, "line": f.line, "sentence": f.sentence} for f in findings]
        print_json(Verified(len(lines), not findings, told))
    else:
        for finding in findings:
            err().print(f"[bold red]line {finding.line}:[/] {plain(finding.sentence)}")
        if not findings:
            out().print(f"{len(lines)} receipts: good")
    if findings:
        raise typer.Exit(Exit.FAILED)


def make_receipt() -> typer.Typer:
    """The `receipt` commands."""
    app = typer.Typer(no_args_is_help=True, help="List and verify what was purged.")
    app.command("list")(receipt_list)
    app.command("key")(receipt_key)
    app.command("verify")(receipt_verify)
    return app


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        reason = (error.strerror or "unknown").lower()
        raise BadInput(f"{path} cannot be read: {reason}", next_step="name a file") from error
    if len(data) > FILE_BYTES_MAX:
        raise BadInput(f"{path} is over 64 MiB", next_step="split it between two lines")
    return data


def _lines(data: bytes) -> list[bytes]:
    """The receipts of a file, byte for byte, or the one in a purge's answer as it was printed."""
    try:
        purged = msgspec.json.decode(data, type=PurgedRow)
    except (msgspec.DecodeError, UnicodeDecodeError):
        purged = None
    if purged is not None:
        siblings = msgspec.json.encode(purged.siblings).decode()
        told = f'{{"receipt":{purged.receipt.line},"siblings":{siblings}}}'.encode()
        if data.strip() in (told, msgspec.json.format(told, indent=2)):
            return [purged.receipt.line.encode()]
    return [line for line in data.splitlines() if line.strip()]
