"""Private keys of people who sign: made, kept in a file, and used where they are.

Owns the key files (PKCS #8 in PEM, with a passphrase if one is given; RFC 5958). A private key
never leaves the machine that the command runs on: the node gets signatures.
"""

from __future__ import annotations

import os
import stat
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from skerry.app.trust.secret_files import make_once
from skerry.base.errors import BadInput, Party, SkerryError
from skerry.trust.core.keys import Padding, PublicKey, hash_of, public_key, rsa_scheme

KEY_BYTES_MAX = 64 << 10
RSA_BITS = 3072
COSIGN_CURVES = frozenset(("secp256r1",))
NOTATION_CURVES = frozenset(("secp256r1", "secp384r1", "secp521r1"))

Private = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey


class Kind(StrEnum):
    """What a new key signs with; the first is what cosign makes."""

    ECDSA = "ecdsa"
    ED25519 = "ed25519"
    RSA = "rsa"


class KeyFileError(SkerryError):
    """A key file cannot be written, read or believed to be secret."""

    party = Party.OPERATOR


def make(path: Path, kind: Kind, passphrase: bytes) -> PublicKey:
    """A new key in a new file, and its public half beside it as `.pub`. Raises KeyFileError."""
    private: Private
    match kind:
        case Kind.ECDSA:
            private = ec.generate_private_key(ec.SECP256R1())
        case Kind.ED25519:
            private = ed25519.Ed25519PrivateKey.generate()
        case Kind.RSA:
            private = rsa.generate_private_key(65537, RSA_BITS)
    lock: KeySerializationEncryption = NoEncryption()
    if passphrase:
        lock = BestAvailableEncryption(passphrase)
    public, beside = public_key(private.public_key()), path.with_suffix(".pub")
    try:
        for each in (path, beside):
            if each.exists():
                raise KeyFileError(
                    f"{each} is there already", next_step="choose another name, nothing was changed"
                )
        make_once(path, private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, lock))
        beside.write_text(public.pem)
    except OSError as error:
        raise KeyFileError(
            f"{path} cannot be written: {error.strerror}", next_step="name a folder of yours"
        ) from error
    return public


class SigningKey:
    """Holds a private key, never shows it."""

    def __init__(self, private: Private) -> None:
        self._private = private
        self.public = public_key(private.public_key())

    def certifier(self) -> ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey:
        """For a certificate of its own. Raises BadInput for a key that Notation does not know."""
        if isinstance(self._private, ed25519.Ed25519PrivateKey):
            raise BadInput("Notation knows no Ed25519 keys", next_step="use ECDSA or RSA")
        return self._private

    def sign(self, message: bytes) -> bytes:
        """The signature, as `trust.core.keys.verifies` checks it."""
        match self._private:
            case ed25519.Ed25519PrivateKey() as key:
                return key.sign(message)
            case rsa.RSAPrivateKey() as key:
                return key.sign(message, padding.PKCS1v15(), hashes.SHA256())
            case key:
                return key.sign(message, ec.ECDSA(hash_of(key.curve.name)))

    def sign_as(self, message: bytes, algorithm: str) -> bytes:
        """The signature that a JOSE algorithm of this key asks for; ECDSA's as in `sign`."""
        if isinstance(self._private, rsa.RSAPrivateKey):
            return self._private.sign(message, *rsa_scheme(Padding(algorithm)))
        return self.sign(message)


def certificate_of(path: Path) -> list[x509.Certificate]:
    """The certificates of a PEM file, the signer's first. Raises KeyFileError, BadInput."""
    try:
        with path.open("rb") as file:
            data = file.read(KEY_BYTES_MAX)
        return x509.load_pem_x509_certificates(data)
    except OSError as error:
        raise KeyFileError(
            f"{path} cannot be read: {error.strerror}", next_step="name the certificate's file"
        ) from error
    except ValueError as error:
        raise BadInput(
            f"{path} holds no certificates in PEM",
            next_step="put the signer's first, then who certified it, up to the root",
        ) from error


def certify(path: Path, key: SigningKey, name: str, *, now: float, days: int) -> x509.Certificate:
    """A certificate that a key makes for itself, to sign with in Notation's format: valid for so
    many days, and for nothing else. Raises KeyFileError, BadInput."""
    private = key.certifier()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    begins = datetime.fromtimestamp(int(now), UTC)
    usage = x509.KeyUsage(True, False, False, False, False, False, False, False, False)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins - timedelta(minutes=5))
        .not_valid_after(begins + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=False)
        .sign(private, hashes.SHA256())
    )
    try:
        with path.open("xb") as file:
            file.write(made.public_bytes(Encoding.PEM))
    except OSError as error:
        raise KeyFileError(
            f"{path} cannot be written: {error.strerror}",
            next_step="choose another name, nothing was changed",
        ) from error
    return made


def load(path: Path, passphrase: bytes, *, curves: frozenset[str] = COSIGN_CURVES) -> SigningKey:
    """The key of a file; an ECDSA one of these curves. Raises KeyFileError, BadInput."""
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            data = file.read(KEY_BYTES_MAX)
    except OSError as error:
        raise KeyFileError(
            f"{path} cannot be read: {error.strerror}", next_step="name the file of your key"
        ) from error
    if mode & 0o077:
        raise KeyFileError(
            f"{path} can be read by others", next_step=f"chmod 600 {path}, and think of a new key"
        )
    try:
        private = load_pem_private_key(data, password=passphrase or None)
    except TypeError as error:
        locked = not passphrase
        what = "needs its passphrase" if locked else "has no passphrase"
        step = "give --passphrase-file" if locked else "leave --passphrase-file out"
        raise BadInput(f"{path} {what}", next_step=step) from error
    except ValueError as error:
        raise BadInput(
            f"{path} cannot be opened with that passphrase, or is no private key",
            next_step="check the passphrase; keys are made with `skerry keys new`",
        ) from error
    if not isinstance(private, Private):
        raise BadInput(f"{path} is a key of another kind", next_step="use ECDSA, Ed25519 or RSA")
    key = SigningKey(private)
    if isinstance(private, ec.EllipticCurvePrivateKey) and private.curve.name not in curves:
        raise BadInput(
            f"{path} is of a curve that is not read there", next_step="use P-256 (secp256r1)"
        )
    return key
