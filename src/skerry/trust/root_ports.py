"""Where the root of trust is kept, and what goes with it.

Owns the Protocol of the trusted root, of broken glasses and of the audit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from skerry.base.digest import Digest
from skerry.trust.core.audit import Entry


@dataclass(frozen=True, slots=True)
class RootFiles:
    """What lies in the folder: roots by the number in their names, and a grace."""

    roots: Mapping[int, bytes] = field(default_factory=dict)
    grace: bytes | None = None


@dataclass(frozen=True, slots=True)
class Window:
    """From when until when something is open, in seconds since the epoch."""

    begins_at: float
    ends_at: float


class RootBook(Protocol):
    """The root that is trusted, a grace for it, and the audit. Writes are durable on return.

    What one call writes is written together, or not at all. Raises VerdictsUnusable.
    """

    def root(self) -> bytes | None:
        """The newest root that was ever taken; versions only rise, across restarts too."""

    def grace(self) -> bytes | None:
        """The latest grace that was taken."""

    async def keep_roots(self, roots: Sequence[tuple[int, bytes]], texts: Sequence[str]) -> None:
        """Keeps roots by their versions, and what the audit says of each."""

    async def keep_grace(self, body: bytes, text: str) -> None:
        """Keeps a grace in place of an earlier one, and what the audit says of it."""

    def glass(self, version: str, digest: Digest) -> Window | None:
        """When a digest may leave against this version of a policy; the latest word counts."""

    async def break_glass(self, version: str, digest: Digest, window: Window, text: str) -> Entry:
        """Keeps that, and what the audit says of it."""

    def audit(self, after: int, count_max: int) -> tuple[Entry, ...]:
        """Entries behind a number, the oldest first."""
