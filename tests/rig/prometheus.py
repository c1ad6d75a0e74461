"""Debian's Prometheus over one node, with the rules that `skerry slo rules` prints.

Owns its configuration and what is asked of it. Rules may be sped up: every window and every wait
divided by one factor, nothing else changed.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from typer.testing import CliRunner

from skerry.app.drill.client import RegistryClient
from skerry.app.drill.processes import free_port
from skerry.cli.main import make_app
from tests.rig.processes import Rig, Service, need

WINDOW_MILLISECONDS_MIN = 3000
"""A rate needs two samples, one of which may come late."""
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def faster(rules: str, factor: int) -> str:
    """The same rules on a clock that runs so many times as fast; but for windows
    that hold too few samples."""

    def shorter(found: re.Match[str]) -> str:
        wanted = int(found[2]) * _UNITS[found[3]] * 1000 // factor
        least = WINDOW_MILLISECONDS_MIN if found[1] == "[" else 0
        return f"{found[1]}{max(least, wanted)}ms{found[4]}"

    return re.sub(r'(\[|for: ")(\d+)([smhd])(\]|")', shorter, rules)


@dataclass(frozen=True)
class Prometheus:
    """One that runs."""

    service: Service

    def ask(self, path: str) -> dict[str, object]:
        got = RegistryClient(self.service.authority).get(path)
        assert got.status == 200, got.body
        found: dict[str, object] = json.loads(got.body)["data"]
        return found

    def query(self, expression: str) -> list[dict[str, object]]:
        got = self.ask(f"/api/v1/query?query={quote(expression)}")
        found: list[dict[str, object]] = got["result"]  # type: ignore[assignment]
        return found

    def until(self, expression: str, *, seconds_max: float = 20) -> list[dict[str, object]]:
        """What an expression gives once it gives anything. Raises NotReady."""
        self.service.child.wait_until(lambda: bool(self.query(expression)), seconds_max=seconds_max)
        return self.query(expression)

    def firing(self, name: str) -> bool:
        alerts = self.ask("/api/v1/alerts")["alerts"]
        return any(
            each["labels"]["alertname"] == name and each["state"] == "firing"
            for each in alerts  # type: ignore[attr-defined]
        )

    def fired(self, start: float, end: float) -> dict[str, tuple[float, float]]:
        """The alerts that fired at any time between, each with its first and its last second."""
        query = quote('ALERTS{alertstate="firing"}')
        span = f"start={start:.0f}&end={end:.0f}&step=1"
        found: dict[str, tuple[float, float]] = {}
        for each in self.ask(f"/api/v1/query_range?query={query}&{span}")["result"]:  # type: ignore[attr-defined]
            name, times = each["metric"]["alertname"], [at for at, _ in each["values"]]
            before = found.get(name, (times[0], times[-1]))
            found[name] = min(before[0], times[0]), max(before[1], times[-1])
        return found


def over(rig: Rig, target: str, *, factor: int = 1, every: str = "1s") -> Prometheus:
    """Scrapes an admin door again and again, and looks at the rules as often."""
    folder: Path = rig.place("prometheus")
    rules = CliRunner().invoke(make_app(), ["slo", "rules"]).stdout
    (folder / "skerry.rules.yml").write_text(faster(rules, factor) if factor > 1 else rules)
    config = folder / "prometheus.yml"
    config.write_text(
        f"global: {{scrape_interval: {every}, evaluation_interval: {every}}}\n"
        "rule_files: [skerry.rules.yml]\n"
        "scrape_configs:\n"
        f"  - {{job_name: skerry, static_configs: [{{targets: ['{target}']}}]}}\n"
    )
    authority = f"127.0.0.1:{free_port()}"
    argv = [need("prometheus"), f"--config.file={config}", f"--storage.tsdb.path={folder}/data"]
    argv += [f"--web.listen-address={authority}", "--enable-feature=exemplar-storage"]
    return Prometheus(rig.service(argv, authority, folder))
