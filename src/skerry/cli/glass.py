"""The commands for an emergency: serve an image that lacks signatures, and read who did so when.

Private keys are read where the command runs; the node gets a statement that two owners signed.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from skerry.app.trust.shapes import AuditPage, GlassBroken, GlassTerms
from skerry.base.digest import Digest
from skerry.base.errors import BadInput
from skerry.base.units import format_seconds, parse_seconds
from skerry.cli.admin_client import AdminClient, about
from skerry.cli.options import AsJson, Config, DataDir, NodeUrl, connect
from skerry.cli.passphrases import passphrase
from skerry.cli.screen import Exit, err, out, plain, print_json
from skerry.trust.core.audit import BEGINNING, Entry, broken_at

if TYPE_CHECKING:  # cryptography takes longer to load than all the rest
    from skerry.trust.core.statements import Glass, Statement

OWNERS_MIN = 2
PATH = "/api/v1/break-glass"

Keys = Annotated[
    list[Path], typer.Option("--key", metavar="FILE", help="A private key; of two owners, repeat.")
]
Passphrases = Annotated[
    list[Path] | None,
    typer.Option("--passphrase-file", metavar="FILE", help="For each key, in the same order.",
                 show_default=False),
]  # fmt: skip


def break_glass(
    image: Annotated[str, typer.Argument(metavar="IMAGE", show_default=False)],
    key: Keys,
    for_: Annotated[str, typer.Option("--for", metavar="TIME", help="At most 24h.")] = "1h",
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why.", show_default=False)] = "",
    statement: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Where the first owner leaves it for the second.",
                     show_default=False),
    ] = None,
    passphrase_file: Passphrases = None,
    node: NodeUrl = None,
    config: Config = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Serve an image that lacks signatures for a short time, by the word of two owners."""
    client = connect(node, config, data_dir)
    terms = client.get(about(PATH, image), GlassTerms)
    if statement is not None and statement.exists():
        made, glass = _read(statement, terms)
    else:
        made, glass = _new(terms, for_, reason)
    made = _signed(made, key, passphrase_file or ())
    if len(made.signatures) < OWNERS_MIN:
        _leave(made, statement, image)
        return
    done = _send(client, image, made)
    if as_json:
        print_json(done)
        return
    out().print(f"{plain(done.digest)} leaves until {_clock(done.until)}")
    out().print(f"by {plain(' and '.join(done.owners))}: {plain(glass.reason)}")
    out().print(f"entry {done.entry} of the audit: skerry audit")


def audit(
    head: Annotated[
        str,
        typer.Option(metavar="HASH", help="One noted before: it must still be in the chain.",
                     show_default=False),
    ] = "",
    node: NodeUrl = None,
    config: Config = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Show who broke the glass and changed the root, and whether the chain of entries holds."""
    entries = _entries(connect(node, config, data_dir))
    broken = broken_at(entries)
    last = entries[-1].hash if entries else BEGINNING
    missing = bool(head) and head not in {BEGINNING, *(each.hash for each in entries)}
    if as_json:
        told = [{"number": e.number, "hash": e.hash, **json.loads(e.text)} for e in entries]
        holds = broken is None and not missing
        print_json({"holds": holds, "broken_at": broken, "head": last, "entries": told})
    else:
        _show(entries)
        if broken is not None:
            err().print(f"[red]the chain breaks at entry {broken}:[/] somebody has changed it")
        elif missing:
            err().print(f"[red]{plain(head)} is not in the chain:[/] it was made anew, or cut")
        else:
            out().print(f"the chain holds; its head is {last}")
    if broken is not None or missing:
        raise typer.Exit(Exit.FAILED)


def _new(terms: GlassTerms, for_: str, reason: str) -> tuple[Statement, Glass]:
    from skerry.trust.core.statements import Glass, glass_statement

    begins_at = float(int(time.time()))
    glass = Glass(
        Digest.parse(terms.digest),
        terms.policy,
        terms.version,
        terms.node,
        begins_at,
        begins_at + parse_seconds(for_),
        reason,
    )
    return glass_statement(glass), glass


def _read(path: Path, terms: GlassTerms) -> tuple[Statement, Glass]:
    """What another owner signed, shown before it is signed again. Raises BadInput."""
    from skerry.app.trust.root_files import read_file
    from skerry.trust.core.statements import read_glass, read_statement

    made = read_statement(read_file(path))
    glass = read_glass(made)
    if (str(glass.digest), glass.version, glass.node) != (terms.digest, terms.version, terms.node):
        raise BadInput(
            f"{path} is for another image, policy or node than {terms.reference} here",
            next_step="begin a new one under another name",
        )
    err().print(f"signing for {plain(terms.digest)} until {_clock(glass.ends_at)}")
    err().print(f"because: {plain(glass.reason)}")
    return made, glass


def _signed(made: Statement, keys: Sequence[Path], passphrases: Sequence[Path]) -> Statement:
    from skerry.app.trust.signing_keys import load

    for number, path in enumerate(keys):
        key = load(path, passphrase(passphrases[number] if number < len(passphrases) else None))
        made = made.signed(key.public, key.sign(made.message))
    return made


def _leave(made: Statement, path: Path | None, image: str) -> None:
    if path is None:
        raise BadInput(
            "one owner is not enough",
            next_step="give --key of a second one, or --statement FILE to pass on",
        )
    from skerry.app.trust.root_files import write_file

    write_file(path, made.encoded())
    out().print(f"{path} is signed by one: nothing is open yet; a second owner does")
    out().print(f"skerry break-glass {plain(image)} --statement {path} --key THEIRS")


def _send(client: AdminClient, image: str, made: Statement) -> GlassBroken:
    body = {"reference": image, "statement": base64.b64encode(made.encoded()).decode()}
    return client.post(PATH, body, GlassBroken)


def _entries(client: AdminClient) -> list[Entry]:
    found: list[Entry] = []
    while True:
        after = found[-1].number if found else 0
        page = client.get(f"/api/v1/audit?after={after}", AuditPage).entries
        if not page:
            return found
        found += page


def _show(entries: Sequence[Entry]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("NR", "WHEN", "WHAT", "OF", "BY", "UNTIL", "WHY"):
        table.add_column(column)
    for each in entries:
        try:
            said = json.loads(each.text)
        except ValueError:
            said = {}
        until = _clock(float(said["until"])) if "until" in said else ""
        table.add_row(
            str(each.number),
            _clock(float(said.get("at", 0))),
            plain(str(said.get("deed", "?"))),
            plain(str(said.get("subject", "?"))[:26]),
            plain(", ".join(said.get("who", ()))),
            until,
            plain(str(said.get("reason", ""))),
        )
    if table.row_count:
        out().print(table)


def _clock(at: float) -> str:
    left = at - time.time()
    said = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(at))
    return f"{said} ({format_seconds(left)})" if left > 0 else said
