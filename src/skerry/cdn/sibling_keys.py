"""Who writes: the keys by which siblings know each other, and letters under them.

Owns the signatures of letters and the check that a letter is for this node. Never sends. A node
trusts the public keys that its operator listed, and nobody else; it never tells a secret.
"""

from __future__ import annotations

import hashlib
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from skerry.base.chain import CheckSignature, Sign
from skerry.base.errors import Party, SkerryError
from skerry.cdn.core.letters import signed_bytes
from skerry.wire.message import Headers

KEY_FIELD = "Skerry-Key"
SIGNATURE_FIELD = "Skerry-Signature"


class NotASibling(SkerryError):
    """A letter that no listed sibling wrote to this node."""

    party = Party.CLIENT


def fingerprint(public_key: bytes) -> str:
    """What letters call a key by: SHA-256 of its 32 bytes, hexadecimal."""
    return hashlib.sha256(public_key).hexdigest()


@dataclass(frozen=True, slots=True)
class SiblingKeys:
    """This node's signature and the public keys (32 bytes) of its siblings by their names."""

    own: bytes
    sign: Sign
    check: CheckSignature
    siblings: Mapping[str, bytes]
    refused: Callable[[], None] = lambda: None

    def no_sibling(self, what: str) -> NotASibling:
        """Counts a letter that is not believed; the error to raise."""
        self.refused()
        return NotASibling(what)

    @property
    def me(self) -> str:
        """This node's fingerprint."""
        return fingerprint(self.own)

    def of(self, sibling: str) -> str:
        """A sibling's fingerprint."""
        return fingerprint(self.siblings[sibling])

    def sealed(self, path: str, body: bytes, *, answer: bool = False) -> Headers:
        """The fields that make a body a letter of this node."""
        signature = b64encode(self.sign(signed_bytes(path, body, answer=answer))).decode()
        return Headers(((KEY_FIELD, self.me), (SIGNATURE_FIELD, signature)))

    def claimed(self, headers: Headers) -> str:
        """The sibling that a letter says it is from. Raises NotASibling."""
        key = headers.get(KEY_FIELD) or ""
        for name in self.siblings:
            if self.of(name) == key:
                return name
        raise self.no_sibling("the letter is of no sibling that is listed here")

    def prove(
        self, sibling: str, headers: Headers, path: str, body: bytes, *, answer: bool = False
    ) -> None:
        """That the sibling wrote this body. Raises NotASibling."""
        try:
            signature = b64decode(headers.get(SIGNATURE_FIELD) or "", validate=True)
        except (Base64Error, ValueError):
            signature = b""
        message = signed_bytes(path, body, answer=answer)
        if not self.check(self.siblings[sibling], signature, message):
            raise self.no_sibling(f"the letter was not written by {sibling}")
