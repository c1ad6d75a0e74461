"""What the registry and the edge are told to account for, and to hold back.

Owns the translation between their words and the budget's. Decides nothing.
"""

from __future__ import annotations

from typing import Protocol

from skerry.budget.accounts import Accounts, How
from skerry.budget.core.ladder import Hold
from skerry.budget.core.plan import LOCAL, Owner
from skerry.registry.ports import Repository
from skerry.registry.replies import Outcome

_HOW = {
    Outcome.HIT: How.HIT,
    Outcome.LOCAL: How.HIT,
    Outcome.STALE: How.STALE,
    Outcome.MISS: How.MISS,
    Outcome.SIBLING: How.SHARED,
    Outcome.JOINED: How.SHARED,
    Outcome.WRITTEN: How.PASS,
}


RETRY_SECONDS = 600
"""When whoever was refused for lack of money may ask again: money does not come back in seconds."""


class Restraint(Protocol):
    """`budget.ladders.Ladders`, as far as it is needed here."""

    def hold(self, owner: Owner) -> Hold: ...
    def may_warm(self, tenant: str) -> bool: ...
    def warming_paused(self, tenant: str) -> bool: ...


class RegistrySteward:
    """`registry.steward.Steward`."""

    def __init__(self, accounts: Accounts, restraint: Restraint, *, freshness_factor: int) -> None:
        self._accounts = accounts
        self._restraint = restraint
        self._factor = float(freshness_factor)

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
        longer = self._restraint.hold(self._owner(repository)).longer
        return self._factor if longer else 1.0

    def may_warm(self, repository: Repository) -> bool:
        """See `Steward`."""
        tenant = self._owner(repository).tenant
        return self._restraint.may_warm(tenant) and not self._restraint.warming_paused(tenant)

    def held_back(self, upstream: str) -> int:
        """For how many seconds nothing is to be asked of an upstream; 0 for nothing."""
        owner = self._accounts.plan.owner_of(upstream)
        return RETRY_SECONDS if self._restraint.hold(owner).refused else 0

    def _owner(self, repository: Repository) -> Owner:
        return self._accounts.plan.owner_of(repository.upstream or LOCAL)
