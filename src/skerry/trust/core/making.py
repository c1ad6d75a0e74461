"""What is signed, and how a signature is wrapped, in each of the three formats.

Owns the documents that `skerry sign` makes, with the members that cosign and Notation write and
read. Never sees a private key: signatures come in as bytes. Formats: sigstore/protobuf-specs
`sigstore_bundle.proto`, cosign `specs/BUNDLE_SPEC.md`, DSSE v1, in-toto Statement v1;
notaryproject/specifications `signature-specification.md` and `signature-envelope-jws.md`.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding

from skerry.base.digest import Digest
from skerry.trust.core import bundle, notation
from skerry.trust.core.keys import PublicKey

AGENT = "skerry"


def statement_of(subject: Digest) -> bytes:
    """The in-toto statement that an image is signed."""
    return _compact(
        {
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"digest": {subject.algorithm: subject.hex}}],
            "predicateType": bundle.SIGN_PREDICATE,
            "predicate": {},
        }
    )


def bundle_message(statement: bytes) -> bytes:
    """What the key signs of a statement."""
    return bundle.pre_authentication(bundle.STATEMENT_TYPE, statement)


def bundle_of(statement: bytes, key: PublicKey, signature: bytes) -> bytes:
    """A bundle v0.3 by a key. The hint is the base64 of the SHA-256 of its SubjectPublicKeyInfo,
    as sigstore's own signers write it; a verifier takes the key from its policy."""
    hint = base64.b64encode(bytes.fromhex(key.fingerprint)).decode()
    return _compact(
        {
            "mediaType": bundle.BUNDLE_TYPE,
            "verificationMaterial": {"publicKey": {"hint": hint}, "tlogEntries": []},
            "dsseEnvelope": {
                "payload": base64.b64encode(statement).decode(),
                "payloadType": bundle.STATEMENT_TYPE,
                "signatures": [{"sig": base64.b64encode(signature).decode()}],
            },
        }
    )


def envelope_parts(
    subject: Digest,
    *,
    media_type: str,
    size_bytes: int,
    signer: x509.Certificate,
    at: float,
) -> tuple[str, str]:
    """The protected header and the payload of a Notation envelope, base64url: joined by a dot
    they are what the key signs. `at` is the signing time in seconds since the epoch."""
    protected = {
        "alg": notation.algorithm_of(signer),
        "crit": [notation.SCHEME],
        "cty": notation.PAYLOAD_TYPE,
        notation.SCHEME: notation.X509,
        # RFC 3339 without fractions of a second.
        notation.SIGNING_TIME: datetime.fromtimestamp(int(at), UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    target = {"mediaType": media_type, "digest": str(subject), "size": size_bytes}
    return _url64(_compact(protected)), _url64(_compact({"targetArtifact": target}))


def envelope_of(
    protected: str, payload: str, signature: bytes, chain: Sequence[x509.Certificate]
) -> bytes:
    """The envelope in JWS JSON flattened form (RFC 7515 section 7.2.2). `signature` is as the key
    made it: an ECDSA one is written as two numbers side by side."""
    head = notation.algorithm_of(chain[0])
    if half := {"ES256": 32, "ES384": 48, "ES512": 66}.get(head):
        signature = b"".join(each.to_bytes(half, "big") for each in decode_dss_signature(signature))
    certificates = [base64.b64encode(each.public_bytes(Encoding.DER)).decode() for each in chain]
    return _compact(
        {
            "payload": payload,
            "protected": protected,
            "header": {"x5c": certificates, "io.cncf.notary.signingAgent": AGENT},
            "signature": _url64(signature),
        }
    )


def _compact(document: object) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


def _url64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
