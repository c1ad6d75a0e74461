"""Tokens as text: signed and read (JWS, RFC 7515; JWT, RFC 7519; through PyJWT).

Owns keys in memory and the first half of the checks, RFC 8725 section 3: the algorithm is the
key's and never the token's word, the key is one of ours and never one that the token brings.
Imported late: it takes cryptography.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from jwt.exceptions import PyJWTError

from skerry.trust.tokens.core.claims import Claims, Flaw, TokenRefused, read_claims
from skerry.trust.tokens.ports import KeysUnusable

EDDSA, ES256 = "EdDSA", "ES256"
ALGORITHMS = (EDDSA, ES256)
TOKEN_CHARS_MAX = 8192
_BROUGHT = ("jwk", "jku", "x5u", "x5c", "x5t", "x5t#S256", "crit", "b64", "zip")
"""Header fields by which a token would say what to believe it by. Ours have none."""
_TYPE = "JWT"

PrivateKey = Ed25519PrivateKey | ec.EllipticCurvePrivateKey


class Key:
    """One key pair. Shows its public half alone."""

    def __init__(self, private: PrivateKey) -> None:
        self._private = private
        self.public = private.public_key()
        self.algorithm = EDDSA if isinstance(private, Ed25519PrivateKey) else ES256
        self.name = _thumbprint(self.public_jwk())

    @classmethod
    def make(cls, algorithm: str) -> Key:
        """A new one."""
        made: PrivateKey
        made = (
            Ed25519PrivateKey.generate()
            if algorithm == EDDSA
            else ec.generate_private_key(ec.SECP256R1())
        )
        return cls(made)

    @classmethod
    def load(cls, pem: bytes) -> Key:
        """The key in a PEM. Raises KeysUnusable."""
        try:
            found = load_pem_private_key(pem, password=None)
        except (ValueError, TypeError) as error:
            raise _no_key() from error
        if isinstance(found, Ed25519PrivateKey) or (
            isinstance(found, ec.EllipticCurvePrivateKey) and found.curve.name == "secp256r1"
        ):
            return cls(found)
        raise _no_key()

    @property
    def pem(self) -> bytes:
        """The private key as PKCS #8, for the key file alone."""
        return self._private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def public_jwk(self) -> dict[str, str]:
        """The public key (RFC 7517, RFC 8037), the fields of its thumbprint only."""
        if isinstance(self.public, ec.EllipticCurvePublicKey):
            point = self.public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
            return {"crv": "P-256", "kty": "EC", "x": _b64(point[1:33]), "y": _b64(point[33:])}
        raw = self.public.public_bytes(Encoding.Raw, PublicFormat.Raw)
        return {"crv": "Ed25519", "kty": "OKP", "x": _b64(raw)}

    def sign(self, payload: Mapping[str, object]) -> str:
        """A token."""
        headers = {"kid": self.name, "typ": _TYPE}
        return jwt.encode(dict(payload), self._private, algorithm=self.algorithm, headers=headers)

    def __repr__(self) -> str:
        return f"Key({self.name!r})"


def read_token(token: str, keys: Mapping[str, Key]) -> Claims:
    """The claims of a token that one of these keys signed; nothing about time, or for whom.

    Raises TokenRefused: MALFORMED, TYPE, ALGORITHM, KEY, SIGNATURE.
    """
    if len(token) > TOKEN_CHARS_MAX:
        raise TokenRefused(Flaw.MALFORMED)
    try:
        header = jwt.get_unverified_header(token)
    except (PyJWTError, ValueError) as error:
        raise TokenRefused(Flaw.MALFORMED) from error
    if header.get("typ") != _TYPE or any(name in header for name in _BROUGHT):
        raise TokenRefused(Flaw.TYPE)
    if header.get("alg") not in ALGORITHMS:
        raise TokenRefused(Flaw.ALGORITHM)
    name = header.get("kid")
    key = keys.get(name) if isinstance(name, str) else None
    if key is None:
        raise TokenRefused(Flaw.KEY)
    if header["alg"] != key.algorithm:
        raise TokenRefused(Flaw.ALGORITHM)
    # Times and audience are judged by `claims.judge`, with a clock that does not go back.
    try:
        payload = jwt.decode(
            token,
            key.public,
            algorithms=[key.algorithm],
            options={
                "verify_exp": False,
                "verify_nbf": False,
                "verify_iat": False,
                "verify_aud": False,
                "verify_iss": False,
            },
        )
    except jwt.InvalidSignatureError as error:
        raise TokenRefused(Flaw.SIGNATURE) from error
    except (PyJWTError, ValueError) as error:
        raise TokenRefused(Flaw.MALFORMED) from error
    return read_claims(payload, key.name)


def jwks(keys: Mapping[str, Key]) -> bytes:
    """The public keys as a JWK set (RFC 7517 section 5)."""
    shown = [
        {**key.public_jwk(), "kid": key.name, "use": "sig", "alg": key.algorithm}
        for key in keys.values()
    ]
    return json.dumps({"keys": shown}).encode()


def _thumbprint(public: Mapping[str, str]) -> str:
    """RFC 7638."""
    canonical = json.dumps(public, sort_keys=True, separators=(",", ":")).encode()
    return _b64(hashlib.sha256(canonical).digest())


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _no_key() -> KeysUnusable:
    return KeysUnusable(
        "token.keys holds something that is no Ed25519 or P-256 key",
        next_step="put the right file back, or move it away: the node makes new keys, and everybody"
        " logs in anew",
    )
