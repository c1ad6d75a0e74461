"""What the edge is told to account for, and to hold back.

Owns the translation between the edge's words and the budget's; loaded only on a node with sites.
"""

from __future__ import annotations

from skerry.budget.accounts import Accounts, How
from skerry.cdn.core.route import Route
from skerry.cdn.measures import Served
from skerry.cdn.ports import Origin, RoutePolicy

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

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    def tally(self, route: Route, served: Served, uses: int, body_bytes: int) -> None:
        """See `Steward`."""
        account = self._accounts.route(route.origin, route.prefix, route.policy.data_class)
        account(_HOW.get(served, How.OTHER), uses, body_bytes)

    def origin(self, route: Route, origin: Origin) -> Origin:
        """See `Steward`."""
        return origin

    def policy(self, route: Route) -> RoutePolicy:
        """See `Steward`."""
        return route.policy

    def may_warm(self) -> bool:
        """See `Steward`."""
        return True
