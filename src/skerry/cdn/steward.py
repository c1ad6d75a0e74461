"""Who accounts for what the edge serves, and may hold back what costs money (requirements C2).

Owns the Protocol, and the steward of a node that counts nothing and holds nothing back.
"""

from __future__ import annotations

from typing import Protocol

from skerry.cdn.core.route import Route
from skerry.cdn.measures import Served
from skerry.cdn.ports import Origin, RoutePolicy


class Steward(Protocol):
    """Asked on the full way, for each request; never waits."""

    def tally(self, route: Route, served: Served, uses: int, body_bytes: int) -> None:
        """So many answers of a route, and their body bytes together."""

    def origin(self, route: Route, origin: Origin) -> Origin:
        """Where a request of this route may go: its origin, or one that refuses."""

    def policy(self, route: Route) -> RoutePolicy:
        """By what its answers are judged now."""

    def may_warm(self) -> bool:
        """Whether anything may be fetched before somebody asks."""


class FreeHand:
    """Counts nothing and holds nothing back."""

    def tally(self, route: Route, served: Served, uses: int, body_bytes: int) -> None:
        """See `Steward`."""

    def origin(self, route: Route, origin: Origin) -> Origin:
        """See `Steward`."""
        return origin

    def policy(self, route: Route) -> RoutePolicy:
        """See `Steward`."""
        return route.policy

    def may_warm(self) -> bool:
        """See `Steward`."""
        return True
