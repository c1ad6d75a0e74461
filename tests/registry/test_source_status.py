"""How a source is, as the operator is told it."""

from __future__ import annotations

from dataclasses import replace

from skerry.registry.desk import source_status
from skerry.upstream.gate import SourceStatistics

SOURCE = SourceStatistics("origin", "origin", "closed", 0.0, 20.0, 10.0, "timeout", (), 7, 93, 0)


def test_a_source_tells_what_is_left_of_its_limits_and_of_ours() -> None:
    found = source_status(SOURCE)
    assert (found.requests_left, found.remaining) == (7, 93)
    none = source_status(replace(SOURCE, requests_left=None, remaining=None))
    assert (none.requests_left, none.remaining) == (None, None)


def test_trouble_is_told_until_it_has_answered_again() -> None:
    assert (source_status(SOURCE).trouble, source_status(SOURCE).heard_at) == ("", 20.0)
    failed = source_status(replace(SOURCE, last_failure_at=30.0))
    assert (failed.trouble, failed.since) == ("timeout", 30.0)
