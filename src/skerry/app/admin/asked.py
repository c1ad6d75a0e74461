"""What is asked of the admin door about images.

Owns the shapes of the bodies. The routes read them, and the document of the API describes them.
"""

from __future__ import annotations

import msgspec


class WarmRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of POST /api/v1/warm."""

    images: tuple[str, ...]
    platforms: tuple[str, ...] = ()
    all_platforms: bool = False
    bytes_max: int | None = None


class ReferenceRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of POST /api/v1/pins."""

    reference: str


class EvictRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of POST /api/v1/evict: one of them, or none for the low watermark."""

    bytes: int | None = None
    reference: str | None = None


class ExportRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of POST /api/v1/export; the path is on the node's machine."""

    reference: str
    path: str


class ImportRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of POST /api/v1/import; the path is on the node's machine."""

    path: str
    name: str | None = None
