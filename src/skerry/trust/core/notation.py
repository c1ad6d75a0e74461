"""Notation's signatures: a JWS with an X.509 chain, attached to the image.

Owns the reading of the envelope, the chain's check against trusted certificates, and the claim of
a good one. A signing time that no authority stamped is only what the signer says: a certificate
has to be valid now. Format: notaryproject/specifications `signature-envelope-jws.md` and
`signature-specification.md`, RFC 7515, RFC 5280.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.x509.oid import ExtendedKeyUsageOID

from skerry.base.digest import Digest, InvalidDigest
from skerry.base.errors import BadInput
from skerry.trust.core.keys import Padding, public_key, verifies
from skerry.trust.core.threshold import Claim, Format
from skerry.wire.strict_json import Json, load_object

ENVELOPE_TYPE = "application/jose+json"
ATTACHED_TYPE = "application/vnd.cncf.notary.signature"
ENVELOPE_BYTES_MAX = 1 << 20
CHAIN_MAX = 8
PAYLOAD_TYPE = "application/vnd.cncf.notary.payload.v1+json"
SCHEME, X509 = "io.cncf.notary.signingScheme", "notary.x509"
SIGNING_TIME = "io.cncf.notary.signingTime"
_EXPIRY = "io.cncf.notary.expiry"
_UNDERSTOOD = {SCHEME, _EXPIRY}
Extension = TypeVar("Extension", bound=x509.ExtensionType)
_ALGORITHMS = {
    ("rsa", 2048): "PS256",
    ("rsa", 3072): "PS384",
    ("rsa", 4096): "PS512",
    ("ec", 256): "ES256",
    ("ec", 384): "ES384",
    ("ec", 521): "ES512",
}
"""What a key of a kind and length signs with: it is the key that says so, not the envelope."""
_FORBIDDEN = frozenset(
    (
        ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,
        ExtendedKeyUsageOID.SERVER_AUTH,
        ExtendedKeyUsageOID.CLIENT_AUTH,
        ExtendedKeyUsageOID.EMAIL_PROTECTION,
        ExtendedKeyUsageOID.TIME_STAMPING,
    )
)


def claims(data: bytes, trusted: Sequence[x509.Certificate], now: float) -> tuple[Claim, ...]:
    """What the signer of an envelope says, if the chain ends at a trusted certificate.

    `now` in seconds since the epoch. Raises BadInput for an envelope that is not good.
    """
    envelope = load_object(data, bytes_max=ENVELOPE_BYTES_MAX)
    protected_text, payload_text = _text(envelope, "protected"), _text(envelope, "payload")
    protected = load_object(_decoded(protected_text), bytes_max=ENVELOPE_BYTES_MAX)
    chain = _chain(envelope)
    leaf = public_key(chain[0].public_key())
    algorithm = algorithm_of(chain[0])
    if protected.get("alg") != algorithm:
        raise BadInput("the algorithm is not the one of the signer's key")
    signature = _signature(algorithm, _decoded(_text(envelope, "signature")))
    message = f"{protected_text}.{payload_text}".encode()
    if not verifies(leaf, signature, message, rsa_padding=_padding(algorithm)):
        raise BadInput("the envelope's signature does not hold")
    _check_protected(protected, now)
    _check_chain(chain, now)
    vouching = [public_key(cert.public_key()).fingerprint for cert in chain if cert in trusted]
    subject = _subject(_decoded(payload_text))
    return (Claim(leaf.fingerprint, subject, Format.NOTATION, tuple(vouching)),)


def _check_protected(protected: Json, now: float) -> None:
    if protected.get("cty") != PAYLOAD_TYPE:
        raise BadInput("the envelope holds another kind of payload")
    if protected.get(SCHEME) != X509:
        raise BadInput("the envelope is of another signing scheme")
    critical = protected.get("crit")
    if not isinstance(critical, list) or SCHEME not in critical:
        raise BadInput("the envelope does not make its signing scheme critical")
    if not {str(name) for name in critical} <= _UNDERSTOOD:
        raise BadInput("the envelope has critical fields that are not understood")
    if (expiry := protected.get(_EXPIRY)) is None:
        return
    try:
        expires_at = datetime.fromisoformat(str(expiry))
    except ValueError as error:
        raise BadInput("the signature's expiry is no time") from error
    if expires_at.tzinfo is None or expires_at.timestamp() <= now:
        raise BadInput("the signature has expired")


def _chain(envelope: Json) -> list[x509.Certificate]:
    header = envelope.get("header")
    listed = header.get("x5c") if isinstance(header, dict) else None
    if not isinstance(listed, list) or not 0 < len(listed) <= CHAIN_MAX:
        raise BadInput(f"the envelope has no certificates, or more than {CHAIN_MAX}")
    try:
        return [x509.load_der_x509_certificate(base64.b64decode(str(each))) for each in listed]
    except ValueError as error:
        raise BadInput("a certificate of the envelope cannot be read") from error


def _check_chain(chain: Sequence[x509.Certificate], now: float) -> None:
    """Each certificate made by the next, all of them valid now and meant for this."""
    at = datetime.fromtimestamp(now, UTC)
    for place, cert in enumerate(chain):
        if not cert.not_valid_before_utc <= at < cert.not_valid_after_utc:
            raise BadInput("a certificate of the chain is not valid now")
        if place and not _may_certify(cert, below=place - 1):
            raise BadInput("a certificate of the chain must not certify others")
        if isinstance(cert.signature_hash_algorithm, hashes.SHA1):
            raise BadInput("a certificate of the chain is signed with SHA-1")
        maker = chain[place + 1] if place + 1 < len(chain) else cert
        try:
            cert.verify_directly_issued_by(maker)
        except (ValueError, TypeError, InvalidSignature) as error:
            raise BadInput("the certificates are no chain that ends at its own root") from error
    if not _may_sign(chain[0]):
        raise BadInput("the signer's certificate is not meant for signing code")


def _may_certify(cert: x509.Certificate, *, below: int) -> bool:
    """Signature specification, "Root and Intermediate CA Certificates"; RFC 5280 section 4.2.1.9.
    `below` is the number of authorities between it and the leaf."""
    basic, usage = _extension(cert, x509.BasicConstraints), _extension(cert, x509.KeyUsage)
    if basic is None or not basic.critical or usage is None or not usage.critical:
        return False
    if not basic.value.ca or not usage.value.key_cert_sign:
        return False
    return basic.value.path_length is None or basic.value.path_length >= below


def _may_sign(cert: x509.Certificate) -> bool:
    """Signature specification, "Leaf Certificates"."""
    basic, usage = _extension(cert, x509.BasicConstraints), _extension(cert, x509.KeyUsage)
    if usage is None or not usage.critical or (basic is not None and basic.value.ca):
        return False
    said = usage.value
    others = (
        said.key_encipherment, said.data_encipherment, said.key_agreement, said.key_cert_sign,
        said.crl_sign,
    )  # fmt: skip
    if not said.digital_signature or any(others):
        return False
    purposes = _extension(cert, x509.ExtendedKeyUsage)
    return purposes is None or _FORBIDDEN.isdisjoint(purposes.value)


def _extension(cert: x509.Certificate, kind: type[Extension]) -> x509.Extension[Extension] | None:
    try:
        return cert.extensions.get_extension_for_class(kind)
    except x509.ExtensionNotFound:
        return None
    except ValueError as error:
        raise BadInput("a certificate's extensions cannot be read") from error


def algorithm_of(signer: x509.Certificate) -> str:
    """The `alg` of what a certificate's key signs (signature specification, "Algorithm
    Selection"). Raises BadInput for a key that Notation does not know."""
    found = None
    match signer.public_key():
        case rsa.RSAPublicKey() as key:
            found = _ALGORITHMS.get(("rsa", key.key_size))
        case ec.EllipticCurvePublicKey() as key:
            found = _ALGORITHMS.get(("ec", key.key_size))
    if found is not None:
        return found
    raise BadInput(
        "Notation knows no signature by a key of that kind or length",
        next_step="use ECDSA on P-256, P-384 or P-521, or RSA with 2048, 3072 or 4096 bits",
    )


def _padding(algorithm: str) -> Padding:
    return Padding(algorithm) if algorithm.startswith("PS") else Padding.PKCS1


def _signature(algorithm: str, raw: bytes) -> bytes:
    """The signature as the key checks it: JOSE writes ECDSA's two numbers side by side
    (RFC 7518 section 3.4)."""
    if algorithm.startswith("PS"):
        return raw
    half = {"ES256": 32, "ES384": 48, "ES512": 66}[algorithm]
    if len(raw) != 2 * half:
        raise BadInput("the signature is too long or too short")
    return encode_dss_signature(
        int.from_bytes(raw[:half], "big"), int.from_bytes(raw[half:], "big")
    )


def subject_of(data: bytes) -> Digest:
    """The digest that an envelope speaks of, whoever signed it. Raises BadInput."""
    envelope = load_object(data, bytes_max=ENVELOPE_BYTES_MAX)
    return _subject(_decoded(_text(envelope, "payload")))


def thumbprints(data: bytes) -> tuple[str, ...]:
    """SHA-256 of each certificate of an envelope, hex: what the attachment is annotated with.

    Raises BadInput.
    """
    chain = _chain(load_object(data, bytes_max=ENVELOPE_BYTES_MAX))
    return tuple(each.fingerprint(hashes.SHA256()).hex() for each in chain)


def _subject(payload: bytes) -> Digest:
    target = load_object(payload, bytes_max=ENVELOPE_BYTES_MAX).get("targetArtifact")
    try:
        return Digest.parse(str(target.get("digest") if isinstance(target, dict) else None))
    except InvalidDigest as error:
        raise BadInput("the payload names no digest") from error


def _text(envelope: Json, name: str) -> str:
    found = envelope.get(name)
    if not isinstance(found, str) or not found.isascii():
        raise BadInput(f"the envelope has no {name}")
    return found


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadInput("the envelope is not base64url") from error
