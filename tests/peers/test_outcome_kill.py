"""A node is killed while shops report: no report that was acknowledged is lost."""

from __future__ import annotations

import threading
import time

from skerry.adapters.sqlite_ledger import SqliteLedger
from skerry.app.budget.outcomes import OutcomeTaken
from skerry.app.drill.processes import NodeProcess
from skerry.base.errors import SkerryError
from skerry.cli.admin_client import AdminClient, NodeAddress
from tests.rig.nodes import settings
from tests.rig.processes import Rig


def test_a_kill_loses_no_outcome_that_was_acknowledged(rig: Rig) -> None:
    base = settings("http://127.0.0.1:9")
    base["budget"] = {"workflow": [{"name": "shop", "repositories": ["*"]}]}
    node = rig.node(base)
    acknowledged: list[str] = []

    def sell(number: int, until_dead: threading.Event) -> None:
        client = AdminClient(NodeAddress(f"http://{node.admin}", _token(node)))
        for order in range(100_000):
            key = f"{number}-{order}"
            body = {"key": key, "workflow": "shop", "currency": "EUR", "orders": 1}
            try:
                client.post("/api/v1/outcomes", body, OutcomeTaken)
            except SkerryError:
                until_dead.set()
                return
            acknowledged.append(key)

    dead = threading.Event()
    sellers = [threading.Thread(target=sell, args=(number, dead)) for number in range(4)]
    for seller in sellers:
        seller.start()
    while len(acknowledged) < 60:
        time.sleep(0.01)
    node.kill()
    for seller in sellers:
        seller.join(30)
    ledger = SqliteLedger(node.folder / "data" / "ledger.sqlite")
    kept = {each.key for each in ledger.outcomes(0, 1 << 40, 1 << 20)}
    assert kept >= set(acknowledged)
    assert len(kept) <= len(acknowledged) + len(sellers), "and what was on its way"
    assert ledger.verify().broken_at == 0
    node.start()
    assert _token(node)


def _token(node: NodeProcess) -> str:
    return (node.folder / "data" / "admin.token").read_text().strip()
