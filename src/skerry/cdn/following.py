"""An origin whose redirects to certain other servers are followed here.

Owns the sending; which redirects, with what, and what comes of it is `core.moved`. Without it a
client would go to the other server by itself and nothing of the body would be stored. A credential
never goes along.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

from skerry.cdn.core.moved import HOPS_MAX, hop, joined, sent_along
from skerry.cdn.ports import Origin
from skerry.upstream.ports import Exchange
from skerry.wire.message import Duplex, Headers, Interim


class Following:
    """`cdn.ports.Origin`. `elsewhere` has the other servers by scheme, host and port."""

    def __init__(self, origin: Origin, elsewhere: Mapping[str, Origin]) -> None:
        self._origin = origin
        self._elsewhere = elsewhere

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
        """See `Origin`. Only GET and HEAD are followed."""
        exchange = await self._origin.send(method, target, headers, body, interim)
        if method not in ("GET", "HEAD"):
            return exchange
        first, base = exchange.headers, ""
        for _ in range(HOPS_MAX):
            location = exchange.headers.get("Location")
            next_one = hop(exchange.status, location, base=base, origins=self._elsewhere)
            if next_one is None:
                break
            await exchange.close()
            place = self._elsewhere[next_one.origin]
            exchange = await place.send(method, next_one.target, sent_along(headers))
            base = next_one.origin + next_one.target
        return exchange if not base else _Moved(exchange, joined(first, exchange.headers))

    def reachable(self) -> bool:
        """See `Origin`."""
        return self._origin.reachable()


class _Moved:
    """The other server's answer under the first name."""

    def __init__(self, exchange: Exchange, headers: Headers) -> None:
        self._exchange = exchange
        self.status = exchange.status
        self.headers = headers

    def chunks(self) -> AsyncIterator[bytes]:
        return self._exchange.chunks()

    def switched(self) -> Duplex | None:
        return None

    async def close(self) -> None:
        await self._exchange.close()
