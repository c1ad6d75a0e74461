"""Whatever is asked for, a node keeps the same number of series, dimensions and bytes (S1)."""

from __future__ import annotations

from skerry.app.drill.client import RegistryClient
from skerry.app.drill.processes import NodeProcess, wait_until_still
from tests.rig import nodes
from tests.rig.breadth import ask_all, asks, width_of
from tests.rig.pages import HOST
from tests.rig.processes import Rig

WARM, ASKED = 600, 6000
"""`python -m bench --only breadth` asks a hundred thousand."""
GROWTH_BYTES_MAX = 24 << 20
EVENTS_MAX = 500
QUIET_SECONDS = 1.5
"""Longer than whatever writes something down once in a while waits."""


def node_of(rig: Rig) -> NodeProcess:
    site = {
        "hosts": [HOST],
        "origins": ["http://127.0.0.1:1"],
        "plain_http": True,
        "route": [{"data_class": "public"}],
    }
    return rig.node({**nodes.settings("http://127.0.0.1:1"), "site": [site]})


def is_lost(node: NodeProcess) -> bool:
    """Whether both outages are noticed."""
    series = RegistryClient(node.admin).get("/metrics").body.decode()
    return all(
        f'skerry_incidents_open{{lost="{lost}"}} 1\n' in series for lost in ("upstream", "site")
    )


def test_the_number_of_series_does_not_depend_on_what_is_asked(rig: Rig) -> None:
    node = node_of(rig)
    ask_all(node, asks(0, WARM, site=HOST, upstream=nodes.HOST))
    # What is noticed late, as an outage is, and what the ledger writes down late, is there too.
    node.child.wait_until(lambda: width_of(node).dimensions >= 4 and is_lost(node))
    ask_all(node, asks(WARM, WARM + 60, site=HOST, upstream=nodes.HOST))
    wait_until_still(lambda: len(width_of(node).series), quiet_seconds=QUIET_SECONDS)
    before = width_of(node)
    wanted = asks(WARM + 60, WARM + 60 + ASKED, site=HOST, upstream=nodes.HOST)
    assert ask_all(node, wanted) == ASKED
    after = width_of(node)
    assert after.series == before.series
    assert after.dimensions == before.dimensions
    assert after.events <= EVENTS_MAX
    assert after.rss_bytes - before.rss_bytes < GROWTH_BYTES_MAX
