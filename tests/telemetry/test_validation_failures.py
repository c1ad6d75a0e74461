"""What was not believed is counted by cause, and attacks apart from mistakes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from skerry.telemetry.metrics import Registry
from skerry.telemetry.validation import BLAMES, Blame, Cause, ValidationFailures


@pytest.mark.parametrize("cause", Cause)
def test_each_cause_raises_its_own_count_and_no_other(cause: Cause) -> None:
    failures = ValidationFailures(Registry())
    failures.failed(cause)
    assert {each for each, count in failures.statistics().items() if count} == {cause}


def test_mistakes_are_no_attacks() -> None:
    assert BLAMES[Cause.SIGNATURE_INVALID] is Blame.ATTACK
    assert BLAMES[Cause.SIGNATURE_MISSING] is Blame.MISCONFIGURATION
    metrics = Registry()
    ValidationFailures(metrics).failed(Cause.TOKEN_EXPIRED)
    assert 'cause="token_expired",blame="misconfiguration"} 1' in metrics.expose()


def test_every_cause_is_on_its_page() -> None:
    page = (Path(__file__).parents[2] / "docs/operating/refusals.md").read_text()
    rows = [line.split("|")[1:3] for line in page.splitlines() if line.startswith("| `")]
    told = {name.strip(" `"): blame.strip() for names, blame in rows for name in names.split(",")}
    assert told == {str(cause): str(BLAMES[cause]) for cause in Cause}


NOBODYS = {Cause.CATALOG_ROLLBACK}
"""Kept for what this node does not do yet."""


def test_every_cause_is_provoked_by_a_test_and_counted_by_the_code() -> None:
    """Attacks are made where their defence is tested, and in what registries play (`testing*`)."""
    root = Path(__file__).parents[2]
    code, tests = [root / "src"], [root / "tests" / each for each in PROVOKED]

    def named(folders: list[Path], *, twins: bool) -> set[str]:
        files = [each for folder in folders for each in folder.rglob("*.py")]
        texts = [
            each.read_text()
            for each in files
            if each.name != "validation.py" and each.name.startswith("testing") is twins
        ]
        return set(re.findall(r"\b(?:Cause|Refused)\.([A-Z_]+)", "\n".join(texts)))

    wanted = {cause.name for cause in Cause if cause not in NOBODYS}
    assert wanted <= named(code, twins=False)
    assert wanted <= named(tests, twins=False) | named(code, twins=True)
    assert not {cause.name for cause in NOBODYS} & named(code, twins=False), "it has a reason now"


PROVOKED = ("adapters", "app", "attacks", "cdn", "peers", "registry", "trust", "upstream")
