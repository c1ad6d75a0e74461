"""cosign's signatures of images: simple signing, beside the image or attached to it.

Owns the reading of payloads and annotations, and the claims that good ones make. The payload names
the digest: what a tag, a file name or an attachment says about it counts for nothing. Format:
containers/image `docs/containers-signature.5.md` and cosign `specs/SIGNATURE_SPEC.md`.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable

from skerry.base.digest import Digest, InvalidDigest
from skerry.base.errors import BadInput
from skerry.trust.core.keys import PublicKey, verifies
from skerry.trust.core.threshold import NOBODYS, Claim, Format
from skerry.wire.strict_json import load_object

PAYLOAD_TYPE = "application/vnd.dev.cosign.simplesigning.v1+json"
SIGNATURE_ANNOTATION = "dev.cosignproject.cosign/signature"
ATTACHED_TYPE = "application/vnd.dev.cosign.artifact.sig.v1+json"
"""`artifactType` of a signature manifest that is a referrer."""
PAYLOAD_BYTES_MAX = 64 << 10
SIGNATURE_BYTES_MAX = 4096
_KIND = "cosign container image signature"


def payload_of(subject: Digest, *, reference: str) -> bytes:
    """What is signed for a digest: the bytes as cosign writes them.

    `reference` is the image's repository with its registry, which verifiers may compare.
    """
    document = {
        "critical": {
            "identity": {"docker-reference": reference},
            "image": {"docker-manifest-digest": str(subject)},
            "type": _KIND,
        },
        "optional": None,
    }
    return json.dumps(document, separators=(",", ":"), sort_keys=True).encode()


def subject_of(payload: bytes) -> Digest:
    """The digest that a payload speaks of. Raises BadInput."""
    document = load_object(payload, bytes_max=PAYLOAD_BYTES_MAX)
    critical = document.get("critical")
    image = critical.get("image") if isinstance(critical, dict) else None
    if not isinstance(critical, dict) or not isinstance(image, dict):
        raise BadInput("the payload has no critical part")
    if critical.get("type") != _KIND:
        raise BadInput("the payload is of another type")
    try:
        return Digest.parse(str(image.get("docker-manifest-digest")))
    except InvalidDigest as error:
        raise BadInput("the payload names no digest") from error


def claims(payload: bytes, signature_base64: str, keys: Iterable[PublicKey]) -> tuple[Claim, ...]:
    """One claim by each of the keys that made this signature, mostly one; one of nobody known,
    which counts for nothing, where none of them did.

    Raises BadInput for what is no signature of an image at all.
    """
    if len(signature_base64) > 2 * SIGNATURE_BYTES_MAX:
        raise BadInput("the signature is too long")
    try:
        signature = base64.b64decode(signature_base64, validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadInput("the signature is not base64") from error
    subject = subject_of(payload)
    made = [key.fingerprint for key in keys if verifies(key, signature, payload)]
    return tuple(Claim(each, subject, Format.COSIGN) for each in made or [NOBODYS])
