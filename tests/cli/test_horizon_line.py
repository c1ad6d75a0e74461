"""The line of `skerry status` on how long a node can go on alone."""

from __future__ import annotations

from skerry.cli.horizon import first_line
from skerry.telemetry.horizon import Expires, Expiry

ROOT = Expiry(Expires.TRUST_ROOT, "root 1", 1_700_000_000.0)


def test_the_line_says_until_when_and_after_it_that_it_is_over() -> None:
    assert first_line(None, ROOT.at).startswith("for ever")
    assert "until the trust root root 1 ends" in first_line(ROOT, ROOT.at - 60)
    for late in (0.0, 60.0):
        assert first_line(ROOT, ROOT.at + late).startswith("over: the trust root root 1 ended")
