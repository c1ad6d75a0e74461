"""What the edge is told to account for, and to hold back.

Owns the translation between the edge's words and the budget's; loaded only on a node with sites.
"""

from __future__ import annotations

from dataclasses import replace

from skerry.app.budget.stewards import RETRY_SECONDS, Restraint
from skerry.budget.accounts import Accounts, How
from skerry.budget.core.ladder import Hold
from skerry.budget.core.plan import Owner
from skerry.cdn.core.route import Route
from skerry.cdn.measures import Served
from skerry.cdn.ports import Origin, RoutePolicy
from skerry.cdn.steward import ClosedOrigin

_HOW = {
    Served.HIT: How.HIT,
    Served.STALE: How.STALE,
    Served.MISS: How.MISS,
    Served.REVALIDATED: How.MISS,
    Served.COLLAPSED: How.SHARED,
    Served.NEARER: How.SHARED,
    Served.PASS: How.PASS,
    Served.WRITTEN: How.PASS,
}


class EdgeSteward:
    """`cdn.steward.Steward`."""

    def __init__(self, accounts: Accounts, restraint: Restraint, *, freshness_factor: int) -> None:
        self._accounts = accounts
        self._restraint = restraint
        self._factor = freshness_factor

    def tally(self, route: Route | None, served: Served, uses: int, body_bytes: int) -> None:
        """See `Steward`."""
        if route is None:
            account = self._accounts.node()
        else:
            account = self._accounts.route(route.origin, route.prefix, route.policy.data_class)
        account(_HOW.get(served, How.OTHER), uses, body_bytes)

    def origin(self, route: Route, origin: Origin) -> Origin:
        """See `Steward`."""
        if not self._hold(route).refused:
            return origin
        return ClosedOrigin(origin.name, retry_after_seconds=RETRY_SECONDS)

    def policy(self, route: Route) -> RoutePolicy:
        """See `Steward`."""
        policy = route.policy
        return replace(policy, stretch=self._factor) if self._hold(route).longer else policy

    def may_warm(self, route: Route) -> bool:
        """See `Steward`."""
        return self._restraint.may_warm(self._owner(route).tenant)

    def warming_paused(self, route: Route) -> bool:
        """See `Steward`."""
        return self._restraint.warming_paused(self._owner(route).tenant)

    def _hold(self, route: Route) -> Hold:
        return self._restraint.hold(self._owner(route))

    def _owner(self, route: Route) -> Owner:
        return self._accounts.plan.owner_of(route.origin, route.prefix)
