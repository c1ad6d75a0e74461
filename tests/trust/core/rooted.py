"""Roots, graces and broken glasses made for the tests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache

from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from skerry.trust.core.keys import PublicKey
from skerry.trust.core.root import TrustRoot, read_root
from skerry.trust.core.root_making import (
    Section,
    draft,
    signed_bytes,
    with_key,
    with_signature,
)
from skerry.trust.core.statements import Grace, Statement, grace_statement
from tests.trust.core.signed import public, sign

Private = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
NOW = 1_700_000_000.0
DAY = 86_400.0


@cache
def key(name: str) -> Private:
    """The key of a name; one of them is Ed25519."""
    if name == "cat":
        return ed25519.Ed25519PrivateKey.generate()
    return ec.generate_private_key(ec.SECP256R1())


def pub(name: str) -> PublicKey:
    return public(key(name))


def section(**owners: str) -> Section:
    """`dora="dora"`: the owner dora has the key named dora."""
    made: Section = {"owners": {}, "policies": {}}
    for owner, name in owners.items():
        made = with_key(made, owner, pub(name).pem)
    return made


def root(
    version: int,
    holders: Iterable[str],
    signers: Iterable[str],
    *,
    threshold: int = 2,
    expires_at: float = NOW + 100 * DAY,
    owners: Mapping[str, object] | None = None,
) -> bytes:
    data = draft(
        version=version,
        expires_at=expires_at,
        threshold=threshold,
        holders={name: pub(name) for name in holders},
        section=owners or section(dora="dora", devi="devi"),
    )
    for name in signers:
        data = with_signature(data, pub(name), sign(key(name), signed_bytes(data)))
    return data


def grace(
    of: TrustRoot | bytes,
    *signers: str,
    begins_at: float = NOW + 100 * DAY,
    seconds: float = 3 * DAY,
    reason: str = "cut off",
) -> bytes:
    meant = read_root(of) if isinstance(of, bytes) else of
    made = grace_statement(
        Grace(meant.version, meant.digest, begins_at, begins_at + seconds, reason)
    )
    return signed(made, *signers).encoded()


def signed(statement: Statement, *signers: str) -> Statement:
    for name in signers:
        statement = statement.signed(pub(name), sign(key(name), statement.message))
    return statement
