"""Twins of the ports of tokens.

Promises: keys are kept as written, or cannot be written while that is told; a source of keys may be
down; nothing else fails.
The book's twin is `adapters.sqlite_tokens` without a path.
"""

from __future__ import annotations

from skerry.base.errors import Party, SkerryError
from skerry.trust.tokens.ports import KeptKeys, KeyFile, KeysUnusable


class MemoryKeys:
    """`ports.KeyStore` that outlives nothing but itself."""

    def __init__(self) -> None:
        self.kept: KeyFile | None = None
        self.broken = False

    def read(self) -> KeyFile | None:
        return self.kept

    def write(self, keys: KeyFile) -> None:
        if self.broken:
            raise KeysUnusable("the disk is full")
        self.kept = keys


class MemoryKeyShelf:
    """`ports.KeyShelf` that outlives nothing but itself."""

    def __init__(self) -> None:
        self.kept: KeptKeys | None = None

    def read(self) -> KeptKeys | None:
        return self.kept

    def write(self, keys: KeptKeys) -> None:
        self.kept = keys


class ToldKeys:
    """`ports.KeySource` that gives what it is told to, or cannot be reached while it is down."""

    def __init__(self, jwks: bytes) -> None:
        self.jwks = jwks
        self.down = False
        self.asked = 0

    async def fetch(self) -> bytes:
        self.asked += 1
        if self.down:
            raise SkerryError("it cannot be reached", party=Party.UPSTREAM)
        return self.jwks
