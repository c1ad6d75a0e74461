"""The edge's door: one request in, one answer out."""

from __future__ import annotations

from collections.abc import Sequence

from skerry.cdn.core.route import Site
from skerry.wire.message import Answer, Request


class Edge:
    """Handler of the edge's door."""

    def use(self, sites: Sequence[Site]) -> None:
        """Takes another table of sites, from the next request on. Raises BadInput."""
        raise NotImplementedError

    async def __call__(self, request: Request) -> Answer:
        raise NotImplementedError
