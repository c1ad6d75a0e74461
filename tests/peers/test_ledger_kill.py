"""A node is killed: the ledger has all but its last second, and goes on from there."""

from __future__ import annotations

import time

from skerry.adapters.sqlite_ledger import SqliteLedger
from skerry.app.drill.client import RegistryClient
from skerry.app.drill.processes import NodeProcess
from skerry.budget.core.usage import Meter, total, totals
from tests.rig.nodes import settings
from tests.rig.processes import Rig

BEATS_SECONDS = 2.2
"""A beat of the ledger, and time for it on a busy machine."""


def asked(node: NodeProcess, count: int) -> int:
    client = RegistryClient(node.registry)
    return sum(client.get("/v2/").status == 200 for _ in range(count))


def counted(node: NodeProcess) -> int:
    ledger = SqliteLedger(node.folder / "data" / "ledger.sqlite")
    assert ledger.verify().broken_at == 0
    return total(totals(ledger.hours(0, 1 << 40)).values())[Meter.REQUESTS]


def test_a_kill_costs_a_second_of_counters_and_no_more(rig: Rig) -> None:
    node = rig.node(settings("http://127.0.0.1:9"))
    told = 0
    for _ in range(3):
        told += asked(node, 40)
        time.sleep(BEATS_SECONDS)
        last = asked(node, 15)
        node.kill()
        kept = counted(node)
        assert told <= kept <= told + last + 5, "what a beat had seen is kept; probes come on top"
        told = kept
        node.start()
