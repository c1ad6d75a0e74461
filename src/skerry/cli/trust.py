"""The commands about signatures: sign images, see whose word an image has."""

from __future__ import annotations

import base64
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from skerry.base.errors import BadInput
from skerry.base.units import format_seconds
from skerry.cli.admin_client import about
from skerry.cli.options import AsJson, Config, DataDir, NodeUrl, connect
from skerry.cli.passphrases import Passphrase, passphrase
from skerry.cli.screen import Exit, ago, err, out, plain, print_json
from skerry.registry.operations import Signed, Verified

Image = Annotated[str, typer.Argument(metavar="IMAGE", show_default=False)]


def verify(
    image: Image,
    node: NodeUrl = None,
    config: Config = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Show who signed an image that is here, what is missing, and why."""
    path = about("/api/v1/signatures", image)
    found = connect(node, config, data_dir).get(path, Verified)
    if as_json:
        print_json(found)
    else:
        _show(found)
    if not found.accepted and found.open_until is None:
        raise typer.Exit(Exit.FAILED)


def sign(
    image: Image,
    key: Annotated[Path, typer.Option(metavar="FILE", help="Your private key.")],
    format_: Annotated[
        str, typer.Option("--format", metavar="NAME", help="cosign, bundle or notation.")
    ] = "cosign",
    certificate: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="For notation: the key's, up to the root.",
                     show_default=False),
    ] = None,
    passphrase_file: Passphrase = None,
    node: NodeUrl = None,
    config: Config = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Sign an image that was pushed to this node, in one of three formats; the key stays here."""
    # Cryptography takes longer to load than all the rest: other commands need not wait.
    from skerry.app.trust.signing_formats import Signer
    from skerry.trust.core.threshold import Format

    if format_ not in set(Format):
        raise BadInput(f"{format_!r} is no format", next_step=f"choose {', '.join(Format)}")
    signer = Signer.of(Format(format_), key, passphrase(passphrase_file), certificate)
    client = connect(node, config, data_dir)
    held = client.get(about("/api/v1/signatures", image), Verified)
    repository = _repository(held.reference)
    made = signer.signed(held, repository=repository, at=time.time())
    body = {
        "reference": f"{repository}@{held.digest}",
        "format": format_,
        "payload": base64.b64encode(made.payload).decode(),
        "signature": base64.b64encode(made.signature).decode(),
    }
    done = client.post("/api/v1/signatures", body, Signed)
    if as_json:
        print_json(done)
        return
    out().print(f"signed {plain(done.digest)} with key {signer.key.public}")
    out().print(f"{plain(done.reference)} has {done.signatures} in format {format_}: skerry verify")


def _repository(reference: str) -> str:
    """What stands before the tag or the digest; a port is no tag."""
    name = reference.partition("@")[0]
    head, colon, tail = name.rpartition(":")
    return head if colon and "/" not in tail else name


def _show(found: Verified) -> None:
    said, colour = ("may leave", "green") if found.accepted else ("is held back", "red")
    if not found.accepted and found.open_until is not None:
        said, colour = "may leave for now", "yellow"
    out().print(f"{plain(found.reference)}  [{colour}]{said}[/]")
    out().print(f"digest     {found.digest}")
    if not found.policy:
        out().print("policy     none holds for this repository: nothing is asked")
        return
    required = f", among them {', '.join(found.required)}" if found.required else ""
    out().print(f"policy     {plain(found.policy)}: {found.threshold} owners{plain(required)}")
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("OWNER", "KEY", "COUNTS"):
        table.add_column(column)
    for signer in found.signers:
        table.add_row(plain(signer.owner), signer.key[:16], "yes")
    for other in found.passed_over:
        table.add_row("-", other.key[:16] or "unknown", f"no: {other.why} ({other.format})")
    if table.row_count:
        out().print(table)
    if found.open_until is not None:
        left = format_seconds(max(0.0, found.open_until - time.time()))
        err().print(f"[yellow]opened:[/] two owners let it leave for {left} more: skerry audit")
    if found.note:
        err().print(f"[yellow]note:[/] {plain(found.note)}")
    if found.closed:
        err().print(f"[yellow]note:[/] {plain(found.closed)}: skerry root status")
    if found.missing:
        err().print(f"[yellow]missing:[/] {plain(found.missing)}")
    if found.admitted_at is not None:
        out().print(f"accepted   {ago(found.admitted_at, time.time())}")
