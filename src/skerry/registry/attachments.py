"""What a signature looks like in a registry, in each format.

Owns the manifests that hold signatures, as cosign and Notation push them, and the check that a
signature speaks of the image it is attached to. Never judges whose it is.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime

from skerry.base.digest import Digest, digest_of
from skerry.base.errors import BadInput
from skerry.registry.core.manifests import OCI_MANIFEST
from skerry.registry.ports import Manifest
from skerry.trust.core import bundle, cosign, notation
from skerry.trust.core.artifacts import SignatureBlob, layers_of
from skerry.trust.core.threshold import Format

EMPTY = b"{}"
EMPTY_TYPE = "application/vnd.oci.empty.v1+json"
THUMBPRINTS = "io.cncf.notary.x509chain.thumbprint#S256"
CREATED = "org.opencontainers.image.created"
_CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
_CONFIG = b'{"architecture":"","os":"","config":{},"rootfs":{"type":"layers","diff_ids":[]}}'


@dataclass(frozen=True, slots=True)
class Attachment:
    """A manifest and the blobs it needs; the signature itself among them."""

    manifest: bytes
    blobs: tuple[bytes, ...]


def check_subject(kind: Format, payload: bytes, subject: Digest) -> None:
    """Raises BadInput for a signature of something else, or that is none."""
    match kind:
        case Format.COSIGN:
            meant: tuple[Digest, ...] = (cosign.subject_of(payload),)
        case Format.BUNDLE:
            meant = bundle.subjects_of(payload)
        case Format.NOTATION:
            meant = (notation.subject_of(payload),)
    if subject not in meant:
        raise BadInput(f"that signature is not of {subject}", next_step="sign it again")


def referrer(
    kind: Format, payload: bytes, signature: str, *, subject: Manifest, at: float
) -> Attachment:
    """The manifest that is attached to an image for one signature. `at` in seconds since the
    epoch. Raises BadInput."""
    match kind:
        case Format.COSIGN:
            # cosign's OCI 1.1 mode: the type stands on the config, the layers are as ever.
            blob = SignatureBlob(kind, digest_of(payload), signature)
            layers = layers_of([blob], [len(payload)])
            config, data = _descriptor(cosign.ATTACHED_TYPE, _CONFIG), _CONFIG
            more: dict[str, object] = {}
        case Format.BUNDLE:
            layers = [_descriptor(bundle.BUNDLE_TYPE, payload)]
            config, data = _descriptor(EMPTY_TYPE, EMPTY), EMPTY
            created = datetime.fromtimestamp(int(at), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            more = {
                "artifactType": bundle.BUNDLE_TYPE,
                "annotations": {
                    "dev.sigstore.bundle.content": "dsse-envelope",
                    "dev.sigstore.bundle.predicateType": bundle.SIGN_PREDICATE,
                    CREATED: created,
                },
            }
        case Format.NOTATION:
            layers = [_descriptor(notation.ENVELOPE_TYPE, payload)]
            config, data = _descriptor(notation.ATTACHED_TYPE, EMPTY), EMPTY
            prints = json.dumps(notation.thumbprints(payload), separators=(",", ":"))
            more = {"annotations": {THUMBPRINTS: prints}}
    about = {
        "mediaType": subject.media_type,
        "digest": str(subject.digest),
        "size": subject.size_bytes,
    }
    return Attachment(_document(config, layers, subject=about, **more), (data, payload))


def beside(blobs: list[SignatureBlob], sizes: list[int]) -> Attachment:
    """The manifest under the `.sig` tag, with every cosign signature of an image."""
    config = _descriptor(_CONFIG_TYPE, _CONFIG)
    return Attachment(_document(config, layers_of(blobs, sizes)), (_CONFIG,))


def _document(config: object, layers: object, **more: object) -> bytes:
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": config,
        "layers": layers,
        **more,
    }
    return json.dumps(document, separators=(",", ":")).encode()


def _descriptor(media_type: str, data: bytes) -> dict[str, object]:
    return {"mediaType": media_type, "digest": str(digest_of(data)), "size": len(data)}
