"""A scripted visitor that counts what it gets, by how it must have been answered.

Owns the client's side of a count; what a node tells of it is `tests.rig.telling`.
"""

from __future__ import annotations

import http.client
from collections import Counter
from dataclasses import dataclass, field

from skerry.app.drill.processes import NodeProcess
from tests.rig.pages import HOST as SITE
from tests.rig.telling import Counts


@dataclass
class Script:
    """What was asked, what came, and how it must have been answered."""

    node: NodeProcess
    counts: Counts = field(default_factory=Counter)
    sizes: Counts = field(default_factory=Counter)
    _links: dict[str, http.client.HTTPConnection] = field(default_factory=dict)

    def image(
        self, path: str, outcome: str, status: int, *fields: tuple[str, str], method: str = "GET"
    ) -> bytes:
        return self._ask("image", self.node.registry, path, outcome, status, fields, method)

    def page(
        self, path: str, outcome: str, status: int, *fields: tuple[str, str], method: str = "GET"
    ) -> bytes:
        named = (("Host", SITE), *fields)
        return self._ask("page", self.node.edge, path, outcome, status, named, method)

    def add(self, side: str, outcome: str, size_bytes: int) -> None:
        self.counts[side, outcome] += 1
        self.sizes[side, outcome] += size_bytes

    def fresh_links(self) -> None:
        """The next request may meet another process."""
        for link in self._links.values():
            link.close()
        self._links.clear()

    def _ask(
        self,
        side: str,
        authority: str,
        path: str,
        outcome: str,
        status: int,
        fields: tuple[tuple[str, str], ...],
        method: str,
    ) -> bytes:
        link = self._links.setdefault(authority, http.client.HTTPConnection(authority, timeout=20))
        named = any(name == "Host" for name, _ in fields)
        link.putrequest(method, path, skip_host=named, skip_accept_encoding=True)
        for name, value in fields:
            link.putheader(name, value)
        link.endheaders()
        answer = link.getresponse()
        body = answer.read()
        assert answer.status == status, (path, answer.status, body[:300])
        self.add(side, outcome, len(body))
        return body
