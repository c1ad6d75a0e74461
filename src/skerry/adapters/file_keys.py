"""The keys that tokens are signed with, in one file of the data directory.

Owns `token.keys` (docs/internals/tokens.md): JSON, for its owner alone, replaced whole. Never
signs, never says what is in it.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import stat
from pathlib import Path

from skerry.adapters.file_whole import replace_file
from skerry.trust.tokens.core.ring import Phase, RingKey
from skerry.trust.tokens.ports import KeyFile, KeysUnusable

KEYS_FILE = "token.keys"
FORMAT = 1
_BYTES_MAX = 256 * 1024


class FileKeys:
    """`trust.tokens.ports.KeyStore` over one file."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / KEYS_FILE

    def read(self) -> KeyFile | None:
        try:
            with self._path.open("rb") as file:
                mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
                text = file.read(_BYTES_MAX)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._unusable(f"cannot be read: {error.strerror}") from error
        if mode & 0o077:
            raise self._unusable("can be read by other users, so its keys are no secret")
        try:
            return _decoded(json.loads(text))
        except (ValueError, KeyError, TypeError, AttributeError, binascii.Error) as error:
            raise self._unusable("is not a file of keys, or a newer Skerry's") from error

    def write(self, keys: KeyFile) -> None:
        try:
            replace_file(self._path, json.dumps(_encoded(keys)).encode())
        except OSError as error:
            raise KeysUnusable(
                f"{self._path} cannot be written: {error.strerror}",
                next_step="make the data directory writable for the node's user",
            ) from error

    def _unusable(self, what: str) -> KeysUnusable:
        return KeysUnusable(
            f"{self._path} {what}",
            next_step="put the right one back, readable by the node's user alone, or move it away:"
            " the node makes new keys, and everybody logs in anew",
        )


def _encoded(keys: KeyFile) -> dict[str, object]:
    private = dict(keys.private)
    return {
        "format": FORMAT,
        "node": keys.node,
        "refresh_key": base64.b64encode(keys.refresh_key).decode(),
        "keys": [
            {
                "name": key.name,
                "algorithm": key.algorithm,
                "phase": key.phase.value,
                "since": key.since,
                "until": key.until,
                "private": private[key.name].decode(),
            }
            for key in keys.ring
        ],
    }


def _decoded(found: dict[str, object]) -> KeyFile:
    if found["format"] != FORMAT:
        raise ValueError("another format")
    node, entries = found["node"], found["keys"]
    if not isinstance(node, str) or not isinstance(entries, list):
        raise TypeError("another shape")
    ring: list[RingKey] = []
    private: list[tuple[str, bytes]] = []
    for entry in entries:
        until = entry["until"]
        ring.append(
            RingKey(
                str(entry["name"]),
                str(entry["algorithm"]),
                Phase(entry["phase"]),
                float(entry["since"]),
                None if until is None else float(until),
            )
        )
        private.append((str(entry["name"]), str(entry["private"]).encode()))
    refresh_key = base64.b64decode(str(found["refresh_key"]), validate=True)
    if len(refresh_key) < 32:
        raise ValueError("a short key")
    return KeyFile(node, refresh_key, tuple(ring), tuple(private))
