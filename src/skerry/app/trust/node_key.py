"""The node's own key: what it signs with, and how anybody checks that.

Owns the key file and Ed25519 (RFC 8032, through `cryptography`). What is signed, and with which
context before it, belongs to whoever asks: purge receipts (`cdn.core.receipt`) today.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from skerry.app.trust.secret_files import make_once
from skerry.base.errors import BadInput, Party, SkerryError

KEY_FILE = "node.key"
KEY_BYTES_MAX = 4096


class NodeKeyError(SkerryError):
    """The node's key cannot be read, or is not a secret any more."""

    party = Party.OPERATOR


class NodeKey:
    """Holds the private key, never shows it."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key

    @property
    def public_pem(self) -> str:
        """What others check signatures with, as PEM (SubjectPublicKeyInfo, RFC 8410)."""
        public = self._key.public_key()
        return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    def sign(self, message: bytes) -> bytes:
        """The signature, 64 bytes."""
        return self._key.sign(message)


def ensure_key(data_dir: Path) -> NodeKey:
    """The node's key; made at the first start, readable by its owner alone.

    Raises NodeKeyError.
    """
    path = data_dir / KEY_FILE
    try:
        if not path.exists():
            made = Ed25519PrivateKey.generate()
            make_once(path, made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            text = file.read(KEY_BYTES_MAX)
    except OSError as error:
        raise NodeKeyError(
            f"{path} cannot be read or made: {error.strerror}",
            next_step="let the node's user write to the data directory and own what is in it",
        ) from error
    if mode & 0o077:
        raise NodeKeyError(
            f"{path} can be read by other users, so what it signed proves nothing",
            next_step="move it away and restart the node: it makes a new one; tell those who "
            "check its receipts",
        )
    try:
        key = load_pem_private_key(text, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise NodeKeyError(
            f"{path} holds no Ed25519 key",
            next_step="put the right one back, or move it away: the node makes a new one",
        )
    return NodeKey(key)


def read_public(pem: bytes) -> bytes:
    """The 32 bytes of a public key in PEM. Raises BadInput."""
    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise BadInput(
            "that is no node's public key",
            next_step="get it with `skerry receipt key` from the node, over a way you trust",
        )
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw)


def check_signature(public_key: bytes, signature: bytes, message: bytes) -> bool:
    """Whether a signature is good (`cdn.core.receipt.CheckSignature`); never raises."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True
