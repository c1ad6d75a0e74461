"""Signing an image in a format, where the private key is.

Owns the order in which a key, a certificate and an image's manifest become a signature, and the
check of it before it leaves: what our own reader would not count is not sent.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from skerry.app.trust.signing_keys import (
    COSIGN_CURVES,
    NOTATION_CURVES,
    SigningKey,
    certificate_of,
    load,
)
from skerry.base.digest import Digest
from skerry.base.errors import BadInput
from skerry.registry.operations import Verified
from skerry.trust.core import making, notation
from skerry.trust.core.cosign import payload_of
from skerry.trust.core.keys import public_key
from skerry.trust.core.threshold import Format


@dataclass(frozen=True, slots=True)
class Made:
    """A payload and the signature beside it, b"" where the payload holds it."""

    payload: bytes
    signature: bytes = b""


@dataclass(frozen=True, slots=True)
class Signer:
    """A key, how it signs, and its certificates where the format wants them."""

    format: Format
    key: SigningKey
    chain: tuple[x509.Certificate, ...] = ()

    @staticmethod
    def of(kind: Format, key: Path, passphrase: bytes, certificate: Path | None) -> Signer:
        """Raises KeyFileError, BadInput."""
        if (kind is Format.NOTATION) != (certificate is not None):
            raise BadInput(
                "notation signs with a certificate, the others without",
                next_step="give --certificate with --format notation;"
                " `skerry keys certificate` makes one",
            )
        curves = NOTATION_CURVES if certificate is not None else COSIGN_CURVES
        signer = load(key, passphrase, curves=curves)
        chain = tuple(certificate_of(certificate)) if certificate is not None else ()
        if chain and public_key(chain[0].public_key()) != signer.public:
            raise BadInput(
                f"the first certificate of {certificate} is of another key than {key}",
                next_step="put the signer's own certificate first",
            )
        return Signer(kind, signer, chain)

    def signed(self, held: Verified, *, repository: str, at: float) -> Made:
        """A signature of an image. `at` in seconds since the epoch. Raises BadInput."""
        subject = Digest.parse(held.digest)
        match self.format:
            case Format.COSIGN:
                payload = payload_of(subject, reference=repository)
                return Made(payload, self.key.sign(payload))
            case Format.BUNDLE:
                statement = making.statement_of(subject)
                signature = self.key.sign(making.bundle_message(statement))
                return Made(making.bundle_of(statement, self.key.public, signature))
            case Format.NOTATION:
                return Made(self._envelope(subject, held, at))

    def _envelope(self, subject: Digest, held: Verified, at: float) -> bytes:
        head, payload = making.envelope_parts(
            subject,
            media_type=held.media_type,
            size_bytes=held.size_bytes,
            signer=self.chain[0],
            at=at,
        )
        algorithm = notation.algorithm_of(self.chain[0])
        signature = self.key.sign_as(f"{head}.{payload}".encode(), algorithm)
        envelope = making.envelope_of(head, payload, signature, self.chain)
        notation.claims(envelope, self.chain[-1:], at)
        return envelope
