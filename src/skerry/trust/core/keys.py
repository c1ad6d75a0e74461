"""Public keys: what makes two of them one, and whether one of them made a signature.

Owns the identity of a key, which is the SHA-256 of its SubjectPublicKeyInfo in the one encoding
that this module writes: a file name, an id, PEM or DER, a compressed point or RSA-PSS parameters
make no second key of the first (known failures T41). Never decides who may be believed.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from skerry.base.errors import BadInput

KEY_FILE_BYTES_MAX = 16 << 10
RSA_BITS_MIN = 2048
_CURVES: dict[str, hashes.HashAlgorithm] = {
    "secp256r1": hashes.SHA256(),
    "secp384r1": hashes.SHA384(),
    "secp521r1": hashes.SHA512(),
}


class Algorithm(StrEnum):
    """What a key signs with."""

    ECDSA = "ecdsa"
    ED25519 = "ed25519"
    RSA = "rsa"


class Padding(StrEnum):
    """How an RSA signature is made (RFC 8017): cosign uses the first, JOSE the others, with
    SHA-256, SHA-384 and SHA-512 (RFC 7518 section 3.5)."""

    PKCS1 = "pkcs1"
    PS256 = "PS256"
    PS384 = "PS384"
    PS512 = "PS512"


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key that can be believed or not.

    Attributes:
        fingerprint: lower-case hex SHA-256 of `der`; two keys are one when these agree.
        der: SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7).
    """

    fingerprint: str
    algorithm: Algorithm
    der: bytes

    def __str__(self) -> str:
        return self.fingerprint[:16]

    @property
    def pem(self) -> str:
        """The same as text, as `cosign.pub` files hold it."""
        native = serialization.load_der_public_key(self.der)
        return native.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        ).decode()


def parse_public_key(data: bytes) -> PublicKey:
    """A key from PEM or DER. Raises BadInput for anything else, and for a weak key."""
    if len(data) > KEY_FILE_BYTES_MAX:
        raise BadInput("that is too long for a public key", next_step="give one PEM block")
    try:
        if data.lstrip().startswith(b"-----"):
            native = serialization.load_pem_public_key(data)
        else:
            native = serialization.load_der_public_key(data)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise BadInput(
            "that is no public key", next_step="give a PEM file that begins with BEGIN PUBLIC KEY"
        ) from error
    return public_key(native)


def public_key(native: object) -> PublicKey:
    """A key of the library's as ours. Raises BadInput for one that is weak or of another kind."""
    match native:
        case ed25519.Ed25519PublicKey():
            algorithm = Algorithm.ED25519
        case ec.EllipticCurvePublicKey() if native.curve.name in _CURVES:
            algorithm = Algorithm.ECDSA
        case rsa.RSAPublicKey() if native.key_size >= RSA_BITS_MIN:
            algorithm = Algorithm.RSA
        case _:
            raise BadInput(
                "a key of that kind or size is not believed",
                next_step="use ECDSA P-256, P-384 or P-521, Ed25519, or RSA from 2048 bits",
            )
    der = native.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return PublicKey(hashlib.sha256(der).hexdigest(), algorithm, der)


def verifies(
    key: PublicKey, signature: bytes, message: bytes, *, rsa_padding: Padding = Padding.PKCS1
) -> bool:
    """Whether the key made this signature (ECDSA: DER) over this message."""
    native = serialization.load_der_public_key(key.der)
    try:
        match native:
            case ed25519.Ed25519PublicKey():
                native.verify(signature, message)
            case ec.EllipticCurvePublicKey():
                native.verify(signature, message, ec.ECDSA(_CURVES[native.curve.name]))
            case rsa.RSAPublicKey():
                native.verify(signature, message, *rsa_scheme(rsa_padding))
            case _:
                return False
    except InvalidSignature:
        return False
    return True


def rsa_scheme(kind: Padding) -> tuple[padding.AsymmetricPadding, hashes.HashAlgorithm]:
    """How the library is told of a kind of RSA signature."""
    if kind is Padding.PKCS1:
        return padding.PKCS1v15(), hashes.SHA256()
    made: hashes.HashAlgorithm = {
        Padding.PS256: hashes.SHA256(),
        Padding.PS384: hashes.SHA384(),
        Padding.PS512: hashes.SHA512(),
    }[kind]
    return padding.PSS(padding.MGF1(made), salt_length=made.digest_size), made


def hash_of(curve: str) -> hashes.HashAlgorithm:
    """What ECDSA on a curve hashes with; KeyError for one that is not believed."""
    return _CURVES[curve]
