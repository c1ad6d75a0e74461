"""The root of trust: who may say whose keys count, and whose keys count.

Owns the reading of root metadata and the one way from a root to the next: its version is one more,
and both the old and the new threshold of keys have signed it (TUF specification 5.3). The file is a
TUF root; which owners' keys count for policies stands in its member `x-skerry`, under the same
signatures. One key is one key whatever it is called, and one person has one (known failures T41).
Never reads a file, never asks what time it is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from securesystemslib.signer import Key  # type: ignore[attr-defined]
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, Root  # type: ignore[attr-defined]
from tuf.api.serialization import SerializationError

from skerry.base.errors import BadInput, Party, SkerryError
from skerry.trust.core.keys import PublicKey, parse_public_key, public_key
from skerry.trust.core.root_owners import RootOwners, read_owners
from skerry.wire.strict_json import load_object

ROOT_BYTES_MAX = 256 << 10
HOLDERS_MAX = 64
ROOTS_MAX = 256
"""Steps in one climb: nobody rotates a root so often while a node is off."""
HOLDER = "x-skerry-holder"
"""Of a key: the person who has it."""
SECTION = "x-skerry"
SCHEMES = frozenset(("ed25519", "ecdsa-sha2-nistp256"))


class Fault(StrEnum):
    """What is wrong with a root."""

    INVALID = "invalid"
    ROLLBACK = "rollback"
    EXPIRED = "expired"


class RootRefused(SkerryError):
    """A root that is not taken; what was trusted before goes on."""

    party = Party.OPERATOR

    def __init__(self, what: str, *, fault: Fault = Fault.INVALID, next_step: str = "") -> None:
        super().__init__(what, next_step=next_step or _STEPS[fault])
        self.fault = fault


_STEPS = {
    Fault.INVALID: "see what it lacks with `skerry root show`; nothing was changed",
    Fault.ROLLBACK: "put the newest root files back into the folder",
    Fault.EXPIRED: "let the holders sign a new root, or a grace",
}


@dataclass(frozen=True, slots=True)
class Holder:
    """A person who has a root key, and its public half."""

    name: str
    key: PublicKey
    key_id: str


@dataclass(frozen=True, slots=True)
class TrustRoot:
    """A root as it was read.

    Attributes:
        expires_at: seconds since the epoch; what was admitted before stays so.
        threshold: how many holders must sign a next root, or a grace.
        digest: hex SHA-256 of what is signed: the same root with one more signature is the same.
        owners: whose keys count for policies.
        body: the whole file.
    """

    version: int
    expires_at: float
    threshold: int
    holders: tuple[Holder, ...]
    digest: str
    owners: RootOwners
    body: bytes


@dataclass(frozen=True, slots=True)
class Signed:
    """Who signed a root.

    Attributes:
        old, new: names that counted by the root before it, and by itself.
        lacking_old, lacking_new: how many more must sign.
    """

    old: tuple[str, ...]
    new: tuple[str, ...]
    lacking_old: int
    lacking_new: int

    @property
    def enough(self) -> bool:
        """Whether it may be trusted."""
        return not self.lacking_old and not self.lacking_new


def read_root(data: bytes) -> TrustRoot:
    """What a file says, whoever signed it. Raises RootRefused."""
    try:
        signed = _metadata(data)
        found = TrustRoot(
            version=signed.signed.version,
            expires_at=signed.signed.expires.timestamp(),
            threshold=_role_of(signed.signed)[1],
            holders=_holders(signed.signed),
            digest=hashlib.sha256(signed.signed_bytes).hexdigest(),
            owners=read_owners(signed.signed.unrecognized_fields.get(SECTION)),
            body=data,
        )
    except BadInput as error:
        raise RootRefused(f"the root cannot be read: {error.what}") from error
    return found


def signed_by(root: TrustRoot, before: TrustRoot | None) -> Signed:
    """Who signed it, counted by the root before it and by itself. Raises RootRefused.

    Without one before it, it is the first, and only its own keys count.
    """
    mine = _metadata(root.body)
    theirs = mine.signed if before is None else _metadata(before.body).signed
    old, lacking_old = _counted(theirs, mine)
    new, lacking_new = _counted(mine.signed, mine)
    return Signed(old, new, lacking_old, lacking_new)


def first_root(data: bytes) -> TrustRoot:
    """A root that nothing stands before: enough of its own holders signed it. Raises
    RootRefused."""
    return _enough(read_root(data), None)


def next_root(trusted: TrustRoot, data: bytes) -> TrustRoot:
    """The root after a trusted one. Raises RootRefused."""
    found = read_root(data)
    if found.version < trusted.version:
        raise RootRefused(
            f"root {found.version} is older than root {trusted.version}, which is trusted",
            fault=Fault.ROLLBACK,
        )
    if found.version == trusted.version:
        if found.digest == trusted.digest:
            return trusted
        raise RootRefused(
            f"root {found.version} is another one than the root {found.version} that is trusted",
            fault=Fault.ROLLBACK,
            next_step="find out who made it; a change is a root of the next version",
        )
    if found.version != trusted.version + 1:
        raise RootRefused(
            f"root {found.version} does not follow on root {trusted.version}",
            next_step=f"put {trusted.version + 1}.root.json beside it",
        )
    return _enough(found, trusted)


@dataclass(frozen=True, slots=True)
class Climb:
    """Where a row of roots leads.

    Attributes:
        root: what is trusted now; None when nothing is.
        taken: the roots that are new, in order.
        refused: why it ended before its end; None when it did not.
    """

    root: TrustRoot | None
    taken: tuple[TrustRoot, ...] = ()
    refused: RootRefused | None = None


def climb(trusted: TrustRoot | None, files: Mapping[int, bytes], now: float) -> Climb:
    """Goes up from what is trusted as far as the files lead. `now` in seconds since the epoch.

    A root in between may have expired, the last one may not (TUF 5.3.10); with nothing trusted yet
    an expired root is better than none: it admits nothing, and a next one can follow on it.
    """
    if trusted is not None and (behind := _behind(trusted, files)) is not None:
        return Climb(trusted, (), behind)
    at, taken = trusted, []
    refused: RootRefused | None = None
    if not files:
        return Climb(trusted)
    numbers = sorted(each for each in files if trusted is None or each > trusted.version)
    try:
        for number in numbers[:ROOTS_MAX]:
            found = first_root(files[number]) if at is None else next_root(at, files[number])
            if found.version != number:
                raise RootRefused(f"it holds root {found.version}")
            at = found
            taken.append(found)
    except RootRefused as error:
        refused = _named(number, error)
    if trusted is not None and taken and taken[-1].expires_at <= now:
        expired = RootRefused(f"root {taken[-1].version} has expired", fault=Fault.EXPIRED)
        return Climb(trusted, (), refused or expired)
    return Climb(at, tuple(taken), refused)


def _behind(trusted: TrustRoot, files: Mapping[int, bytes]) -> RootRefused | None:
    """Files that were put back to what they were, or of a root that never was (a folder without
    any is one that is not filled yet: what is trusted goes on)."""
    if not files:
        return None
    if max(files) < trusted.version:
        return RootRefused(
            f"the newest file is of root {max(files)}, and root {trusted.version} is trusted",
            fault=Fault.ROLLBACK,
        )
    same = files.get(trusted.version)
    try:
        if same is not None and same != trusted.body:
            next_root(trusted, same)
    except RootRefused as error:
        return _named(trusted.version, error)
    return None


def file_name(number: int) -> str:
    """What the file of a root is called in its folder."""
    return f"{number}.root.json"


def _named(number: int, error: RootRefused) -> RootRefused:
    """With the file that is at fault: a folder has many, and a reload may take some."""
    what = f"{file_name(number)}: {error.what}"
    return RootRefused(what, fault=error.fault, next_step=error.next_step)


def _enough(found: TrustRoot, before: TrustRoot | None) -> TrustRoot:
    count = signed_by(found, before)
    if count.enough:
        return found
    of = f"root {found.version}"
    if count.lacking_old and before is not None:
        raise RootRefused(
            f"{of} lacks signatures of {count.lacking_old} more holders of root {before.version}"
        )
    raise RootRefused(f"{of} lacks signatures of {count.lacking_new} more of its own holders")


def _counted(by: Root, signed: Metadata[Root]) -> tuple[tuple[str, ...], int]:
    """Python-tuf counts key ids; that each is another key of another person was checked before."""
    holders = {each.key_id: each.name for each in _holders(by)}
    made = by.get_verification_result(Root.type, signed.signed_bytes, signed.signatures)
    names = tuple(sorted(holders[each] for each in made.signed))
    return names, max(0, made.threshold - len(names))


def _metadata(data: bytes) -> Metadata[Root]:
    load_object(data, bytes_max=ROOT_BYTES_MAX)  # no member twice, no NaN, not without end
    try:
        found = Metadata[Root].from_bytes(data)
    except (SerializationError, RepositoryError, ValueError, KeyError, TypeError) as error:
        raise RootRefused("the file is no TUF metadata") from error
    if not isinstance(found.signed, Root):
        raise RootRefused("the file is metadata of another role than root")
    return found


def _role_of(root: Root) -> tuple[list[str], int]:
    role = root.roles[Root.type]
    ids = list(role.keyids)
    if not 1 <= role.threshold <= len(ids) <= HOLDERS_MAX:
        raise BadInput(f"{role.threshold} of {len(ids)} holders must sign: nobody can meet that")
    return ids, role.threshold


def _holders(root: Root) -> tuple[Holder, ...]:
    """The people of the root role. Raises BadInput for two keys of one, or one under two ids."""
    found: list[Holder] = []
    for key_id in _role_of(root)[0]:
        key = root.keys.get(key_id)
        if key is None:
            raise BadInput(f"the key {key_id[:16]} is named and not there")
        name = key.unrecognized_fields.get(HOLDER, key_id[:16])
        found.append(Holder(str(name), _public(key), key_id))
    for what in ({each.key.fingerprint for each in found}, {each.name for each in found}):
        if len(what) != len(found):
            raise BadInput("one key, or one person, stands there twice")
    return tuple(sorted(found, key=lambda each: each.name))


def _public(key: Key) -> PublicKey:
    said = key.keyval.get("public")
    if key.scheme not in SCHEMES or not isinstance(said, str):
        raise BadInput(
            f"a key of the scheme {key.scheme} signs no root",
            next_step="use ECDSA P-256 or Ed25519",
        )
    try:
        if key.scheme == "ed25519":
            return public_key(Ed25519PublicKey.from_public_bytes(bytes.fromhex(said)))
        return parse_public_key(said.encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise BadInput("a key of the root cannot be read") from error
