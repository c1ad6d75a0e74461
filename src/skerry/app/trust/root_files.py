"""Root files where people make them: drafts, signatures, and the folder they are published in.

Owns those files: each is written whole or not at all. What may follow on what is
`trust.core.root`'s to say; nothing that a node would refuse is published.
"""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from skerry.app.trust.root_folder import GRACE_FILE, ROOT_FILE_BYTES_MAX, read_folder
from skerry.app.trust.signing_keys import SigningKey
from skerry.base.errors import BadInput, Party, SkerryError
from skerry.trust.core.keys import PublicKey
from skerry.trust.core.root import RootRefused, Signed, TrustRoot, climb, read_root, signed_by
from skerry.trust.core.root_making import signed_bytes, with_signature
from skerry.trust.core.standing import given_grace
from skerry.trust.core.statements import (
    Grace,
    Statement,
    grace_statement,
    read_grace,
    read_statement,
    signers_of,
)


class RootFileError(SkerryError):
    """A file cannot be read or written, or must not be."""

    party = Party.OPERATOR


@dataclass(frozen=True, slots=True)
class Added:
    """What one more signature came to.

    Attributes:
        who: the name of the key's holder, "" when the key is none's.
        lacking: how many more must sign, by the root before it and by itself; what is known here.
    """

    what: str
    who: str
    lacking: int


def newest(folder: Path) -> TrustRoot | None:
    """The newest root that the files of a folder lead to, None for an empty one.

    Raises RootRefused when they do not lead to their end.
    """
    files = read_folder(folder).roots
    if not files:
        return None
    found = climb(None, files, 0.0)
    if found.refused is not None:
        raise found.refused
    return found.root


def before(folder: Path | None, root: TrustRoot) -> TrustRoot | None:
    """The root that one would follow on, from a folder."""
    if folder is None or root.version == 1:
        return None
    data = read_folder(folder).roots.get(root.version - 1)
    return None if data is None else read_root(data)


def read_file(path: Path) -> bytes:
    """Raises RootFileError."""
    try:
        with path.open("rb") as file:
            return file.read(ROOT_FILE_BYTES_MAX + 1)
    except OSError as error:
        raise RootFileError(
            f"{path} cannot be read: {error.strerror}", next_step="name a root file or a draft"
        ) from error


def read_key(path: Path) -> str:
    """The text of a public key. Raises RootFileError."""
    try:
        return read_file(path).decode("ascii", "replace")
    except RootFileError as error:
        step = f"name the public key ({path.stem}.pub): its owner makes it with `skerry keys new`"
        raise RootFileError(f"the key {error.what}", next_step=step) from error


def write_file(path: Path, data: bytes, *, anew: bool = False) -> None:
    """Whole or not at all; with `anew` never over a file that is there. Raises RootFileError."""
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        if anew and path.exists():
            raise RootFileError(
                f"{path} is there already", next_step="choose another name, nothing was changed"
            )
        with fresh.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        raise RootFileError(
            f"{path} cannot be written: {error.strerror}", next_step="name a folder of yours"
        ) from error


def sign_file(path: Path, key: SigningKey, folder: Path | None) -> Added:
    """Adds a signature to a draft of a root, or to a grace. Raises SkerryError."""
    data = read_file(path)
    if _is_statement(data):
        return _sign_grace(path, data, key, folder)
    root = read_root(data)
    prior = before(folder, root)
    people = {each.key.fingerprint: each.name for each in (prior.holders if prior else ())}
    people |= {each.key.fingerprint: each.name for each in root.holders}
    who = people.get(key.public.fingerprint, "")
    if not who and (root.version == 1 or prior is not None):
        raise BadInput(
            f"key {key.public} is no holder's of root {root.version}",
            next_step="sign with a holder's key; `skerry root show` names them",
        )
    made = with_signature(data, key.public, key.sign(signed_bytes(data)))
    write_file(path, made)
    count = signed_by(read_root(made), prior)
    return Added(f"root {root.version}", who, max(count.lacking_old, count.lacking_new))


def publish(path: Path, folder: Path, now: float) -> str:
    """Puts a draft, or a grace, into a folder, if a node would take it there. Returns its name.

    Raises RootRefused, RootFileError.
    """
    data = read_file(path)
    trusted = newest(folder) if folder.exists() else None  # the first root makes it
    if _is_statement(data):
        if trusted is None:
            raise BadInput("there is no root in the folder", next_step="publish a root first")
        given_grace(trusted, data, now)
        write_file(folder / GRACE_FILE, data)
        return GRACE_FILE
    version = read_root(data).version
    if trusted is None and version != 1:
        raise RootRefused(
            f"root {version} cannot be the first",
            next_step="publish into the folder that has the roots before it",
        )
    found = climb(trusted, {version: data}, now)
    if found.refused is not None:
        raise found.refused
    if not found.taken:
        raise BadInput(f"root {version} is published already", next_step="nothing is to be done")
    name = f"{version}.root.json"
    _make_folder(folder)
    write_file(folder / name, data, anew=True)
    return name


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise RootFileError(
            f"{folder} cannot be made: {error.strerror}", next_step="name a folder of yours"
        ) from error


def new_grace(root: TrustRoot, path: Path, *, now: float, seconds: float, reason: str) -> None:
    """A grace that nobody has signed yet. Raises BadInput, RootFileError."""
    begins_at = float(int(max(now, root.expires_at)))
    grace = Grace(root.version, root.digest, begins_at, begins_at + seconds, reason)
    write_file(path, grace_statement(grace).encoded(), anew=True)


def shown(path: Path, folder: Path | None) -> tuple[TrustRoot, Signed, TrustRoot | None]:
    """A root, who signed it, and the one before it if it is known. Raises RootRefused."""
    root = read_root(read_file(path))
    prior = before(folder, root)
    return root, signed_by(root, prior), prior


def public_of(path: Path) -> PublicKey:
    """The public key of a file. Raises BadInput, RootFileError."""
    from skerry.trust.core.keys import parse_public_key

    try:
        return parse_public_key(read_file(path))
    except BadInput as error:
        raise BadInput(f"{path}: {error.what}", next_step=error.next_step) from error


def _is_statement(data: bytes) -> bool:
    return b'"payloadType"' in data


def _sign_grace(path: Path, data: bytes, key: SigningKey, folder: Path | None) -> Added:
    statement = read_statement(data)
    grace = read_grace(statement)
    root = newest(folder) if folder is not None else None
    who = ""
    if root is not None:
        people = {each.key.fingerprint: each.name for each in root.holders}
        who = people.get(key.public.fingerprint, "")
        if not who:
            raise BadInput(
                f"key {key.public} is no holder's of root {root.version}",
                next_step="sign with a holder's key",
            )
    made: Statement = statement.signed(key.public, key.sign(statement.message))
    write_file(path, made.encoded())
    lacking = 0
    if root is not None:
        lacking = root.threshold - len(signers_of(made, (each.key for each in root.holders)))
    return Added(f"a grace for root {grace.root_version}", who, max(0, lacking))
