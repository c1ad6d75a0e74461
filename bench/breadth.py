"""A hundred thousand different askers: what a node keeps of them.

Owns that measurement: series, dimensions of the ledger, events and memory, before and after.
"""

from __future__ import annotations

from collections.abc import Iterator

from bench.figures import Figure, within
from bench.machine import MIB
from bench.stage import Stage
from tests.rig.breadth import ask_all, asks, width_of
from tests.rig.nodes import HOST

SITE = "bench.test"
GONE = "http://127.0.0.1:1"
WARM = 3000
OUTAGE = 'skerry_events_total{kind="outage.began"}'


def breadth(stage: Stage, *, quick: bool) -> Iterator[Figure]:
    """No two ask for the same repository, path, host, user or token."""
    asked = 6_000 if quick else 100_000
    site = {"hosts": [SITE], "origins": [GONE], "plain_http": True,
            "route": [{"data_class": "public"}]}  # fmt: skip
    node = stage.rig.node({**stage.node_settings(GONE), "site": [site]})
    upstream = HOST
    for start in range(0, WARM, 300):
        ask_all(node, asks(start, start + 300, site=SITE, upstream=upstream))
    node.child.wait_until(lambda: width_of(node).dimensions >= 4)
    # Nobody is behind the node; that it says so, once, is no asker's doing.
    node.child.wait_until(lambda: OUTAGE in width_of(node).series)
    before = width_of(node)
    answered = ask_all(node, asks(WARM, WARM + asked, site=SITE, upstream=upstream))
    if answered != asked:
        raise SystemExit(f"{answered} answers to {asked} requests")
    after = width_of(node)
    new = sorted(after.series - before.series)
    yield within("breadth-series", "", values=[float(len(new))], most=0.5)
    yield within("breadth-dimensions", "", values=[float(after.dimensions)], most=4.0)
    yield within("breadth-events", "", values=[float(after.events)], most=500.0)
    yield within(
        "breadth-rss", "MiB", values=[max(0, after.rss_bytes - before.rss_bytes) / MIB], most=64.0
    )
