"""The metrics page says what the code declares, and the code declares what a label may say."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from tools.metrics_page import PAGE, ROOT, Family, declared, page


def test_the_metrics_page_is_what_the_code_declares() -> None:
    text = page(sorted(set(declared(ROOT / "src"))))
    assert PAGE.read_text() == text, "the page is old; run make docs"


def test_families_are_found_with_their_labels_and_what_these_may_say(tmp_path: Path) -> None:
    (tmp_path / "node.py").write_text(
        'a = metrics.counter("skerry_pulls", "Pulls.", {"how": ("hit", "miss"), "by": BY})\n'
        'BY = ("us", "them")\n'
        'b = metrics.gauge("skerry_up", "Up.", read, labels=("x",))\n'
        "c = other.counter(name, meaning)\n"
        'labels = {"kind": ("a",)}\n'
        'd = metrics.tally("skerry_asks", "Asks.", read, {**labels, "how": ("b",)})\n'
        'e = metrics.histogram("skerry_wait_seconds", "Wait.")\n'
    )
    how = ("how", "`hit`, `miss`")
    assert list(declared(tmp_path)) == [
        Family("skerry_pulls", "counter", (how, ("by", "`them`, `us`")), "Pulls."),
        Family("skerry_up", "gauge", (("x", ""),), "Up."),
        Family("skerry_asks", "counter", (("kind", "`a`"), ("how", "`b`")), "Asks."),
        Family("skerry_wait_seconds", "histogram", (), "Wait."),
    ]
    assert [each.unit for each in declared(tmp_path)] == ["", "", "", "seconds"]


def test_every_label_has_a_bounded_set_of_values() -> None:
    """Write `{"outcome": Outcome}` (an enum), a tuple of words, or `Named("what names them")`."""
    loose = [
        f"{family.name}: {label}"
        for family in declared(ROOT / "src")
        for label, values in family.labels
        if not values
    ]
    assert not loose, "say what these labels may say, where they are declared"


def test_a_family_means_one_thing() -> None:
    families = sorted(set(declared(ROOT / "src")))
    names = [family.name for family in families]
    assert len(names) == len(set(names)), "two declarations of one family differ"
    assert all(name.startswith("skerry_") for name in names), names
    assert not [name for name in names if name.endswith(("_total", "_created", "_count", "_sum"))]


MADE_UP = ("tests/docs", "tests/peers/test_slo_rules.py", "tests/peers/test_attack_alerts.py")
"""Where series are written by the test itself: what a node counts is not seen there."""


def unproven(names: Iterable[str], texts: Iterable[str]) -> list[str]:
    """The families that no text names with one of their samples. A floor: that a test reads a
    sample does not yet mean that it would fail without the count."""
    whole = "\n".join(texts)
    found = set(re.findall(r"\bskerry_\w+", whole))
    ends = ("", "_total", "_count", "_sum", "_bucket")
    return [name for name in names if not found & {name + end for end in ends}]


def test_every_family_is_read_by_a_test_of_what_counts_it() -> None:
    """Write its whole name in a test that makes it rise, and see that fail without the count."""
    files = [
        each
        for each in (ROOT / "tests").rglob("*.py")
        if not str(each.relative_to(ROOT)).startswith(MADE_UP)
    ]
    names = sorted({family.name for family in declared(ROOT / "src")})
    assert unproven(names, (each.read_text() for each in files)) == []


def test_a_family_whose_name_only_begins_alike_is_no_proof() -> None:
    text = ["skerry_pulls_total 1", "skerry_pulls_late 2"]
    assert unproven(["skerry_pulls", "skerry_pulls_la", "skerry_pul"], text) == [
        "skerry_pulls_la",
        "skerry_pul",
    ]
