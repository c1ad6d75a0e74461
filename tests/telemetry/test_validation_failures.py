"""What was not believed is counted by cause, and attacks apart from mistakes."""

from __future__ import annotations

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
