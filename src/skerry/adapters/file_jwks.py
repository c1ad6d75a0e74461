"""The public keys of an issuer that were fetched last, in a file.

Owns `issuers/<name>.json` in the data directory (docs/internals/tokens.md). Never reads a key.
"""

from __future__ import annotations

import json
from math import isfinite
from pathlib import Path

from skerry.adapters.file_whole import replace_file
from skerry.trust.tokens.ports import KeptKeys

FOLDER = "issuers"
_BYTES_MAX = 1 << 20


class FileKeyShelf:
    """`trust.tokens.ports.KeyShelf` over one file."""

    def __init__(self, data_dir: Path, name: str) -> None:
        self._path = data_dir / FOLDER / f"{name}.json"

    def read(self) -> KeptKeys | None:
        try:
            with self._path.open("rb") as file:
                found = json.loads(file.read(_BYTES_MAX))
            at = float(found["fetched_at"])
            jwks = json.dumps(found["jwks"]).encode()
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return KeptKeys(jwks, at) if isfinite(at) else None

    def write(self, keys: KeptKeys) -> None:
        kept = {"fetched_at": keys.fetched_at, "jwks": json.loads(keys.jwks)}
        replace_file(self._path, json.dumps(kept).encode())
