"""What decides beside signatures whether an image may leave.

Owns the Protocol, and the answer of a node that has neither a root nor an emergency.
"""

from __future__ import annotations

from typing import Protocol

from skerry.base.digest import Digest


class Standing(Protocol):
    """What else decides beside signatures: whether the root of trust has expired, and what was
    opened in an emergency."""

    def closed(self) -> str:
        """Why nothing new may be admitted now; "" when it may."""

    def note(self) -> str:
        """What people should know of how the root stands: a grace; "" when there is nothing."""

    def is_open(self, version: str, digest: Digest) -> bool:
        """Whether a digest may leave now against this version of a policy."""

    def open_until(self, version: str, digest: Digest) -> float | None:
        """When that ends, in seconds since the epoch; None when it is not open."""


class NoRoot:
    """`Standing` of a node whose keys are in its settings, with nothing opened."""

    def closed(self) -> str:
        """See `Standing`."""
        return ""

    def note(self) -> str:
        """See `Standing`."""
        return ""

    def is_open(self, version: str, digest: Digest) -> bool:
        """See `Standing`."""
        return False

    def open_until(self, version: str, digest: Digest) -> float | None:
        """See `Standing`."""
        return None
