"""Keys, chains and signatures made for the tests, by the library and not by our own signer."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from skerry.base.digest import Digest
from skerry.trust.core import bundle
from skerry.trust.core.keys import PublicKey, public_key

SUBJECT = Digest("sha256", "5" * 64)
NOW = datetime(2026, 6, 1, tzinfo=UTC)
Private = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey


def ec_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def public(private: Private) -> PublicKey:
    return public_key(private.public_key())


def sign(private: Private, message: bytes) -> bytes:
    match private:
        case ed25519.Ed25519PrivateKey():
            return private.sign(message)
        case rsa.RSAPrivateKey():
            return private.sign(message, padding.PKCS1v15(), hashes.SHA256())
        case _:
            return private.sign(message, ec.ECDSA(hashes.SHA256()))


def certificate(
    name: str,
    private: ec.EllipticCurvePrivateKey,
    *,
    issuer: str = "",
    issuer_key: ec.EllipticCurvePrivateKey | None = None,
    ca: bool = False,
    code: bool = True,
    days: int = 30,
    path_length: int | None = None,
) -> x509.Certificate:
    """Valid from a day before `NOW` for so many days."""

    def named(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    usage = x509.KeyUsage(not ca, False, False, False, False, ca, False, False, False)
    purpose = ExtendedKeyUsageOID.CODE_SIGNING if code else ExtendedKeyUsageOID.SERVER_AUTH
    builder = (
        x509.CertificateBuilder()
        .subject_name(named(name))
        .issuer_name(named(issuer or name))
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca, path_length if ca else None), critical=True)
        .add_extension(usage, critical=True)
    )
    if not ca:
        builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
    return builder.sign(issuer_key or private, hashes.SHA256())


def envelope(
    private: ec.EllipticCurvePrivateKey,
    chain: list[x509.Certificate],
    *,
    subject: Digest = SUBJECT,
    **protected: object,
) -> bytes:
    """A Notation envelope; `protected` replaces fields (dots written as underscores are not)."""
    fields: dict[str, object] = {
        "alg": "ES256",
        "cty": "application/vnd.cncf.notary.payload.v1+json",
        "crit": ["io.cncf.notary.signingScheme"],
        "io.cncf.notary.signingScheme": "notary.x509",
        "io.cncf.notary.signingTime": "2026-06-01T00:00:00Z",
    }
    target = {"mediaType": "application/vnd.oci.image.manifest.v1+json", "size": 2}
    head = url64(json.dumps(fields | protected).encode())
    payload = url64(json.dumps({"targetArtifact": target | {"digest": str(subject)}}).encode())
    der = private.sign(f"{head}.{payload}".encode(), ec.ECDSA(hashes.SHA256()))
    raw = b"".join(number.to_bytes(32, "big") for number in decode_dss_signature(der))
    certificates = [
        base64.b64encode(each.public_bytes(serialization.Encoding.DER)).decode() for each in chain
    ]
    return json.dumps(
        {
            "payload": payload,
            "protected": head,
            "header": {"x5c": certificates},
            "signature": url64(raw),
        }
    ).encode()


def url64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def statement_of(subject: Digest) -> bytes:
    """The in-toto statement that says an image is signed, as cosign writes it."""
    document = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"digest": {subject.algorithm: subject.hex}}],
        "predicateType": bundle.SIGN_PREDICATE,
        "predicate": {},
    }
    return json.dumps(document, separators=(",", ":")).encode()


def bundle_of(statement: bytes, signature: bytes, *, hint: str) -> bytes:
    """A bundle with one signature over its pre-authentication."""
    document = {
        "mediaType": bundle.BUNDLE_TYPE,
        "verificationMaterial": {"publicKey": {"hint": hint}, "tlogEntries": []},
        "dsseEnvelope": {
            "payload": base64.b64encode(statement).decode(),
            "payloadType": bundle.STATEMENT_TYPE,
            "signatures": [{"sig": base64.b64encode(signature).decode()}],
        },
    }
    return json.dumps(document, separators=(",", ":")).encode()
