"""The Grafana dashboard that ships: every metric and label in it is one of the catalogue's."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from skerry.app.telemetry.ratios import IMAGE_HITS, IMAGES_SERVED, PAGE_HITS, PAGES_SERVED
from skerry.telemetry.core.slo import Goals, rules
from skerry.telemetry.validation import OF_OUTAGES, STRANGERS
from tools.metrics_page import ROOT, Family, declared

DASHBOARD = ROOT / "deploy" / "grafana-dashboard.json"
FAMILIES = {family.name: family for family in declared(ROOT / "src")}
SELECTOR = re.compile(r"\b(skerry_[a-z0-9_]+)\s*(?:\{([^}]*)\})?")
MATCHER = re.compile(r"([a-z_]+)\s*(=~|!~|!=|=)\s*['\"]([^'\"]*)['\"]")
OF_PROMETHEUS = {"job", "instance", "le"}


def family_of(sample: str) -> Family | None:
    """The family whose sample it is, by the kind of the family."""
    for name, family in FAMILIES.items():
        suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}
        if sample in [f"{name}{end}" for end in suffixes.get(family.kind, ("",))]:
            return family
    return None


def expressions() -> Iterator[str]:
    board = json.loads(DASHBOARD.read_text())
    for panel in board["panels"]:
        for target in panel.get("targets", ()):
            yield target["expr"]
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["query"]
    for group in rules(Goals(), strangers=STRANGERS, of_outages=OF_OUTAGES)["groups"]:  # type: ignore[union-attr]
        for rule in group["rules"]:  # type: ignore[index, call-overload]
            yield rule["expr"]  # type: ignore[index, misc, call-overload]


def complaints(expression: str) -> Iterator[str]:
    for sample, matchers in SELECTOR.findall(expression):
        family = family_of(sample)
        if family is None:
            yield f"no family has the sample {sample}"
            continue
        labels = dict(family.labels)
        for label, how, value in MATCHER.findall(matchers):
            if label in OF_PROMETHEUS:
                continue
            if label not in labels:
                yield f"{sample} has no label {label}"
            elif labels[label].startswith("`"):
                known = set(re.findall(r"`([^`]+)`", labels[label]))
                words = set(value.split("|")) if how in ("=~", "!~") else {value}
                if words - known:
                    yield f"{label} of {sample} never says {sorted(words - known)}"


@pytest.mark.parametrize("expression", sorted(set(expressions())))
def test_every_metric_and_word_of_dashboard_and_rules_is_in_the_catalogue(expression: str) -> None:
    assert not list(complaints(expression))


@pytest.mark.parametrize(
    "wrong",
    [
        "skerry_no_such_total",
        "skerry_edge_requests",
        "skerry_store_bytes_total",
        "skerry_edge_requests_total{outcom='hit'}",
        "skerry_edge_requests_total{outcome=~'hit|hti'}",
    ],
)
def test_a_slip_of_the_pen_is_found(wrong: str) -> None:
    assert list(complaints(f"sum(rate({wrong}[5m]))"))


def test_every_panel_has_a_question_and_a_place() -> None:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    places = [tuple(panel["gridPos"].values()) for panel in panels]
    assert len(places) == len(set(places))
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert all(panel["title"] for panel in panels)


def test_a_hit_ratio_is_of_what_the_pages_and_the_status_call_answered() -> None:
    board = json.loads(DASHBOARD.read_text())
    ratios = [
        target["expr"]
        for panel in board["panels"]
        if panel["title"].startswith("Hit ratio")
        for target in panel["targets"]
    ]
    assert len(ratios) == 4
    for ratio in ratios:
        pages = "skerry_edge" in ratio
        told = [set(found.split("|")) for found in re.findall(r"outcome=~?'([^']*)'", ratio)]
        assert told == [
            set(PAGE_HITS if pages else IMAGE_HITS),
            set(PAGES_SERVED if pages else IMAGES_SERVED),
        ]


def test_money_is_on_the_dashboard_as_latency_is() -> None:
    told = "\n".join(expressions())
    for name in (
        "cost_spent",
        "cost_workflow_spent",
        "cost_forecast",
        "budget_burn",
        "budget_rung",
    ):
        assert f"skerry_{name}{{" in told, name
