"""An origin as one client's request may use it: charged before it is asked.

Owns what a flood of invented URLs has in common (its topic), and what is known of a page before its
origin is asked. Never charges a hit, a write, or what may not be stored anyway: those are the
site's own traffic. Requirements D5.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from skerry.cdn.admission import Admitted
from skerry.cdn.entries import Held
from skerry.cdn.ports import DataClass, Origin
from skerry.upstream.core.judge import content_length
from skerry.upstream.core.shares import Standing
from skerry.upstream.misses import Misses, Payer, payer_of
from skerry.upstream.ports import Exchange
from skerry.wire.message import Headers, Interim, Request

Identify = Callable[[Request], str]
"""The name that a request has proven; "" for none."""


def nobody(request: Request) -> str:
    """No request has proven any name."""
    return ""


class Rationing:
    """Charges the sites' misses."""

    def __init__(self, misses: Misses | None, identify: Identify = nobody) -> None:
        """Without `misses` nothing is charged."""
        self.misses = misses
        self._identify = identify

    def of(self, admitted: Admitted, origin: Origin, found: tuple[Held, ...]) -> Origin:
        """The origin for one request that stored answers may not do for."""
        request = admitted.request
        public = admitted.route.policy.data_class is DataClass.PUBLIC
        if self.misses is None or not public or not request.client:
            return origin  # a request of nobody's is the node's own: prewarming, a sibling's
        standing = Standing.KNOWN if found else Standing.NEW

        def payer() -> Payer:
            return payer_of(request, self._identify(request))

        return Rationed(origin, self.misses, request, payer=payer, standing=standing)


def topic_of(request: Request) -> str:
    """What changes from one invented URL to the next is left out: the query, else the last name."""
    path = request.raw_path or request.path
    return path if request.query else path.rpartition("/")[0]


class Rationed:
    """`cdn.ports.Origin`. A request that was let through once is never cut off half way: what it
    asks for after the first time is owed."""

    def __init__(
        self,
        origin: Origin,
        misses: Misses,
        request: Request,
        *,
        payer: Callable[[], Payer],
        standing: Standing,
    ) -> None:
        """`payer` is asked when there is something to pay: most requests are hits."""
        self._origin = origin
        self._misses = misses
        self._request = request
        self._who = payer
        self._standing = standing
        self._payer: Payer | None = None

    @property
    def name(self) -> str:
        """The site's."""
        return self._origin.name

    async def send(
        self,
        method: str,
        target: str,
        headers: Headers,
        body: AsyncIterator[bytes] | None = None,
        interim: Interim | None = None,
    ) -> Exchange:
        """See `Origin`. Raises Spent, too."""
        name, topic = self.name, topic_of(self._request)
        if (payer := self._payer) is not None:
            self._misses.owe(name, payer, topic=topic, count=1)
        else:
            payer = self._who()
            self._misses.charge(name, payer, topic=topic, standing=self._standing)
            self._payer = payer
        exchange = await self._origin.send(method, target, headers, body, interim)
        size = content_length(exchange.headers) if method == "GET" else None
        if size and exchange.status in (200, 203, 206):
            self._misses.owe(name, payer, topic=topic, size_bytes=size)
        if exchange.status in (404, 410):
            self._misses.found_nothing(name, payer)
        return exchange

    def reachable(self) -> bool:
        """See `Origin`."""
        return self._origin.reachable()
