"""The metrics page says what the code declares."""

from __future__ import annotations

from pathlib import Path

from tools.metrics_page import PAGE, ROOT, Family, declared, page


def test_the_metrics_page_is_what_the_code_declares() -> None:
    text = page(sorted(set(declared(ROOT / "src"))))
    assert PAGE.read_text() == text, "the page is old; run make docs"


def test_families_are_found_with_their_labels(tmp_path: Path) -> None:
    (tmp_path / "node.py").write_text(
        'a = metrics.counter("skerry_pulls", "Pulls.", ("upstream", "how"))\n'
        'b = metrics.gauge("skerry_up", "Up.", read, labels=("x",))\n'
        "c = other.counter(name, meaning)\n"
        'labels = ("kind",)\n'
        'd = metrics.counter("skerry_asks", "Asks.", (*labels, "how"))\n'
    )
    assert list(declared(tmp_path)) == [
        Family("skerry_pulls", "counter", ("upstream", "how"), "Pulls."),
        Family("skerry_up", "gauge", ("x",), "Up."),
        Family("skerry_asks", "counter", ("kind", "how"), "Asks."),
    ]


def test_a_family_means_one_thing() -> None:
    families = sorted(set(declared(ROOT / "src")))
    names = [family.name for family in families]
    assert len(names) == len(set(names)), "two declarations of one family differ"
    assert all(name.startswith("skerry_") for name in names), names
