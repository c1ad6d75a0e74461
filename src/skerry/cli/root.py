"""The commands about the root of trust: people who do not sit together make, sign and publish it.

Nothing here talks to a node but `status`; private keys are read where the command runs.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from skerry.app.trust.shapes import RootReport
from skerry.base.errors import BadInput
from skerry.base.units import format_seconds, parse_seconds
from skerry.cli.options import AsJson, Config, DataDir, NodeUrl, connect
from skerry.cli.passphrases import Passphrase, passphrase
from skerry.cli.screen import Exit, err, out, plain, print_json

if TYPE_CHECKING:  # cryptography takes longer to load than all the rest
    from skerry.trust.core.keys import PublicKey
    from skerry.trust.core.root import TrustRoot

Draft = Annotated[Path, typer.Argument(metavar="FILE", show_default=False)]
Folder = Annotated[Path, typer.Argument(metavar="FOLDER", show_default=False)]
Beside = Annotated[
    Path | None,
    typer.Option("--folder", metavar="DIR", help="Where the roots before it are.",
                 show_default=False),
]  # fmt: skip
Holders = Annotated[
    list[str] | None,
    typer.Option("--holder", metavar="NAME=FILE", help="A person's public key; repeat it.",
                 show_default=False),
]  # fmt: skip
Expires = Annotated[str, typer.Option("--expires", metavar="TIME", help="From now.")]


def new(
    file: Draft,
    holder: Holders = None,
    threshold: Annotated[int, typer.Option(help="How many of them must sign.")] = 2,
    expires: Expires = "365d",
) -> None:
    """Begin a root: who holds its keys, and how many of them must sign. Nobody has yet."""
    from skerry.app.trust.root_files import write_file
    from skerry.trust.core.root_making import draft

    people = _people(holder)
    if not people:
        raise BadInput("a root has holders", next_step="write --holder ann=ann.pub, for each")
    data = draft(
        version=1,
        expires_at=time.time() + parse_seconds(expires),
        threshold=threshold,
        holders=people,
        section={},
    )
    write_file(file, data, anew=True)
    out().print(f"{file} is a draft: add owners with `skerry keys add {file} OWNER FILE.pub`,")
    out().print(
        f"then let {threshold} of {', '.join(people)} sign it with `skerry root sign {file}`"
    )


def following(
    folder: Folder,
    file: Draft,
    holder: Holders = None,
    threshold: Annotated[
        int | None, typer.Option(help="If it changes.", show_default=False)
    ] = None,
    expires: Expires = "365d",
) -> None:
    """Begin the root after the newest in a folder; with --holder the people are others."""
    from skerry.app.trust.root_files import write_file
    from skerry.trust.core.root_making import next_draft

    root = _newest(folder)
    data = next_draft(
        root,
        expires_at=time.time() + parse_seconds(expires),
        threshold=threshold,
        holders=_people(holder) or None,
    )
    write_file(file, data, anew=True)
    needed = f"{root.threshold} holders of root {root.version} and enough of its own"
    out().print(f"{file} is a draft of root {root.version + 1}: {needed} must sign it")


def sign(
    file: Draft,
    key: Annotated[Path, typer.Option(metavar="FILE", help="Your private key.")],
    folder: Beside = None,
    passphrase_file: Passphrase = None,
) -> None:
    """Sign a draft or a grace. Change it afterwards, and the signatures are gone."""
    from skerry.app.trust.root_files import sign_file
    from skerry.app.trust.signing_keys import load

    added = sign_file(file, load(key, passphrase(passphrase_file)), folder)
    out().print(f"signed {added.what}" + (f" as {plain(added.who)}" if added.who else ""))
    if added.lacking:
        out().print(f"{added.lacking} more must sign: pass {file} on")
    else:
        out().print(f"publish it: skerry root publish {file} FOLDER")


def policy(
    file: Draft,
    name: Annotated[str, typer.Argument(metavar="NAME", show_default=False)],
    threshold: Annotated[int, typer.Option(help="Owners that must sign, at least.")] = 1,
    owner: Annotated[
        list[str] | None, typer.Option(help="Only these count; repeat it.", show_default=False)
    ] = None,
    required: Annotated[
        list[str] | None, typer.Option(help="Must be among them; repeat it.", show_default=False)
    ] = None,
) -> None:
    """Say in a draft what a policy of this name asks at least, at every node."""
    from skerry.app.trust.root_files import read_file, write_file
    from skerry.trust.core.root_making import section_of, with_floor, with_section

    data = read_file(file)
    section = with_floor(
        section_of(data), name, threshold=threshold, required=required or (), owners=owner or ()
    )
    write_file(file, with_section(data, section))
    out().print(f"{file}: a policy {plain(name)} asks for {threshold} owners or more")


def publish(file: Draft, folder: Folder) -> None:
    """Put what is signed enough into the folder that nodes read; a draft that lacks is refused."""
    from skerry.app.trust.root_files import publish as put

    name = put(file, folder, time.time())
    out().print(f"{folder / name} is published")
    out().print("nodes take it at `skerry reload`, and at their next start")


def grace(
    folder: Folder,
    file: Draft,
    for_: Annotated[str, typer.Option("--for", metavar="TIME", help="Past the root's end.")] = "7d",
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why.", show_default=False)] = "",
) -> None:
    """Begin a grace: so many holders as a root takes say that it may be used a while longer."""
    from skerry.app.trust.root_files import new_grace

    root = _newest(folder)
    new_grace(root, file, now=time.time(), seconds=parse_seconds(for_), reason=reason)
    out().print(f"{file} is a grace for root {root.version}: {root.threshold} holders must sign it")
    out().print(f"with `skerry root sign {file} --folder {folder} --key ...`")


def show(file: Draft, folder: Beside = None, as_json: AsJson = False) -> None:
    """Show what a root or a draft says, who signed it, and what it lacks."""
    from skerry.app.trust.root_files import shown

    root, signed, before = shown(file, folder)
    report = {
        "version": root.version,
        "expires_at": root.expires_at,
        "threshold": root.threshold,
        "holders": [each.name for each in root.holders],
        "signed": sorted({*signed.new, *signed.old}),
        "lacking": signed.lacking_new,
        "lacking_before": signed.lacking_old if before is not None else None,
        "owners": sorted({each.owner for each in root.owners.keys}),
        "sha256": root.digest,
    }
    if as_json:
        print_json(report)
    else:
        holders = ", ".join(each.name for each in root.holders)
        out().print(f"root {root.version}  {root.threshold} of {plain(holders)} must sign")
        out().print(f"sha256     {root.digest}")
        out().print(f"ends       {_when(root.expires_at)}")
        out().print(
            f"signed     {plain(', '.join(sorted({*signed.new, *signed.old})) or 'nobody')}"
        )
        if signed.lacking_new:
            err().print(f"[yellow]missing:[/] {signed.lacking_new} more of its own holders")
        if before is not None and signed.lacking_old:
            err().print(
                f"[yellow]missing:[/] {signed.lacking_old} more holders of root {before.version}"
            )
        if before is None and root.version > 1:
            err().print("[yellow]note:[/] give --folder to count holders of the root before it")
    if not signed.enough:
        raise typer.Exit(Exit.FAILED)


def status(
    node: NodeUrl = None, config: Config = None, data_dir: DataDir = None, as_json: AsJson = False
) -> None:
    """Show how the root of a running node stands; 1 when it has expired."""
    found = connect(node, config, data_dir).get("/api/v1/root", RootReport)
    if as_json:
        print_json(found)
    elif not found.standing:
        out().print("this node has no root of trust: its policies list their keys")
    else:
        _show_status(found)
    if found.standing == "expired":
        raise typer.Exit(Exit.FAILED)


def make_root() -> typer.Typer:
    """The `root` commands."""
    app = typer.Typer(no_args_is_help=True, help="Whose keys count, as several people say it.")
    commands = (new, sign, policy, publish, grace, show, status)
    for command in commands:
        app.command(command.__name__)(command)
    app.command("next")(following)
    return app


def _show_status(found: RootReport) -> None:
    colour = {"valid": "green", "grace": "yellow"}.get(found.standing, "red")
    out().print(f"root {found.version}  [{colour}]{found.standing}[/]")
    out().print(f"ends       {_when(found.expires_at)}")
    if found.grace_until is not None:
        out().print(f"grace      until {_when(found.grace_until)}: {plain(found.grace_reason)}")
    out().print(f"holders    {plain(', '.join(found.holders))}, {found.threshold} must sign")
    out().print(f"owners     {plain(', '.join(found.owners))}")
    if found.standing == "expired":
        err().print("[yellow]note:[/] what was admitted is served; nothing new is admitted")
    for trouble in found.unmeetable:
        err().print(f"[yellow]note:[/] nobody can meet {plain(trouble)}")


def show_owners(path: Path) -> Table:
    """The keys of the owners of a root, as a table."""
    from skerry.app.trust.root_files import newest, read_file
    from skerry.trust.core.root import read_root

    root = newest(path) if path.is_dir() else read_root(read_file(path))
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("OWNER", "KEY", "KIND", "STATE"):
        table.add_column(column)
    for each in root.owners.keys if root is not None else ():
        state = "revoked" if each.revoked else "counts"
        if each.expires_at is not None and not each.revoked:
            state = f"until {_when(each.expires_at)}"
        kind = "authority" if each.authority else each.key.algorithm.value
        table.add_row(plain(each.owner), each.key.fingerprint[:16], kind, state)
    return table


def _newest(folder: Path) -> TrustRoot:
    from skerry.app.trust.root_files import newest

    root = newest(folder)
    if root is None:
        raise BadInput(f"there is no root in {folder}", next_step="begin one: skerry root new FILE")
    return root


def _people(pairs: list[str] | None) -> dict[str, PublicKey]:
    from skerry.app.trust.root_files import public_of

    people: dict[str, PublicKey] = {}
    for pair in pairs or ():
        name, equals, path = pair.partition("=")
        if not equals or not name or not path:
            raise BadInput(f"--holder {pair!r} is not NAME=FILE", next_step="write ann=ann.pub")
        if name in people:
            raise BadInput(f"{name} is named twice", next_step="a person holds one key")
        people[name] = public_of(Path(path))
    return people


def _when(at: float) -> str:
    day = time.strftime("%Y-%m-%d %H:%MZ", time.gmtime(at))
    left = at - time.time()
    return f"{day} (in {format_seconds(left)})" if left > 0 else f"{day} (it has ended)"
