"""What the registry and the edge are told to account for, and to hold back.

Owns the translation between their words and the budget's. Decides nothing.
"""

from __future__ import annotations

from skerry.budget.accounts import Accounts, How
from skerry.registry.ports import Repository
from skerry.registry.replies import Outcome

_HOW = {
    Outcome.HIT: How.HIT,
    Outcome.LOCAL: How.HIT,
    Outcome.STALE: How.STALE,
    Outcome.MISS: How.MISS,
    Outcome.JOINED: How.SHARED,
}


class RegistrySteward:
    """`registry.steward.Steward`."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    def tally(
        self, repository: Repository | None, outcome: Outcome, uses: int, body_bytes: int
    ) -> None:
        """See `Steward`."""
        how = _HOW.get(outcome, How.OTHER)
        if repository is None:
            served = self._accounts.node()
        else:
            served = self._accounts.repository(repository.upstream, repository.name)
        served(how, uses, body_bytes)

    def window_factor(self, repository: Repository) -> float:
        """See `Steward`."""
        return 1.0

    def may_warm(self) -> bool:
        """See `Steward`."""
        return True
