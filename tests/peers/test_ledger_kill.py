"""A node is killed again and again under load: what it has written down agrees with its clients.

Of the ledger and of the counters the last beat is lost and no more; a bundle that was delivered is
never contradicted, and each death is on record.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import threading
import time
from contextlib import closing
from random import Random

from typer.testing import CliRunner

from skerry.adapters.counts_file import CountsFile
from skerry.adapters.sqlite_ledger import SqliteLedger
from skerry.app.drill.client import RegistryClient
from skerry.app.drill.processes import NodeProcess
from skerry.budget.core.usage import Meter, total, totals
from skerry.cli.main import make_app
from tests.rig.nodes import settings
from tests.rig.processes import Rig

KILLS = 7
LIFE_SECONDS = (0.3, 3.5)
LOST_SECONDS_MAX = 1.6
"""A beat, and time for it on a busy machine."""
PROBES_MAX = 40
"""The rig itself asks until a node answers."""
ANSWERED = 'skerry_registry_answers_total{class="public",kind="base",outcome="hit"}'


def answered_until_killed(node: NodeProcess, after_seconds: float) -> tuple[list[float], float]:
    """When each answer came, and when the node was killed."""
    killed: list[float] = []

    def kill() -> None:
        killed.append(time.monotonic())
        os.kill(node.child.pid, signal.SIGKILL)

    timer = threading.Timer(after_seconds, kill)
    timer.start()
    client, answers = RegistryClient(node.registry), list[float]()
    while client.get("/v2/").status == 200:
        answers.append(time.monotonic())
    timer.join()
    node.kill()
    return answers, killed[0]


def in_ledger(node: NodeProcess) -> int:
    ledger = SqliteLedger(node.folder / "data" / "ledger.sqlite")
    assert ledger.verify().broken_at == 0
    return total(totals(ledger.hours(0, 1 << 40)).values())[Meter.REQUESTS]


def in_counters(node: NodeProcess) -> int:
    """What was bundled, and what waits to be."""
    data = node.folder / "data"
    with closing(sqlite3.connect(data / "telemetry.sqlite")) as db:
        lines = [bytes(line) for (line,) in db.execute("SELECT line FROM bundle")]
    bundled = sum(json.loads(line)["counters"].get(ANSWERED, 0) for line in lines)
    of, counts = CountsFile(data / "counters.kept").read()
    return int(bundled) + (counts.get(ANSWERED, 0) if of == len(lines) else 0)


def skerry(node: NodeProcess, *words: str) -> str:
    ran = CliRunner().invoke(make_app(), [*words, "--config", str(node.config)])
    assert ran.exit_code == 0, ran.output
    return ran.stdout


def test_kills_cost_a_second_of_counters_and_contradict_no_bundle(rig: Rig) -> None:
    chance, folder = Random(5), rig.place("evidence")
    told = {"telemetry": {"bundles": {"every": "10s", "folder": str(folder)}}}
    node = rig.node({**settings("http://127.0.0.1:9"), **told})
    kept, delivered = [0, 0], dict[str, bytes]()
    for _ in range(KILLS):
        answers, killed_at = answered_until_killed(node, chance.uniform(*LIFE_SECONDS))
        sure = sum(at < killed_at - LOST_SECONDS_MAX for at in answers)
        for told_by, read in enumerate((in_ledger, in_counters)):
            now = read(node)
            assert kept[told_by] + sure <= now <= kept[told_by] + len(answers) + PROBES_MAX
            kept[told_by] = now
        found = {each.name: each.read_bytes() for each in folder.glob("*.json")}
        assert delivered.items() <= found.items(), "what was delivered stays as it was"
        delivered = found
        node.start()
    assert delivered, "some were delivered between the kills"

    public = rig.place("key") / "node.pub"
    public.write_text(skerry(node, "bundle", "key"))
    verified = CliRunner().invoke(
        make_app(), ["bundle", "verify", str(folder), "--key", str(public)]
    )
    assert verified.exit_code == 0, verified.output
    incidents = json.loads(skerry(node, "incidents", "--json"))["incidents"]
    assert sum(each["lost"] == "node" for each in incidents) == KILLS
    events = json.loads(skerry(node, "events", "--since", "1h", "--json"))["events"]
    assert sum(each["kind"] == "node.lost" for each in events) == KILLS
