"""The commands about keys: make one, and say in a draft of a root whose count and whose do not."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from skerry.base.errors import BadInput
from skerry.base.units import parse_seconds
from skerry.cli.options import AsJson
from skerry.cli.passphrases import Passphrase, new_passphrase, passphrase
from skerry.cli.root import show_owners
from skerry.cli.screen import out, plain, print_json

Draft = Annotated[
    Path, typer.Argument(metavar="FILE", help="A draft of a root.", show_default=False)
]
Owner = Annotated[str, typer.Argument(metavar="OWNER", show_default=False)]
Public = Annotated[
    Path, typer.Argument(metavar="KEY", help="A public key in PEM.", show_default=False)
]


def new(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where the private key goes.")],
    algorithm: Annotated[
        str, typer.Option(metavar="NAME", help="ecdsa (as cosign makes), ed25519 or rsa.")
    ] = "ecdsa",
    passphrase_file: Passphrase = None,
    unencrypted: Annotated[
        bool, typer.Option("--unencrypted", help="Without a passphrase: whoever has FILE can sign.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make a key to sign with: FILE for you alone, FILE.pub for policies and roots."""
    from skerry.app.trust.signing_keys import Kind, make

    if algorithm not in set(Kind):
        raise BadInput(f"{algorithm!r} is no algorithm", next_step=f"choose {', '.join(Kind)}")
    public = make(file, Kind(algorithm), new_passphrase(passphrase_file, unencrypted=unencrypted))
    beside = file.with_suffix(".pub")
    if as_json:
        print_json({"key": str(file), "public_key": str(beside), "fingerprint": public.fingerprint})
        return
    out().print(f"{file} is yours alone; keep a copy where this machine cannot lose it")
    out().print(f'{beside} goes into a policy: file = "{beside}", owner = ...; or into a root')
    out().print(f"fingerprint {public.fingerprint}")


def certificate(
    key: Annotated[Path, typer.Argument(metavar="KEY", show_default=False)],
    name: Annotated[str, typer.Option(metavar="TEXT", help="Whom it is for.", show_default=False)],
    days: Annotated[int, typer.Option(help="How long it is valid.", min=1, max=3650)] = 365,
    passphrase_file: Passphrase = None,
) -> None:
    """Make a certificate of a key for itself, to sign with in Notation's format: KEY.crt."""
    from skerry.app.trust.signing_keys import NOTATION_CURVES, certify, load

    signer = load(key, passphrase(passphrase_file), curves=NOTATION_CURVES)
    file = key.with_suffix(".crt")
    certify(file, signer, name, now=time.time(), days=days)
    out().print(f'{file} goes into a policy: file = "{file}", owner = ..., authority = true')
    out().print(f"sign: skerry sign IMAGE --format notation --key {key} --certificate {file}")


def list_(
    path: Annotated[
        Path,
        typer.Argument(metavar="PATH", help="A root, a draft or a folder.", show_default=False),
    ],
) -> None:
    """List whose keys count for policies, by a root."""
    table = show_owners(path)
    if table.row_count:
        out().print(table)
    else:
        out().print("no owner has a key there: skerry keys add FILE OWNER KEY")


def add(
    file: Draft,
    owner: Owner,
    key: Public,
    authority: Annotated[
        bool, typer.Option("--authority", help="It is a certificate authority's.")
    ] = False,
    expires: Annotated[
        str, typer.Option("--expires", metavar="DAY", help="2027-01-31.", show_default=False)
    ] = "",
) -> None:
    """Add an owner's key to a draft."""
    from skerry.app.trust.root_files import read_file, read_key
    from skerry.trust.core.root_making import section_of, with_key

    data = read_file(file)
    pem = read_key(key)
    _write(file, data, with_key(section_of(data), owner, pem, authority=authority, expires=expires))
    out().print(f"{file}: {plain(owner)} has {key}")


def rotate(
    file: Draft,
    owner: Owner,
    key: Public,
    old_for: Annotated[
        str, typer.Option("--old-for", metavar="TIME", help="How long the old keys still count.")
    ] = "90d",
) -> None:
    """Give an owner another key in a draft; the old ones count until they end."""
    from skerry.app.trust.root_files import read_file, read_key
    from skerry.trust.core.root_making import section_of, with_ends, with_key

    data = read_file(file)
    ends = datetime.fromtimestamp(int(time.time() + parse_seconds(old_for)), UTC)
    section = with_ends(section_of(data), owner, ends.isoformat().replace("+00:00", "Z"))
    _write(file, data, with_key(section, owner, read_key(key)))
    out().print(f"{file}: {plain(owner)} has {key}; the old keys count until {ends:%Y-%m-%d}")
    out().print("sign anew, until then, what should go on being served after a change of policy")


def revoke(
    file: Draft,
    owner: Owner,
    key: Annotated[
        Path | None,
        typer.Option("--key", metavar="FILE", help="Only this one of theirs.", show_default=False),
    ] = None,
) -> None:
    """Revoke an owner's keys in a draft: they count for nothing, whenever they signed."""
    from skerry.app.trust.root_files import public_of, read_file
    from skerry.trust.core.root_making import section_of, with_revoked

    data = read_file(file)
    wanted = None if key is None else public_of(key).fingerprint
    _write(file, data, with_revoked(section_of(data), owner, wanted))
    out().print(f"{file}: what {plain(owner)} signed with it counts for nothing")
    out().print("let the holders sign the draft, publish it, and reload the nodes")


def make_keys() -> typer.Typer:
    """The `keys` commands."""
    app = typer.Typer(no_args_is_help=True, help="Make keys, and say whose count.")
    app.command("new")(new)
    app.command("certificate")(certificate)
    app.command("list")(list_)
    app.command("add")(add)
    app.command("rotate")(rotate)
    app.command("revoke")(revoke)
    return app


def _write(file: Path, data: bytes, section: dict[str, dict[str, object]]) -> None:
    from skerry.app.trust.root_files import write_file
    from skerry.trust.core.root_making import with_section

    write_file(file, with_section(data, section))
