"""What the admin door says of the root of trust, as the commands read it.

Owns shapes alone, so that a command loads nothing else.
"""

from __future__ import annotations

import msgspec

from skerry.trust.core.audit import Entry


class GlassRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of POST /api/v1/break-glass: a signed statement in base64, and the image it is for."""

    reference: str
    statement: str


class GlassBroken(msgspec.Struct, frozen=True):
    """What was opened; `until` in seconds since the epoch."""

    reference: str
    digest: str
    policy: str
    owners: tuple[str, ...]
    until: float
    reason: str
    entry: int


class GlassTerms(msgspec.Struct, frozen=True):
    """What a statement for an image has to name."""

    reference: str
    digest: str
    policy: str
    version: str
    node: str


class RootReport(msgspec.Struct, frozen=True):
    """How the root stands; `standing` is "" where keys are in the settings."""

    standing: str = ""
    version: int = 0
    expires_at: float = 0.0
    threshold: int = 0
    holders: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()
    grace_until: float | None = None
    grace_reason: str = ""
    unmeetable: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()


class AuditPage(msgspec.Struct, frozen=True):
    """Entries of the audit, the oldest first; ask again with the last number for more."""

    entries: tuple[Entry, ...]
