"""What is remembered of watched domains, in one file.

Owns `domains.json` (docs/internals/delegation.md) and its atomic replacement. Never judges what is
in it, but that it is whole: a damaged one could hide that versions only rise.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Mapping
from pathlib import Path

import msgspec

from skerry.adapters.disk_layout import sync_folder
from skerry.base.digest import Digest, InvalidDigest, digest_of
from skerry.trust.core.delegation import Aspect, Drift, Registration
from skerry.trust.watch_ports import Kept, WatchUnusable

FILE = "domains.json"
VERSION = 1
FILE_BYTES_MAX = 16 << 20


class _Registration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    at: float
    status: tuple[str, ...]
    expires_at: float | None = None


class _Drift(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    aspect: Aspect
    what: str
    holds: bool


class _Kept(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    payload: str = ""
    digest: str = ""
    drifts: tuple[_Drift, ...] = ()
    registration: _Registration | None = None


class _Written(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: int
    domains: dict[str, _Kept]


class WatchFile:
    """`trust.watch_ports.WatchBook` over `domains.json` in a folder."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self._writing = threading.Lock()

    def load(self) -> Mapping[str, Kept]:
        try:
            with self._path.open("rb") as file:
                data = file.read(FILE_BYTES_MAX)
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise self._unusable("cannot be read", error) from error
        try:
            written = msgspec.json.decode(data, type=_Written)
            found = {domain: _kept(each) for domain, each in written.domains.items()}
        except (msgspec.DecodeError, InvalidDigest, ValueError) as error:
            raise self._unusable("is damaged or of a newer Skerry", error) from error
        if written.version != VERSION:
            raise self._unusable("is of a newer Skerry", None)
        return found

    async def save(self, kept: Mapping[str, Kept]) -> None:
        written = _Written(VERSION, {domain: _written(each) for domain, each in kept.items()})
        data = msgspec.json.format(msgspec.json.encode(written))
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

    def _unusable(self, what: str, error: Exception | None) -> WatchUnusable:
        said = f" ({error})" if error else ""
        return WatchUnusable(
            f"{self._path} {what}{said}",
            next_step="let the node's user write there; if it is damaged, move it away: the node "
            "then believes any version of a signed state once",
        )


def _kept(each: _Kept) -> Kept:
    payload, told = each.payload.encode(), each.registration
    digest = Digest.parse(each.digest) if each.digest else None
    if digest is not None and digest_of(payload) != digest:
        raise ValueError("a state is not what its digest says")
    return Kept(
        payload=payload,
        digest=digest,
        drifts=tuple(Drift(drift.aspect, drift.what, drift.holds) for drift in each.drifts),
        registration=Registration(told.expires_at, frozenset(told.status)) if told else None,
        registered_at=told.at if told else 0.0,
    )


def _written(kept: Kept) -> _Kept:
    told = kept.registration
    return _Kept(
        payload=kept.payload.decode(),
        digest=str(kept.digest or ""),
        drifts=tuple(_Drift(drift.aspect, drift.what, drift.holds) for drift in kept.drifts),
        registration=_Registration(kept.registered_at, tuple(sorted(told.status)), told.expires_at)
        if told
        else None,
    )
