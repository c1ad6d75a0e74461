"""The book of pins in one file.

Owns `names.json` (docs/internals/names.md) and its atomic replacement. Never judges what is in it.
"""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path

import msgspec

from skerry.adapters.disk_layout import sync_folder
from skerry.trust.ports import PinsState, PinsUnusable

FILE = "names.json"
VERSION = 1
FILE_BYTES_MAX = 4 << 20


class _Written(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: int
    names: PinsState


class PinFile:
    """`trust.ports.PinBook` over `names.json` in a folder."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self._writing = threading.Lock()

    def load(self) -> PinsState:
        try:
            with self._path.open("rb") as file:
                data = file.read(FILE_BYTES_MAX)
        except FileNotFoundError:
            return PinsState()
        except OSError as error:
            raise self._unusable("cannot be read", error) from error
        try:
            written = msgspec.json.decode(data, type=_Written)
        except msgspec.DecodeError as error:
            raise self._unusable("is damaged or of a newer Skerry", error) from error
        if written.version != VERSION:
            raise self._unusable("is of a newer Skerry", None)
        return written.names

    async def save(self, state: PinsState) -> None:
        data = msgspec.json.format(msgspec.json.encode(_Written(VERSION, state)))
        await asyncio.to_thread(self._replace, data)

    def _replace(self, data: bytes) -> None:
        fresh = self._path.with_name(f"{FILE}.new")
        try:
            with self._writing:
                with fresh.open("wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(fresh, self._path)
                sync_folder(str(self._path.parent))
        except OSError as error:
            raise self._unusable("cannot be written", error) from error

    def _unusable(self, what: str, error: Exception | None) -> PinsUnusable:
        said = f" ({error})" if error else ""
        return PinsUnusable(
            f"{self._path} {what}{said}",
            next_step="let the node's user write there; if it is damaged, move it away: the node "
            "then holds no name, and learns where its upstreams are anew",
        )
