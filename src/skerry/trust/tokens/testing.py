"""Twins of the ports of tokens.

Promises: keys are kept as written, or cannot be written while that is told; nothing else fails.
The book's twin is `adapters.sqlite_tokens` without a path.
"""

from __future__ import annotations

from skerry.trust.tokens.ports import KeyFile, KeysUnusable


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
