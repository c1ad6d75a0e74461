"""The commands about watched domains: see, snapshot, sign, check."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from skerry.app.names.domain_desk import DomainList, DomainRow, Snapshot
from skerry.base.errors import BadInput
from skerry.cli.horizon import when
from skerry.cli.options import AsJson, Config, DataDir, NodeUrl, connect
from skerry.cli.passphrases import Passphrase, passphrase
from skerry.cli.screen import Exit, err, out, plain, print_json

FILE_BYTES_MAX = 256 << 10

Domain = Annotated[str, typer.Argument(metavar="DOMAIN", show_default=False)]
Out = Annotated[
    Path | None, typer.Option("--out", "-o", metavar="FILE", help="Where it goes; stdout else.")
]


def list_(
    node: NodeUrl = None, config: Config = None, data_dir: DataDir = None, as_json: AsJson = False
) -> None:
    """List the watched domains, how they are and until when they are registered."""
    found = connect(node, config, data_dir).get("/api/v1/domains", DomainList)
    if as_json:
        print_json(found)
        return
    if not found.domains:
        out().print(plain("no domain is watched: [[dns.watch]] in the settings"))
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("DOMAIN", "STATE", "VERSION", "HEARD", "REGISTERED UNTIL"):
        table.add_column(column)
    for each in found.domains:
        table.add_row(
            plain(each.domain),
            _state(each),
            str(each.version or "none"),
            when(each.heard_at) if each.heard_at else "never",
            when(each.expires_at) if each.expires_at else "not known",
        )
    out().print(table)


def check(
    domain: Annotated[str, typer.Argument(metavar="[DOMAIN]", show_default=False)] = "",
    node: NodeUrl = None,
    config: Config = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Look at a watched domain now, or at all; exit code 1 when something has drifted."""
    client = connect(node, config, data_dir)
    found = client.post("/api/v1/domains/check", {"domain": domain}, DomainList)
    if as_json:
        print_json(found)
    else:
        for each in found.domains:
            _show(each)
    if any(each.drifts for each in found.domains):
        raise typer.Exit(Exit.FAILED)


def snapshot(
    domain: Domain,
    out_file: Out = None,
    node: NodeUrl = None,
    config: Config = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Write down what a node sees of a domain now, unsigned: read it, then sign it."""
    from urllib.parse import quote

    path = f"/api/v1/domains/snapshot?domain={quote(domain, safe='')}"
    found = connect(node, config, data_dir).get(path, Snapshot)
    if out_file is not None:
        _write(out_file, found.state.encode())
    if as_json:
        print_json(found)
    elif out_file is None:
        typer.echo(found.state, nl=False)
    for name in found.unknown:
        err().print(f"[yellow]note:[/] nobody could be asked for {name}: it is left out")
    if out_file is not None:
        err().print(f"read {plain(out_file)}, then: skerry domain sign {plain(out_file)} --key KEY")


def sign(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A snapshot, or a signed state.")],
    key: Annotated[Path, typer.Option(metavar="FILE", help="Your private key.")],
    out_file: Out = None,
    passphrase_file: Passphrase = None,
    as_json: AsJson = False,
) -> None:
    """Sign a state of a domain; a second key adds its signature to the first's. Asks no node."""
    # Cryptography takes longer to load than all the rest: other commands need not wait.
    from skerry.app.trust.signing_keys import load
    from skerry.trust.core.domain_state import read_envelope, read_state, signed, write_envelope

    signer = load(key, passphrase(passphrase_file))
    try:
        data = file.read_bytes()
    except OSError as error:
        raise BadInput(f"{file} cannot be read", next_step="name a snapshot") from error
    envelope = read_envelope(data[: FILE_BYTES_MAX + 1])
    state = read_state(envelope.payload)
    made = signed(envelope, signer.public, signer.sign)
    written = write_envelope(made)
    if out_file is not None:
        _write(out_file, written)
    elif not as_json:
        typer.echo(written.decode(), nl=False)
    told = {
        "domain": state.domain,
        "version": state.version,
        "key": signer.public.fingerprint,
        "signatures": len(made.signatures),
    }
    if as_json:
        print_json(told)
    else:
        count = len(made.signatures)
        err().print(f"signed version {state.version} of {state.domain} with key {signer.public}; ",
                    f"it has {count} signature{'s' if count > 1 else ''}")  # fmt: skip


def make_domain() -> typer.Typer:
    """The `domain` commands."""
    app = typer.Typer(no_args_is_help=True, help="Watch domains against a signed state.")
    app.command("list")(list_)
    app.command("check")(check)
    app.command("snapshot")(snapshot)
    app.command("sign")(sign)
    return app


def _state(each: DomainRow) -> str:
    if each.drifts:
        held = ", names held" if each.held else ""
        return f"[red]drifted: {', '.join(drift.aspect for drift in each.drifts)}{held}[/]"
    if not each.version:
        return "[yellow]no signed state[/]"
    return "[green]as signed[/]" if each.heard_at else "[yellow]not heard of yet[/]"


def _show(each: DomainRow) -> None:
    say = out().print
    say(f"[bold]{plain(each.domain)}[/]  {_state(each)}")
    for name, values in (
        ("parent NS", each.ns),
        ("own NS", each.own_ns),
        ("DS", each.ds),
        ("CAA", each.caa),
        ("status", each.status),
    ):
        said = "not heard of" if values is None else ", ".join(map(plain, values)) or "none"
        say(f"  {name:<10} {said}")
    if each.expires_at:
        say(f"  {'until':<10} {when(each.expires_at)}")
    for drift in each.drifts:
        err().print(f"[red]{plain(drift.aspect)}:[/] {plain(drift.what)}")
        err().print(f"        {plain(drift.next_step)}")


def _write(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError as error:
        raise BadInput(
            f"{path} cannot be written: {error.strerror}", next_step="name another file"
        ) from error
