"""What a node's metrics say, read from their text as anybody could.

Owns the reading of both forms and of bundles' names, and the translation into words of the ledger.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping

from skerry.app.drill.client import RegistryClient
from skerry.app.drill.processes import NodeProcess
from skerry.telemetry.exposition import OPENMETRICS as OPENMETRICS_FORM
from skerry.telemetry.exposition import PLAIN as PLAIN_FORM
from skerry.telemetry.metrics import Registry

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
ANSWERS, SIZES = "skerry_registry_answers", "skerry_registry_answer_bytes"
PAGES, PAGE_SIZES = "skerry_edge_requests", "skerry_edge_answer_bytes"
Counts = Counter[tuple[str, str]]
"""By side and outcome."""

USED = {"hit": "hits", "local": "hits", "stale": "stale", "miss": "misses", "joined": "shared",
        "sibling": "shared", "collapsed": "shared", "pass": "passes"}  # fmt: skip


def exposed(node: NodeProcess, accept: str) -> str:
    return RegistryClient(node.admin).get("/metrics", ("Accept", accept)).body.decode()


Series = Mapping[tuple[str, frozenset[tuple[str, str]]], float]


def openmetrics(node: NodeProcess) -> Series:
    text = exposed(node, OPENMETRICS)
    assert text.endswith("# EOF\n")
    return samples(text)


def plain(node: NodeProcess) -> Series:
    text = exposed(node, "text/plain")
    assert "# EOF" not in text
    return samples(text)


def samples(text: str) -> Series:
    """Of either form; exemplars are left out."""
    found: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            head, _, value = line.partition(" # ")[0].rpartition(" ")
            name, _, labels = head.partition("{")
            found[name, frozenset(re.findall(r'(\w+)="([^"]*)"', labels))] = float(value)
    return found


def sample_of(metrics: Registry, sample: str) -> float | None:
    """One sample as it stands in the text of both forms; None for one that is not there."""
    found = []
    for form in (OPENMETRICS_FORM, PLAIN_FORM):
        rows = [row for row in metrics.expose(form).splitlines() if row.startswith(f"{sample} ")]
        found.append(float(rows[0].partition(" # ")[0].rpartition(" ")[2]) if rows else None)
    assert found[0] == found[1], sample
    return found[0]


def by_outcome(series: Series, images: str, pages: str) -> Counts:
    """The counts of pulls and pages alone."""
    found: Counts = Counter()
    for (name, labels), value in series.items():
        said = dict(labels)
        if name == images and said["kind"] in ("manifest", "blob"):
            found["image", said["outcome"]] += int(value)
        elif name == pages:
            found["page", said["outcome"]] += int(value)
    return +found


def of_samples(counted: Mapping[str, int]) -> Series:
    """Of names as bundles write them."""
    found = {}
    for sample, value in counted.items():
        name, _, labels = sample.partition("{")
        found[name, frozenset(re.findall(r'(\w+)="([^"]*)"', labels))] = float(value)
    return found


def in_the_words_of_the_ledger(counted: Series) -> Counter[str]:
    """All that `/metrics` knows, lists and greetings too."""
    found: Counter[str] = Counter()
    for (name, labels), value in counted.items():
        outcome = dict(labels).get("outcome", "")
        if name in (f"{ANSWERS}_total", f"{PAGES}_total"):
            found["requests"] += int(value)
            if outcome in USED:
                found[USED[outcome]] += int(value)
        elif name in (f"{SIZES}_total", f"{PAGE_SIZES}_total"):
            found["egress_bytes"] += int(value)
    return found
