"""What is counted when something is not believed raises its own alert and no other (S4).

From the node's own text of its metrics to Debian's promtool, cause by cause: nothing of a series is
written here but when it was read. That each attack counts its own cause is proven where it is made.
"""

from __future__ import annotations

import json
import re
import subprocess
from functools import cache
from pathlib import Path

import pytest
from typer.testing import CliRunner

from skerry.cli.main import make_app
from skerry.telemetry.exposition import PLAIN
from skerry.telemetry.metrics import Registry
from skerry.telemetry.validation import BLAMES, Blame, Cause, ValidationFailures
from tests.rig.processes import need

FAMILY = "skerry_validation_failures_total"
TARGET = 'job="skerry",instance="rock:9090"'
ATTACK, MISTAKE, UNVERIFIABLE = "SkerryAttack", "SkerryMisconfiguration", "SkerryUnverifiable"
STRANGERS = {"token_invalid", "token_replayed", "sibling_refused", "dns_nxdomain_flood"}
"""What anybody can try at a door wakes nobody."""
QUIET, TOLD, AFTER = 30, 37, 50
"""In minutes: the cause is met after the first one; it is told of; it is told of no more."""

OF_OUTAGES = {"signature_unreachable", "dns_servfail"}
"""What an outage raises, too."""

Series = dict[str, float]


def read(metrics: Registry) -> Series:
    """What whoever scrapes a node gets of the refusals."""
    found = (line.rpartition(" ") for line in metrics.expose(PLAIN).splitlines())
    return {name: float(value) for name, _, value in found if name.startswith(f"{FAMILY}{{")}


def played(before: Series, after: Series) -> list[dict[str, str]]:
    """One sample a minute; what is not there yet has none."""
    return [
        {
            "series": name.replace("{", "{" + TARGET + ","),
            "values": f"{before[name]:g}x{QUIET} {value:g}x{AFTER - QUIET}"
            if name in before
            else f"_x{QUIET} {value:g}x{AFTER - QUIET}",
        }
        for name, value in after.items()
    ]


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every group that looks at refusals; the others' days of windows take promtool long."""
    document = json.loads(CliRunner().invoke(make_app(), ["slo", "rules", "--json"]).stdout)
    kept = [group for group in document["groups"] if FAMILY in json.dumps(group)]
    path = tmp_path_factory.mktemp("rules") / "refusals.rules.yml"
    path.write_text(json.dumps({"groups": kept}))
    return path


@cache
def written(alert: str) -> dict[str, str]:
    """The annotations of an alert, as its rule has them."""
    document = json.loads(CliRunner().invoke(make_app(), ["slo", "rules", "--json"]).stdout)
    every = [rule for group in document["groups"] for rule in group["rules"]]
    found = [rule["annotations"] for rule in every if rule.get("alert") == alert]
    assert all(each == found[0] for each in found)
    return dict(found[0])


def alert_of(cause: Cause) -> str:
    """The one alert that tells of a cause."""
    if cause.value in OF_OUTAGES:
        return UNVERIFIABLE
    return ATTACK if BLAMES[cause] is Blame.ATTACK else MISTAKE


def told(cause: Cause) -> dict[str, object]:
    """The alert for one cause."""
    names = {"instance": "rock:9090", "cause": cause.value}
    annotations = {
        key: re.sub(r"\{\{ \$labels\.(\w+) \}\}", lambda word: names[word[1]], text)
        for key, text in written(alert_of(cause)).items()
    }
    page = alert_of(cause) == ATTACK and cause.value not in STRANGERS
    labels = {"job": "skerry", "severity": "page" if page else "ticket", **names}
    return {"exp_labels": labels, "exp_annotations": annotations}


def lesson(cause: Cause, *, lost_from: int | None = None) -> dict[str, object]:
    """A node on which one thing of this cause is not believed after half an hour; from a minute on
    its upstream is lost."""
    metrics = Registry()
    failures = ValidationFailures(metrics)
    before = read(metrics)
    failures.failed(cause)
    expected = []
    for minute in (QUIET, TOLD, AFTER):
        for name in (ATTACK, MISTAKE, UNVERIFIABLE):
            mine = minute == TOLD and name == alert_of(cause)
            mine &= lost_from is None or name != UNVERIFIABLE
            alerts = [told(cause)] if mine else []
            expected.append({"eval_time": f"{minute}m", "alertname": name, "exp_alerts": alerts})
    inputs = played(before, read(metrics))
    if lost_from is not None:
        lost = f"0x{lost_from} 1x{AFTER - lost_from}"
        series = f'skerry_incidents_open{{{TARGET},lost="upstream"}}'
        inputs.append({"series": series, "values": lost})
    return {"interval": "1m", "input_series": inputs, "alert_rule_test": expected}


def test_each_cause_raises_its_own_alert_and_no_other(rules: Path, tmp_path: Path) -> None:
    tests = [lesson(cause) for cause in Cause]
    assert len(tests) == len(Cause) >= 27
    judge(rules, tmp_path, tests)


@pytest.mark.parametrize("lost_from", [QUIET - 5, QUIET + 4])
def test_in_an_outage_nobody_is_told_of_a_mistake_that_is_the_outage(
    rules: Path, tmp_path: Path, lost_from: int
) -> None:
    judge(rules, tmp_path, [lesson(cause, lost_from=lost_from) for cause in Cause])


def judge(rules: Path, tmp_path: Path, tests: list[dict[str, object]]) -> None:
    """Has promtool say whether it is so."""
    path = tmp_path / "test.yml"
    path.write_text(json.dumps({"rule_files": [str(rules)], "evaluation_interval": "1m",
                                "tests": tests}))  # fmt: skip
    argv = [need("promtool"), "test", "rules", str(path)]
    run = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
