"""What requests used, by dimension, since it was taken last.

Owns the running sums. Called once for each answer of the full way, and about once a second for the
many of the fast way; never waits, never writes.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from functools import partial

from skerry.budget.core.plan import LOCAL, Plan
from skerry.budget.core.usage import NODE, Amounts, Dimension, Meter

REPOSITORIES_MAX = 4096
"""Repositories whose dimension is remembered; another one is looked up again."""


class How(Enum):
    """How an answer came about, as far as its cost goes. `OTHER`: refused, or failed."""

    HIT = Meter.HITS
    STALE = Meter.STALE
    MISS = Meter.MISSES
    SHARED = Meter.SHARED
    PASS = Meter.PASSES
    OTHER = None


_SAVED = (How.HIT, How.STALE, How.SHARED)
Served = Callable[[How, int, int], None]
"""How, so many answers, and their body bytes together."""


class Account:
    """The running sums of one dimension."""

    __slots__ = ("amounts",)

    def __init__(self) -> None:
        self.amounts: dict[Meter, int] = {}

    def served(self, how: How, uses: int, body_bytes: int) -> None:
        """Adds answers."""
        self._add(Meter.REQUESTS, uses)
        self._add(Meter.EGRESS_BYTES, body_bytes)
        if how.value is not None:
            self._add(how.value, uses)
        if how in _SAVED:
            self._add(Meter.SAVED_BYTES, body_bytes)

    def _add(self, meter: Meter, count: int) -> None:
        if not count:
            return
        self.amounts[meter] = self.amounts.get(meter, 0) + count


class Accounts:
    """The running sums of all."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._open: dict[Dimension, Account] = {}
        self._routes: dict[tuple[str, str, str], Served] = {}
        self._repositories: dict[tuple[str, str], Served] = {}

    @property
    def plan(self) -> Plan:
        """The one in use."""
        return self._plan

    def use(self, plan: Plan) -> None:
        """Takes another plan, for what is used from now on."""
        self._plan = plan
        self._routes.clear()
        self._repositories.clear()

    def route(self, site: str, prefix: str, data_class: str) -> Served:
        """Where answers of a route are counted."""
        place = (site, prefix, data_class)
        found = self._routes.get(place)
        if found is None:
            found = self._served(self._plan.route(*place))
            if len(self._routes) < REPOSITORIES_MAX:
                self._routes[place] = found
        return found

    def repository(self, upstream: str, name: str) -> Served:
        """Where answers of a repository are counted; one pushed here has no upstream."""
        place = (upstream or LOCAL, name)
        found = self._repositories.get(place)
        if found is None:
            if len(self._repositories) >= REPOSITORIES_MAX:
                self._repositories.clear()
            found = self._repositories[place] = self._served(self._plan.repository(*place))
        return found

    def node(self) -> Served:
        """Where answers are counted that belong to nobody."""
        return self._served(NODE)

    def take(self) -> dict[Dimension, Amounts]:
        """What was used since the last time."""
        taken = {who: Amounts.of(each.amounts) for who, each in self._open.items() if each.amounts}
        for account in self._open.values():
            account.amounts = {}
        return taken

    def _served(self, who: Dimension) -> Served:
        # A hot answer keeps this for longer than a beat, so the account stays the same object.
        return partial(Account.served, self._open.setdefault(who, Account()))
