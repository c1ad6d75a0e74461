"""The header fields and outcomes that all answers of the registry share.

Owns how an answer says where it came from: `Cache-Status` (RFC 9211), `Warning` (RFC 7234
section 5.5, still read by people and tools), `OCI-Namespace` (distribution-spec, proxying).
"""

from __future__ import annotations

from enum import StrEnum

from skerry.base.digest import Digest
from skerry.registry.core.errors import Code, RegistryError
from skerry.registry.ports import Repository
from skerry.wire.message import Headers

RETRY_SOON_SECONDS = 5


class Outcome(StrEnum):
    """How a pull was answered; a bounded metric label (requirements S1)."""

    HIT = "hit"
    STALE = "stale"
    MISS = "miss"
    SIBLING = "sibling"
    JOINED = "joined"
    LOCAL = "local"
    WRITTEN = "written"
    UNAVAILABLE = "unavailable"
    ABSENT = "absent"
    REFUSED = "refused"
    FAILED = "failed"


_CACHE_STATUS = {
    Outcome.HIT: "skerry; hit",
    Outcome.LOCAL: "skerry; hit; detail=local",
    Outcome.MISS: "skerry; fwd=uri-miss; stored",
    Outcome.SIBLING: "skerry; fwd=uri-miss; stored; detail=sibling",
    Outcome.JOINED: "skerry; fwd=uri-miss; collapsed",
}


def content_fields(
    repository: Repository, digest: Digest, media_type: str, outcome: Outcome
) -> Headers:
    """The fields of a manifest or a blob, without its length."""
    fields = [
        ("Content-Type", media_type),
        ("Docker-Content-Digest", str(digest)),
        ("ETag", f'"{digest}"'),
        ("X-Content-Type-Options", "nosniff"),
    ]
    if repository.upstream:
        fields.append(("OCI-Namespace", repository.upstream))
    if outcome in _CACHE_STATUS:
        fields.append(("Cache-Status", _CACHE_STATUS[outcome]))
    return Headers(fields)


def blob_fields(repository: Repository, digest: Digest, outcome: Outcome) -> Headers:
    """The fields of a blob, which unlike a manifest is also sent in part."""
    fields = content_fields(repository, digest, "application/octet-stream", outcome)
    return fields.with_fields(("Accept-Ranges", "bytes"))


def still_fetching(repository: Repository, what: str) -> RegistryError:
    """The deadline to first byte is over; the fetch goes on behind it."""
    return RegistryError(
        Code.UNAVAILABLE,
        f"{what} of {repository} is still being fetched",
        next_step=f"try again in {RETRY_SOON_SECONDS} s",
        headers=(("Retry-After", str(RETRY_SOON_SECONDS)),),
    )
