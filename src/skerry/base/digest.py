"""Content digests: the only names that can be believed.

Owns the grammar of OCI image-spec 1.1 "Digests" for the two registered algorithms. A digest that
was parsed is safe to be part of a path or a URL (known failures T18).
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Protocol

from skerry.base.errors import BadInput

ALGORITHMS = {"sha256": 64, "sha512": 128}
"""Registered algorithm -> number of hex digits (image-spec 1.1, "Registered algorithms")."""

_HEX = re.compile(r"[0-9a-f]+\Z")


class InvalidDigest(BadInput):
    """Not a digest of a registered algorithm."""


class Hasher(Protocol):
    """A running hash, as `hashlib` makes it."""

    def update(self, data: bytes | bytearray | memoryview, /) -> None: ...
    def hexdigest(self) -> str: ...


@dataclass(frozen=True, slots=True, order=True)
class Digest:
    """`algorithm:hex`, always of a registered algorithm, right length and lower case."""

    algorithm: str
    hex: str

    def __post_init__(self) -> None:
        if ALGORITHMS.get(self.algorithm) != len(self.hex) or not _HEX.match(self.hex):
            raise InvalidDigest(
                f"{f'{self.algorithm}:{self.hex}'[:160]!r} is not a digest",
                next_step="use sha256:<64 lower-case hex digits> or sha512:<128>",
            )

    @classmethod
    def parse(cls, text: str) -> Digest:
        """The digest written as `algorithm:hex`. Raises InvalidDigest."""
        algorithm, _, encoded = text.partition(":")
        return cls(algorithm, encoded)

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.hex}"

    @property
    def short(self) -> str:
        """First 12 hex digits, for people; never an identity."""
        return self.hex[:12]


def new_hasher(algorithm: str) -> Hasher:
    """A running hash of a registered algorithm."""
    return hashlib.new(algorithm, usedforsecurity=True)


def digest_of(data: bytes, algorithm: str = "sha256") -> Digest:
    """The digest of bytes at hand."""
    return Digest(algorithm, hashlib.new(algorithm, data).hexdigest())
