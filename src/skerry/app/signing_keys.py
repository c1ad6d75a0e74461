"""Private keys of people who sign: made, kept in a file, and used where they are.

Owns the key files (PKCS #8 in PEM, with a passphrase if one is given; RFC 5958). A private key
never leaves the machine that the command runs on: the node gets signatures.
"""

from __future__ import annotations

import os
import stat
from enum import StrEnum
from pathlib import Path

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

from skerry.app.secret_files import make_once
from skerry.base.errors import BadInput, Party, SkerryError
from skerry.trust.core.keys import PublicKey, public_key

KEY_BYTES_MAX = 64 << 10
RSA_BITS = 3072

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

    def sign(self, message: bytes) -> bytes:
        """The signature, as `trust.core.keys.verifies` checks it."""
        match self._private:
            case ed25519.Ed25519PrivateKey() as key:
                return key.sign(message)
            case rsa.RSAPrivateKey() as key:
                return key.sign(message, padding.PKCS1v15(), hashes.SHA256())
            case key:
                return key.sign(message, ec.ECDSA(hashes.SHA256()))


def load(path: Path, passphrase: bytes) -> SigningKey:
    """The key of a file. Raises KeyFileError, BadInput."""
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
    if isinstance(private, ec.EllipticCurvePrivateKey) and private.curve.name != "secp256r1":
        raise BadInput(f"{path} is of a curve cosign does not read", next_step="use P-256")
    if not isinstance(private, Private):
        raise BadInput(f"{path} is a key of another kind", next_step="use ECDSA, Ed25519 or RSA")
    return SigningKey(private)
