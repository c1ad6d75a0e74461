"""Sigstore bundles v0.3 made with a key, as cosign attaches them to an image.

Owns the reading of the two contents a bundle may have (a signature over the artifact's bytes, or a
DSSE envelope with an in-toto statement) and the claims that good ones make. A bundle by certificate
needs a transparency log's word, which nobody can ask for in an outage: it makes no claim. Format:
sigstore/protobuf-specs `sigstore_bundle.proto`, cosign `specs/BUNDLE_SPEC.md`, DSSE v1.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable

from skerry.base.digest import Digest, InvalidDigest, digest_of
from skerry.base.errors import BadInput
from skerry.trust.core.keys import PublicKey, verifies
from skerry.trust.core.threshold import Claim, Format
from skerry.wire.strict_json import Json, load_object

BUNDLE_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
BUNDLE_BYTES_MAX = 1 << 20
SUBJECTS_MAX = 64
STATEMENT_TYPE = "application/vnd.in-toto+json"
_STATEMENTS = ("https://in-toto.io/Statement/v1", "https://in-toto.io/Statement/v0.1")
SIGN_PREDICATE = "https://sigstore.dev/cosign/sign/v1"


def claims(data: bytes, manifest: bytes, keys: Iterable[PublicKey]) -> tuple[Claim, ...]:
    """What the keys that signed a bundle say. `manifest` is the bytes of the image's manifest,
    which a plain signature is over. Raises BadInput for what is no bundle by a key."""
    bundle = load_object(data, bytes_max=BUNDLE_BYTES_MAX)
    if bundle.get("mediaType") != BUNDLE_TYPE:
        raise BadInput("the bundle is of another version")
    if "publicKey" not in _object(bundle, "verificationMaterial"):
        raise BadInput("the bundle was made with a certificate, not with a key")
    if ("messageSignature" in bundle) == ("dsseEnvelope" in bundle):
        raise BadInput("a bundle has one content")
    if "messageSignature" in bundle:
        signature = _bytes(_object(bundle, "messageSignature"), "signature")
        subjects: tuple[Digest, ...] = (digest_of(manifest), digest_of(manifest, "sha512"))
        message = manifest
    else:
        envelope = _object(bundle, "dsseEnvelope")
        payload = _bytes(envelope, "payload")
        subjects = _subjects(envelope, payload)
        message = pre_authentication(STATEMENT_TYPE, payload)
        signature = _only_signature(envelope)
    made = [key for key in keys if verifies(key, signature, message)]
    return tuple(
        Claim(key.fingerprint, subject, Format.BUNDLE) for key in made for subject in subjects
    )


def subjects_of(data: bytes) -> tuple[Digest, ...]:
    """The digests that a bundle's statement speaks of, whoever signed it. Raises BadInput."""
    bundle = load_object(data, bytes_max=BUNDLE_BYTES_MAX)
    if bundle.get("mediaType") != BUNDLE_TYPE:
        raise BadInput("the bundle is of another version")
    envelope = _object(bundle, "dsseEnvelope")
    return _subjects(envelope, _bytes(envelope, "payload"))


def pre_authentication(kind: str, payload: bytes) -> bytes:
    """DSSE's PAE: what is signed for a payload of a type."""
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind.encode(), len(payload), payload)


def _subjects(envelope: Json, payload: bytes) -> tuple[Digest, ...]:
    if envelope.get("payloadType") != STATEMENT_TYPE:
        raise BadInput("the envelope holds something else than a statement")
    statement = load_object(payload, bytes_max=BUNDLE_BYTES_MAX)
    if statement.get("_type") not in _STATEMENTS:
        raise BadInput("the statement is of another version")
    if statement.get("predicateType") != SIGN_PREDICATE:
        raise BadInput("the statement says something else than that the image is signed")
    listed = statement.get("subject")
    if not isinstance(listed, list) or not 0 < len(listed) <= SUBJECTS_MAX:
        raise BadInput("the statement has no subject, or too many")
    digests = [item.get("digest") for item in listed if isinstance(item, dict)]
    pairs = [pair for each in digests if isinstance(each, dict) for pair in each.items()]
    try:
        return tuple(Digest(str(algorithm), str(encoded)) for algorithm, encoded in pairs)
    except InvalidDigest as error:
        raise BadInput("a subject's digest is wrong") from error


def _only_signature(envelope: Json) -> bytes:
    listed = envelope.get("signatures")
    if not isinstance(listed, list) or len(listed) != 1 or not isinstance(listed[0], dict):
        raise BadInput("a bundle's envelope has exactly one signature")
    return _bytes(listed[0], "sig")


def _object(holder: Json, name: str) -> Json:
    found = holder.get(name)
    if not isinstance(found, dict):
        raise BadInput(f"the bundle has no {name}")
    return found


def _bytes(holder: Json, name: str) -> bytes:
    found = holder.get(name)
    if not isinstance(found, str):
        raise BadInput(f"the bundle has no {name}")
    try:
        return base64.b64decode(found, validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadInput(f"{name} is not base64") from error
