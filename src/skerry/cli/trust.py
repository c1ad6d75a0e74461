"""The commands about signatures: sign images, see whose word an image has."""

from __future__ import annotations

import base64
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from skerry.base.digest import Digest
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
    if not found.accepted:
        raise typer.Exit(Exit.FAILED)


def sign(
    image: Image,
    key: Annotated[Path, typer.Option(metavar="FILE", help="Your private key.")],
    passphrase_file: Passphrase = None,
    node: NodeUrl = None,
    config: Config = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Sign an image that was pushed to this node, as cosign would; the key stays here."""
    # Cryptography takes longer to load than all the rest: other commands need not wait.
    from skerry.app.signing_keys import load
    from skerry.trust.core.cosign import payload_of

    signer = load(key, passphrase(passphrase_file))
    client = connect(node, config, data_dir)
    held = client.get(about("/api/v1/signatures", image), Verified)
    repository = held.reference.partition("@")[0].rpartition(":")[0]
    payload = payload_of(Digest.parse(held.digest), reference=repository)
    body = {
        "reference": f"{repository}@{held.digest}",
        "payload": base64.b64encode(payload).decode(),
        "signature": base64.b64encode(signer.sign(payload)).decode(),
    }
    made = client.post("/api/v1/signatures", body, Signed)
    if as_json:
        print_json(made)
        return
    out().print(f"signed {plain(made.digest)} with key {signer.public}")
    out().print(f"{plain(made.reference)} has {made.signatures} signatures: skerry verify")


def _show(found: Verified) -> None:
    said = "may leave" if found.accepted else "is held back"
    colour = "green" if found.accepted else "red"
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
        table.add_row("-", other.key[:16], f"no: {other.why} ({other.format})")
    if table.row_count:
        out().print(table)
    if found.missing:
        err().print(f"[yellow]missing:[/] {plain(found.missing)}")
    if found.admitted_at is not None:
        out().print(f"accepted   {ago(found.admitted_at, time.time())}")
