"""Who accounts for what the registry serves, and may hold back what costs money (requirements C2).

Owns the Protocol, and the steward of a node that counts nothing and holds nothing back.
"""

from __future__ import annotations

from typing import Protocol

from skerry.registry.ports import Repository
from skerry.registry.replies import Outcome


class Steward(Protocol):
    """Asked on the full way; never waits."""

    def tally(
        self, repository: Repository | None, outcome: Outcome, uses: int, body_bytes: int
    ) -> None:
        """So many answers of a repository, None for nobody's, and their body bytes together."""

    def window_factor(self, repository: Repository) -> float:
        """How many times as long as usual a tag of it is believed."""

    def may_warm(self, repository: Repository) -> bool:
        """Whether anything of it may be fetched before somebody asks."""


class FreeHand:
    """Counts nothing and holds nothing back."""

    def tally(
        self, repository: Repository | None, outcome: Outcome, uses: int, body_bytes: int
    ) -> None:
        """See `Steward`."""

    def window_factor(self, repository: Repository) -> float:
        """See `Steward`."""
        return 1.0

    def may_warm(self, repository: Repository) -> bool:
        """See `Steward`."""
        return True
