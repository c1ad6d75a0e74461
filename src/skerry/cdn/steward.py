"""Who accounts for what the edge serves, and may hold back what costs money (requirements C2).

Owns the Protocol, the steward of a node that counts nothing and holds nothing back, and the origin
of a route that nothing is fetched for any more: to the edge it is one that does not answer, so that
what is stored goes on being served as in an outage.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

from skerry.cdn.core.route import Route
from skerry.cdn.measures import Served
from skerry.cdn.ports import Origin, RoutePolicy
from skerry.upstream.ports import Cause, Exchange, Trouble, Unavailable
from skerry.wire.message import Headers, Interim


class Steward(Protocol):
    """Asked on the full way, for each request; never waits."""

    def tally(self, route: Route | None, served: Served, uses: int, body_bytes: int) -> None:
        """So many answers of a route, None for nobody's, and their body bytes together."""

    def origin(self, route: Route, origin: Origin) -> Origin:
        """Where a request of this route may go: its origin, or one that refuses."""

    def policy(self, route: Route) -> RoutePolicy:
        """By what its answers are judged now."""

    def may_warm(self, route: Route) -> bool:
        """Whether anything of this route may be fetched before somebody asks."""

    def warming_paused(self, route: Route) -> bool:
        """Whether that has to wait now: money goes faster than time."""


class FreeHand:
    """Counts nothing and holds nothing back."""

    def tally(self, route: Route | None, served: Served, uses: int, body_bytes: int) -> None:
        """See `Steward`."""

    def origin(self, route: Route, origin: Origin) -> Origin:
        """See `Steward`."""
        return origin

    def policy(self, route: Route) -> RoutePolicy:
        """See `Steward`."""
        return route.policy

    def may_warm(self, route: Route) -> bool:
        """See `Steward`."""
        return True

    def warming_paused(self, route: Route) -> bool:
        """See `Steward`."""
        return False


class HeldBack(Unavailable):
    """The node's budget lets nothing more be fetched for a route now."""


class ClosedOrigin:
    """`cdn.ports.Origin` that is never asked."""

    def __init__(self, name: str, *, retry_after_seconds: int) -> None:
        self._name = name
        self._retry_after_seconds = retry_after_seconds

    @property
    def name(self) -> str:
        """The site's."""
        return self._name

    async def send(
        self,
        method: str,
        target: str,
        headers: Headers,
        body: AsyncIterator[bytes] | None = None,
        interim: Interim | None = None,
    ) -> Exchange:
        """Raises HeldBack."""
        cause = Cause(self._name, Trouble.BUDGET, "the node's budget is spent")
        raise HeldBack(self._name, (cause,), retry_after_seconds=self._retry_after_seconds)

    def reachable(self) -> bool:
        """See `Origin`."""
        return False
