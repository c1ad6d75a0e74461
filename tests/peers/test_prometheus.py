"""Debian's Prometheus scrapes a real node, believes what it says, and its rules fire."""

from __future__ import annotations

import json
import subprocess
from urllib.parse import quote

from typer.testing import CliRunner

from skerry.app.drill.client import RegistryClient
from skerry.app.drill.processes import NodeProcess, free_port
from skerry.app.drill.wan import REFUSE
from skerry.cli.main import make_app
from tests.rig import images, nodes
from tests.rig.guarded import GuardedRegistry
from tests.rig.nodes import HOST
from tests.rig.processes import Rig, Service, need

NAME = "team/tide"
PULLS, FAILURES = 7, 25


class Scene:
    """A node, the registry behind it, and Prometheus that looks at the node each second."""

    def __init__(self, rig: Rig) -> None:
        self.registry = GuardedRegistry(user="", password="")
        rig.listen(self.registry.server)
        self.registry.push(NAME, images.small(), "1")
        self.wan = rig.wan(self.registry.server.authority)
        self.registry.public = f"http://127.0.0.1:{self.wan.port}"
        self.node: NodeProcess = rig.node(nodes.settings(self.registry.public))
        self.client = RegistryClient(self.node.registry)
        self.prometheus = started(rig, self.node)

    def query(self, expression: str) -> list[dict[str, object]]:
        got = self.ask(f"/api/v1/query?query={quote(expression)}")
        found: list[dict[str, object]] = got["result"]  # type: ignore[assignment]
        return found

    def ask(self, path: str) -> dict[str, object]:
        got = RegistryClient(self.prometheus.authority).get(path)
        assert got.status == 200, got.body
        found: dict[str, object] = json.loads(got.body)["data"]
        return found

    def until(self, expression: str) -> list[dict[str, object]]:
        """What an expression gives once it gives anything. Raises NotReady."""
        self.prometheus.child.wait_until(lambda: bool(self.query(expression)), seconds_max=20)
        return self.query(expression)

    def firing(self, name: str) -> bool:
        alerts = self.ask("/api/v1/alerts")["alerts"]
        return any(
            each["labels"]["alertname"] == name and each["state"] == "firing"
            for each in alerts  # type: ignore[attr-defined]
        )


def started(rig: Rig, node: NodeProcess) -> Service:
    folder = rig.place("prometheus")
    rules = CliRunner().invoke(make_app(), ["slo", "rules"]).stdout
    (folder / "skerry.rules.yml").write_text(rules)
    config = folder / "prometheus.yml"
    config.write_text(
        "global: {scrape_interval: 1s, evaluation_interval: 1s}\n"
        "rule_files: [skerry.rules.yml]\n"
        "scrape_configs:\n"
        f"  - {{job_name: skerry, static_configs: [{{targets: ['{node.admin}']}}]}}\n"
    )
    authority = f"127.0.0.1:{free_port()}"
    argv = [need("prometheus"), f"--config.file={config}", f"--storage.tsdb.path={folder}/data"]
    argv += [f"--web.listen-address={authority}", "--enable-feature=exemplar-storage"]
    return rig.service(argv, authority, folder)


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
