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
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.x509.oid import ExtendedKeyUsageOID

from skerry.base.digest import Digest, InvalidDigest
from skerry.base.errors import BadInput
from skerry.trust.core.keys import Algorithm, Padding, PublicKey, public_key, verifies
from skerry.trust.core.threshold import Claim, Format
from skerry.wire.strict_json import Json, load_object

ENVELOPE_TYPE = "application/jose+json"
ATTACHED_TYPE = "application/vnd.cncf.notary.signature"
ENVELOPE_BYTES_MAX = 1 << 20
CHAIN_MAX = 8
_PAYLOAD_TYPE = "application/vnd.cncf.notary.payload.v1+json"
_SCHEME, _X509 = "io.cncf.notary.signingScheme", "notary.x509"
_EXPIRY = "io.cncf.notary.expiry"
_UNDERSTOOD = {_SCHEME, _EXPIRY}
Extension = TypeVar("Extension", bound=x509.ExtensionType)
_RSA = "PS256"
_ECDSA_BYTES = {"ES256": 64, "ES384": 96, "ES512": 132}
"""Length of such a signature: two numbers of the curve (RFC 7518 section 3.4)."""


def claims(data: bytes, trusted: Sequence[x509.Certificate], now: float) -> tuple[Claim, ...]:
    """What the signer of an envelope says, if the chain ends at a trusted certificate.

    `now` in seconds since the epoch. Raises BadInput for an envelope that is not good.
    """
    envelope = load_object(data, bytes_max=ENVELOPE_BYTES_MAX)
    protected_text, payload_text = _text(envelope, "protected"), _text(envelope, "payload")
    protected = load_object(_decoded(protected_text), bytes_max=ENVELOPE_BYTES_MAX)
    chain = _chain(envelope)
    leaf = public_key(chain[0].public_key())
    signature = _signature(protected, leaf, _decoded(_text(envelope, "signature")))
    message = f"{protected_text}.{payload_text}".encode()
    if not verifies(leaf, signature, message, rsa_padding=Padding.PSS):
        raise BadInput("the envelope's signature does not hold")
    _check_protected(protected, now)
    _check_chain(chain, now)
    vouching = [public_key(cert.public_key()).fingerprint for cert in chain if cert in trusted]
    subject = _subject(_decoded(payload_text))
    return (Claim(leaf.fingerprint, subject, Format.NOTATION, tuple(vouching)),)


def _check_protected(protected: Json, now: float) -> None:
    if protected.get("cty") != _PAYLOAD_TYPE:
        raise BadInput("the envelope holds another kind of payload")
    if protected.get(_SCHEME) != _X509:
        raise BadInput("the envelope is of another signing scheme")
    critical = protected.get("crit")
    if not isinstance(critical, list) or _SCHEME not in critical:
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
        maker = chain[place + 1] if place + 1 < len(chain) else cert
        try:
            cert.verify_directly_issued_by(maker)
        except (ValueError, TypeError, InvalidSignature) as error:
            raise BadInput("the certificates are no chain that ends at its own root") from error
    if not _may_sign(chain[0]):
        raise BadInput("the signer's certificate is not meant for signing code")


def _may_certify(cert: x509.Certificate, *, below: int) -> bool:
    """RFC 5280 section 4.2.1.9; `below` is the number of authorities between it and the leaf."""
    basic = _extension(cert, x509.BasicConstraints)
    usage = _extension(cert, x509.KeyUsage)
    if basic is None or not basic.ca or (usage is not None and not usage.key_cert_sign):
        return False
    return basic.path_length is None or basic.path_length >= below


def _may_sign(cert: x509.Certificate) -> bool:
    usage = _extension(cert, x509.KeyUsage)
    purposes = _extension(cert, x509.ExtendedKeyUsage)
    signs = usage is not None and usage.digital_signature and not usage.key_cert_sign
    return signs and (purposes is None or ExtendedKeyUsageOID.CODE_SIGNING in purposes)


def _extension(cert: x509.Certificate, kind: type[Extension]) -> Extension | None:
    try:
        return cert.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None
    except ValueError as error:
        raise BadInput("a certificate's extensions cannot be read") from error


def _signature(protected: Json, leaf: PublicKey, raw: bytes) -> bytes:
    """The signature as the key checks it: JOSE writes ECDSA's two numbers side by side."""
    said = str(protected.get("alg"))
    if said == _RSA and leaf.algorithm is Algorithm.RSA:
        return raw
    if leaf.algorithm is not Algorithm.ECDSA or _ECDSA_BYTES.get(said) != len(raw):
        raise BadInput("the algorithm is not believed, or not the one of the key")
    half = len(raw) // 2
    return encode_dss_signature(
        int.from_bytes(raw[:half], "big"), int.from_bytes(raw[half:], "big")
    )


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
