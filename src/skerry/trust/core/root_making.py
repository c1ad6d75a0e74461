"""Roots that are being made: drafts, what changes in them, and signatures of people apart.

Owns the writing of root metadata. Never sees a private key: a signature comes in as bytes, and any
change of what is signed lets go of the signatures that were there.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
)
from securesystemslib.signer import Signature, SSlibKey  # type: ignore[attr-defined]
from tuf.api.metadata import Metadata, Role, Root  # type: ignore[attr-defined]
from tuf.api.serialization.json import JSONSerializer

from skerry.base.errors import BadInput
from skerry.trust.core.keys import Algorithm, PublicKey, parse_public_key, public_key
from skerry.trust.core.root import HOLDER, SECTION, TrustRoot, read_root
from skerry.trust.core.root_owners import time_of
from skerry.wire.strict_json import load_object

ROLES = ("root", "timestamp", "snapshot", "targets")
"""TUF wants all four named; Skerry has use for the first, and the others are its keys'."""

Section = dict[str, dict[str, object]]


def draft(
    *,
    version: int,
    expires_at: float,
    threshold: int,
    holders: Mapping[str, PublicKey],
    section: Mapping[str, object],
) -> bytes:
    """A root that nobody has signed yet. Raises RootRefused for one that nobody could."""
    keys: dict[str, SSlibKey] = {}
    for name, key in holders.items():
        made = _tuf_key(key)
        made.unrecognized_fields[HOLDER] = name
        if key.fingerprint in keys:
            raise BadInput(f"{name} has the key of another holder", next_step="give each their own")
        keys[key.fingerprint] = made
    root = Root(
        version=version,
        expires=datetime.fromtimestamp(int(expires_at), UTC),
        keys=dict(keys),
        roles={role: Role(list(keys), threshold) for role in ROLES},
        consistent_snapshot=False,
        unrecognized_fields={SECTION: copy.deepcopy(dict(section))},
    )
    data = _bytes(Metadata(root))
    read_root(data)
    return data


def next_draft(
    before: TrustRoot,
    *,
    expires_at: float,
    threshold: int | None = None,
    holders: Mapping[str, PublicKey] | None = None,
) -> bytes:
    """The root after one, with the same people and owners unless others are named."""
    same = {each.name: each.key for each in before.holders}
    return draft(
        version=before.version + 1,
        expires_at=expires_at,
        threshold=before.threshold if threshold is None else threshold,
        holders=same if holders is None else holders,
        section=section_of(before.body),
    )


def with_section(data: bytes, section: Mapping[str, object]) -> bytes:
    """A draft that says something else of owners; its signatures are gone."""
    root = read_root(data)
    return draft(
        version=root.version,
        expires_at=root.expires_at,
        threshold=root.threshold,
        holders={each.name: each.key for each in root.holders},
        section=section,
    )


def section_of(data: bytes) -> Section:
    """What a root says of owners, as JSON."""
    signed = load_object(data, bytes_max=len(data)).get("signed")
    found = signed.get(SECTION) if isinstance(signed, dict) else None
    section = found if isinstance(found, dict) else {}
    return {
        "owners": dict(section.get("owners", {})),
        "policies": dict(section.get("policies", {})),
    }


def with_key(
    section: Section, owner: str, pem: str, *, authority: bool = False, expires: str = ""
) -> Section:
    """One more key of an owner."""
    entry: dict[str, object] = {"pem": pem}
    if authority:
        entry["authority"] = True
    if expires:
        entry["expires"] = expires
    changed = copy.deepcopy(section)
    listed = changed["owners"].setdefault(owner, [])
    if not isinstance(listed, list):
        raise BadInput(f"{owner} has no list of keys")
    listed.append(entry)
    return changed


def with_ends(section: Section, owner: str, expires: str) -> Section:
    """The keys that an owner has end at a time, unless they end before."""
    changed = copy.deepcopy(section)
    for each in _keys_of(changed, owner):
        before = time_of(each.get("expires"))
        if before is None or before > (time_of(expires) or 0.0):
            each["expires"] = expires
    return changed


def with_revoked(section: Section, owner: str, fingerprint: str | None) -> Section:
    """One key of an owner, or with None all, counts for nothing any more. It stays listed: a
    revoked key cannot come back as a new one. Raises BadInput where there is none."""
    changed = copy.deepcopy(section)
    hit = 0
    for each in _keys_of(changed, owner):
        if fingerprint in (None, _fingerprint(each)):
            each["revoked"] = True
            hit += 1
    if not hit:
        raise BadInput(f"{owner} has no such key", next_step="see them with `skerry keys list`")
    return changed


def _keys_of(section: Section, owner: str) -> list[dict[str, object]]:
    listed = section["owners"].get(owner)
    return [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []


def _fingerprint(entry: Mapping[str, object]) -> str:
    pem = str(entry.get("pem", "")).encode()
    if entry.get("authority"):
        return public_key(x509.load_pem_x509_certificate(pem).public_key()).fingerprint
    return parse_public_key(pem).fingerprint


def with_floor(
    section: Section,
    name: str,
    *,
    threshold: int,
    required: Sequence[str] = (),
    owners: Sequence[str] = (),
) -> Section:
    """The least that a policy of this name asks at every node."""
    changed = copy.deepcopy(section)
    changed["policies"][name] = {
        "threshold": threshold,
        "required": list(required),
        "owners": list(owners),
    }
    return changed


def signed_bytes(data: bytes) -> bytes:
    """What is signed of a root: its canonical JSON."""
    found: bytes = Metadata[Root].from_bytes(data).signed_bytes
    return found


def with_signature(data: bytes, key: PublicKey, signature: bytes) -> bytes:
    """The root with one more signature, or with this one in place of the same key's.

    Raises BadInput for a key that is none of its holders', or of the root before it.
    """
    metadata = Metadata[Root].from_bytes(data)
    metadata.signatures[key.fingerprint] = Signature(key.fingerprint, signature.hex())
    return _bytes(metadata)


def _tuf_key(key: PublicKey) -> SSlibKey:
    native = load_der_public_key(key.der)
    if isinstance(native, Ed25519PublicKey):
        raw = native.public_bytes(Encoding.Raw, PublicFormat.Raw).hex()
        return SSlibKey(key.fingerprint, "ed25519", "ed25519", {"public": raw})
    if key.algorithm is not Algorithm.ECDSA:
        raise BadInput("an RSA key signs no root", next_step="use ECDSA P-256 or Ed25519")
    return SSlibKey(key.fingerprint, "ecdsa", "ecdsa-sha2-nistp256", {"public": key.pem})


def _bytes(metadata: Metadata[Root]) -> bytes:
    compact: bytes = metadata.to_bytes(JSONSerializer(compact=True))
    # For people: who signs should be able to read what they sign.
    return (json.dumps(json.loads(compact), indent=1, sort_keys=True) + "\n").encode()
