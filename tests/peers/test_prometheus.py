"""Debian's Prometheus scrapes a real node, believes what it says, and its rules fire."""

from __future__ import annotations

import subprocess

from skerry.app.drill.client import RegistryClient
from skerry.app.drill.processes import NodeProcess, comes_true
from skerry.app.drill.wan import PASS, REFUSE
from tests.rig import images, nodes
from tests.rig.guarded import GuardedRegistry
from tests.rig.nodes import HOST
from tests.rig.processes import Rig, need
from tests.rig.prometheus import over

NAME = "team/tide"
PULLS, FAILURES = 7, 25


class Scene:
    """A node, the registry behind it, and Prometheus that looks at the node twice a second."""

    def __init__(self, rig: Rig, *, factor: int = 1) -> None:
        self.registry = GuardedRegistry(user="", password="")
        rig.listen(self.registry.server)
        self.registry.push(NAME, images.small(), "1")
        self.wan = rig.wan(self.registry.server.authority)
        self.registry.public = f"http://127.0.0.1:{self.wan.port}"
        self.node: NodeProcess = rig.node(nodes.settings(self.registry.public))
        self.client = RegistryClient(self.node.registry)
        self.prometheus = over(rig, self.node.admin, factor=factor, every="500ms")
        self.query, self.ask = self.prometheus.query, self.prometheus.ask
        self.until, self.firing = self.prometheus.until, self.prometheus.firing

    def pull(self, tag: str = "1", name: str = NAME) -> int:
        return self.client.manifest(f"{HOST}/{name}", tag).status


def test_promtool_finds_nothing_to_say_against_the_text(rig: Rig) -> None:
    node = rig.node(nodes.settings("http://127.0.0.1:1"))
    assert RegistryClient(node.registry).get("/v2/").status == 200
    text = RegistryClient(node.admin).get("/metrics").body
    argv = [need("promtool"), "check", "metrics"]
    check = subprocess.run(argv, input=text, capture_output=True, check=False)
    assert check.returncode == 0, check.stdout + check.stderr


def test_prometheus_scrapes_a_node_and_its_rules_fire(rig: Rig) -> None:
    scene = Scene(rig)
    for _ in range(PULLS):
        assert scene.client.manifest(f"{HOST}/{NAME}", "1").status == 200
    hits = 'skerry_registry_answers_total{kind="manifest",outcome=~"hit|miss"}'
    scene.until(f"sum({hits}) == {PULLS}")
    [target] = scene.ask("/api/v1/targets")["activeTargets"]  # type: ignore[misc]
    assert (target["health"], target["lastError"]) == ("up", "")  # type: ignore[index]
    # Only whoever was given OpenMetrics knows of units and of when a series began.
    told = scene.ask("/api/v1/metadata?metric=skerry_store_bytes")["skerry_store_bytes"]
    assert told[0]["unit"] == "bytes"  # type: ignore[index]
    assert scene.until("skerry_registry_starts_created")
    assert not scene.firing("SkerryTrickleFails")
    assert not scene.query("ALERTS{alertname=~'SkerryAttack|SkerryMisconfiguration'}")

    scene.registry.blobs_at = "http://169.254.169.254/latest"
    layer = images.small().blobs[-1].digest
    assert scene.client.blob(f"{HOST}/{NAME}", layer).status != 200
    # The first of its kind: its series was at 0 before.
    attack = "ALERTS{alertname='SkerryAttack',alertstate='firing',cause='redirect_refused'}"
    assert scene.until(attack)
    assert len(scene.query("ALERTS{alertname=~'SkerryAttack|SkerryMisconfiguration'}")) == 1
    scene.registry.blobs_at = ""

    rig.run(scene.wan.switch(REFUSE))
    for number in range(FAILURES):
        assert scene.client.manifest(f"{HOST}/none-{number}", "absent").status == 503
    scene.until("ALERTS{alertname='SkerryTrickleFails',alertstate='firing'}")
    assert scene.firing("SkerryTrickleFails")
    # Two looks that fail, then two seconds of silence: the node has noticed, and serves all along.
    assert scene.until("skerry_incidents_open{lost='upstream'} == 1")
    assert scene.query("skerry_local_service_good == 1")
    assert not scene.firing("SkerryLocalServiceBad")
    assert scene.client.manifest(f"{HOST}/{NAME}", "1").status == 200


FASTER = 120
"""Rules whose minutes are half seconds."""


def test_alerts_fire_while_it_is_cut_off_and_end_when_it_is_back(rig: Rig) -> None:
    scene = Scene(rig, factor=FASTER)
    for _ in range(PULLS):
        assert scene.pull() == 200
    scene.until("up == 1 and on() sum(skerry_registry_answers_total{outcome='hit'}) > 0")
    assert not scene.query("ALERTS")

    rig.run(scene.wan.switch(REFUSE))
    for number in range(FAILURES):
        assert scene.pull("absent", f"none-{number}") == 503
    scene.until("ALERTS{alertname='SkerryErrorBudgetBurn',alertstate='firing',tier='14.4x'}")
    scene.until("ALERTS{alertname='SkerryCutOff',alertstate='firing',lost='upstream'}")
    assert scene.pull() == 200

    rig.run(scene.wan.switch(PASS))

    def quiet() -> bool:
        """Somebody pulls what is not here; answers for ten seconds end the outage."""
        assert scene.pull("absent", "none-at-all") in (404, 503)
        over_by_now = "alertname='SkerryErrorBudgetBurn',tier='14.4x'", "alertname='SkerryCutOff'"
        return not any(scene.query(f"ALERTS{{{each}}}") for each in over_by_now)

    # No more often: a node holds back whoever asks too much for what it does not have.
    assert comes_true(quiet, seconds_max=60, every_seconds=0.1)
    assert scene.query("sum(skerry_incidents_open) == 0")
    assert not scene.firing("SkerryLocalServiceBad")
