"""m of n: whether enough of the right owners signed one digest.

Owns the counting, and nothing else. A signature counts only after its bytes were verified
elsewhere; here it is a claim: this key signed that digest. One owner counts once, however many keys
they have; one key counts once, however often and in whichever format it signed (known failures
T41, T42; requirements D1).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from skerry.base.digest import Digest
from skerry.base.errors import Party, SkerryError

if TYPE_CHECKING:  # counting needs no cryptography, and most nodes ask for no signature
    from skerry.trust.core.keys import PublicKey

OWNERS_MAX = 64
CLAIMS_MAX = 1000


class Format(StrEnum):
    """How a signature is carried."""

    COSIGN = "cosign"
    BUNDLE = "bundle"
    NOTATION = "notation"


class BadPolicy(SkerryError):
    """A policy that nobody could meet, or that everybody would."""

    party = Party.OPERATOR


@dataclass(frozen=True, slots=True)
class TrustedKey:
    """A key and whose it is.

    Attributes:
        authority: the key is of a certificate authority: what it certified signs for the owner.
        expires_at: seconds since the epoch, None for never.
        revoked: counts for nothing, whenever it signed.
    """

    key: PublicKey
    owner: str
    authority: bool = False
    expires_at: float | None = None
    revoked: bool = False


@dataclass(frozen=True, slots=True)
class Policy:
    """What a digest needs before its bytes leave. Made by `policy`, which checks it.

    Attributes:
        threshold: how many owners must have signed.
        required: owners that must be among them.
        formats: the others are not looked at.
        critical: when signatures cannot be had, the answer is no; else an earlier yes stands.
    """

    name: str
    threshold: int
    keys: tuple[TrustedKey, ...]
    required: frozenset[str] = frozenset()
    formats: frozenset[Format] = frozenset(Format)
    critical: bool = True


def policy(
    name: str,
    *,
    threshold: int,
    keys: Iterable[TrustedKey],
    required: Iterable[str] = (),
    formats: Iterable[Format] = Format,
    critical: bool = True,
) -> Policy:
    """A policy that can be met, and not by less than it says. Raises BadPolicy."""
    listed, wanted = tuple(keys), frozenset(required)
    owners: dict[tuple[str, bool], str] = {}
    for each in listed:
        before = owners.setdefault((each.key.fingerprint, each.authority), each.owner)
        if before != each.owner:
            raise _bad(name, f"one key belongs to both {before} and {each.owner}")
        if not each.owner:
            raise _bad(name, f"key {each.key} has no owner")
    able = {each.owner for each in listed if not each.revoked}
    if len(able) > OWNERS_MAX:
        raise _bad(name, f"more than {OWNERS_MAX} owners")
    if threshold < 1:
        raise _bad(name, f"a threshold of {threshold} lets everything through")
    if threshold > len(able):
        raise _bad(name, f"{threshold} owners must sign and only {len(able)} can")
    if unable := wanted - able:
        raise _bad(name, f"{', '.join(sorted(unable))} must sign and has no key that counts")
    if not (accepted := frozenset(formats)):
        raise _bad(name, "no format is accepted")
    return Policy(name, threshold, listed, wanted, accepted, critical)


NOBODYS = ""
"""No key has it."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A signature whose bytes are good: this key signed this digest.

    Attributes:
        fingerprint: the key's; `NOBODYS` for one that no known key made, told of and not counted.
        authorities: fingerprints of the certificate authorities that vouch for the key, () when
            none does.
    """

    fingerprint: str
    subject: Digest
    format: Format
    authorities: tuple[str, ...] = ()


class Why(StrEnum):
    """Why a claim counts for nothing. Bounded: a metric label."""

    OTHER_DIGEST = "other_digest"
    UNKNOWN_KEY = "unknown_key"
    REVOKED = "revoked"
    EXPIRED = "expired"
    FORMAT = "format"
    SAME_KEY = "same_key"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a digest may leave.

    Attributes:
        signers: owner -> fingerprint of the key that counted, one each.
        lacking: how many more owners must sign.
        absent: required owners that have not.
        passed_over: claims that counted for nothing.
    """

    accepted: bool
    signers: tuple[tuple[str, str], ...]
    lacking: int
    absent: tuple[str, ...]
    passed_over: tuple[tuple[Claim, Why], ...] = ()

    def __str__(self) -> str:
        if self.accepted:
            return "signed by " + ", ".join(owner for owner, _ in self.signers)
        if self.absent:
            return "not signed by " + " and ".join(self.absent)
        return f"signatures of {self.lacking} more owners are missing"


def judge(asked: Policy, subject: Digest, claims: Iterable[Claim], now: float) -> Verdict:
    """Counts the owners that signed a digest. `now` in seconds since the epoch."""
    signers: dict[str, str] = {}
    counted: dict[str, str] = {}
    passed_over: list[tuple[Claim, Why]] = []
    for number, claim in enumerate(claims):
        if number >= CLAIMS_MAX:
            break  # whoever can add signatures must not be able to make counting slow
        found = _owner(asked, subject, claim, now)
        if isinstance(found, Why):
            passed_over.append((claim, found))
        elif counted.setdefault(claim.fingerprint, found) != found:
            # Certified by two authorities of two owners: it is one key all the same.
            passed_over.append((claim, Why.SAME_KEY))
        else:
            signers.setdefault(found, claim.fingerprint)
    lacking = max(0, asked.threshold - len(signers))
    absent = tuple(sorted(asked.required - signers.keys()))
    return Verdict(
        accepted=not lacking and not absent,
        signers=tuple(sorted(signers.items())),
        lacking=lacking,
        absent=absent,
        passed_over=tuple(passed_over),
    )


def _owner(asked: Policy, subject: Digest, claim: Claim, now: float) -> str | Why:
    """Whose signature it is; a key that is listed itself needs no authority, and has no other
    owner than the one it is listed for."""
    if claim.subject != subject:
        return Why.OTHER_DIGEST
    if claim.format not in asked.formats:
        return Why.FORMAT
    own = [k for k in asked.keys if not k.authority and k.key.fingerprint == claim.fingerprint]
    vouching = [k for k in asked.keys if k.authority and k.key.fingerprint in claim.authorities]
    if any(key.revoked for key in (*own, *vouching)):
        return Why.REVOKED
    found = own or vouching[:1]
    if not found:
        return Why.UNKNOWN_KEY
    if any(key.expires_at is not None and key.expires_at <= now for key in found):
        return Why.EXPIRED
    return found[0].owner


def _bad(name: str, what: str) -> BadPolicy:
    return BadPolicy(f"trust policy {name}: {what}", next_step=f"correct [[trust.policy]] {name}")
