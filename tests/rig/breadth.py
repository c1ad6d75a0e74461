"""Many different askers: no two requests name the same repository, path, host, user or token.

Owns what they ask and what is looked at before and after (requirements S1): series, dimensions of
the ledger, events that are kept, and memory.
"""

from __future__ import annotations

import hashlib
import http.client
import json
from collections.abc import Iterator
from dataclasses import dataclass

from skerry.app.drill.client import RegistryClient
from skerry.app.drill.processes import NodeProcess

OPENMETRICS = ("Accept", "application/openmetrics-text; version=1.0.0")
Ask = tuple[str, str, str, tuple[tuple[str, str], ...]]
"""Door, method, path and fields."""


@dataclass(frozen=True)
class Width:
    """How much a node keeps of what it was asked."""

    series: frozenset[str]
    dimensions: int
    events: int
    rss_bytes: int


def asks(start: int, stop: int, *, site: str, upstream: str) -> Iterator[Ask]:
    """One after the other, of six kinds."""
    for number in range(start, stop):
        name = hashlib.sha256(str(number).encode()).hexdigest()
        token = ("Authorization", f"Bearer {name}")
        kinds: tuple[Ask, ...] = (
            ("registry", "GET", f"/v2/{upstream}/r/{name}/manifests/t{number}", (token,)),
            ("registry", "GET", f"/v2/{upstream}/r/x/blobs/sha256:{name}", ()),
            ("registry", "GET", f"/v2/{name}.test/r/x/tags/list", ()),
            ("edge", "GET", f"/{name}?q={number}", (("Host", site), token)),
            ("edge", "GET", "/", (("Host", f"{name}.test"),)),
            ("edge", "HEAD", f"/m/{name}", (("Host", site), ("Cookie", f"user={name}"))),
        )
        yield kinds[number % len(kinds)]


def ask_all(node: NodeProcess, wanted: Iterator[Ask]) -> int:
    """Asks on kept connections; how many answers came."""
    links: dict[str, http.client.HTTPConnection] = {}
    answers = 0
    for door, method, path, fields in wanted:
        authority = node.registry if door == "registry" else node.edge
        link = links.setdefault(door, http.client.HTTPConnection(authority, timeout=20))
        link.putrequest(method, path, skip_host=any(name == "Host" for name, _ in fields))
        for name, value in fields:
            link.putheader(name, value)
        link.endheaders()
        answer = link.getresponse()
        answer.read()
        answers += 100 <= answer.status < 600
    for link in links.values():
        link.close()
    return answers


def width_of(node: NodeProcess) -> Width:
    token = (node.folder / "data" / "admin.token").read_text().strip()
    client = RegistryClient(node.admin, token=token)
    text = client.get("/metrics", OPENMETRICS).body.decode()
    costs = json.loads(client.get("/api/v1/costs").body)
    events = json.loads(client.get("/api/v1/events?since=0").body)
    lines = (line for line in text.splitlines() if not line.startswith("#"))
    series = frozenset(line.partition(" # ")[0].rpartition(" ")[0] for line in lines)
    return Width(series, len(costs["lines"]), len(events["events"]), node.child.rss_bytes())
