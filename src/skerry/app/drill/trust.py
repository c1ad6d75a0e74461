"""Trust in the drill: a root of two holders, and images that two owners signed, or did not.

Owns the keys, which live as long as the drill, the root's folder and the signatures in cosign's
layout. Never talks to anybody.
"""

from __future__ import annotations

import base64
import time
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from skerry.app.drill.images import CONFIG_TYPE, MANIFEST_TYPE, Image, Piece, document
from skerry.app.drill.processes import Setting
from skerry.app.trust.root_files import write_file
from skerry.base.digest import Digest
from skerry.trust.core import cosign
from skerry.trust.core.artifacts import SignatureBlob, layers_of
from skerry.trust.core.keys import PublicKey, public_key
from skerry.trust.core.root_making import Section, draft, signed_bytes, with_key, with_signature
from skerry.trust.core.threshold import Format

OWNERS = ("tide", "moon")
HOLDERS = ("north", "south")
ROOT_SECONDS = 86_400.0


@dataclass(frozen=True, slots=True)
class Person:
    """A name and a key."""

    name: str
    private: ec.EllipticCurvePrivateKey

    @property
    def public(self) -> PublicKey:
        """What others check with."""
        return public_key(self.private.public_key())

    def sign(self, message: bytes) -> bytes:
        """ECDSA with SHA-256, as cosign signs."""
        return self.private.sign(message, ec.ECDSA(hashes.SHA256()))


def people(names: tuple[str, ...]) -> tuple[Person, ...]:
    """Each with a new key."""
    return tuple(Person(name, ec.generate_private_key(ec.SECP256R1())) for name in names)


def publish_root(folder: Path, owners: tuple[Person, ...]) -> None:
    """A root that says these owners' keys count, signed by all its holders."""
    section: Section = {"owners": {}, "policies": {}}
    for owner in owners:
        section = with_key(section, owner.name, owner.public.pem)
    holders = people(HOLDERS)
    data = draft(
        version=1,
        expires_at=time.time() + ROOT_SECONDS,
        threshold=len(holders),
        holders={each.name: each.public for each in holders},
        section=section,
    )
    for each in holders:
        data = with_signature(data, each.public, each.sign(signed_bytes(data)))
    folder.mkdir(parents=True, exist_ok=True)
    write_file(folder / "1.root.json", data)


def settings(folder: Path, pattern: str) -> dict[str, Setting]:
    """[trust] of a node whose images of some repositories need every owner."""
    policy: dict[str, Setting] = {
        "name": "drill",
        "repositories": [pattern],
        "threshold": len(OWNERS),
    }
    return {"root": str(folder), "policy": [policy]}


def signature(subject: Digest, repository: str, signers: tuple[Person, ...]) -> Image:
    """What cosign keeps under the `.sig` tag of an image."""
    payload = cosign.payload_of(subject, reference=repository)
    piece, config = Piece.of(cosign.PAYLOAD_TYPE, payload), Piece.of(CONFIG_TYPE, b"{}")
    blobs = [
        SignatureBlob(Format.COSIGN, piece.digest, base64.b64encode(each.sign(payload)).decode())
        for each in signers
    ]
    content = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": config.descriptor(),
        "layers": layers_of(blobs, [len(payload)] * len(blobs)),
    }
    return Image(Piece.of(MANIFEST_TYPE, document(content)), (config, piece))


def tag_of(subject: Digest) -> str:
    """Where cosign looks for the signatures of an image."""
    return f"{subject.algorithm}-{subject.hex}.sig"
