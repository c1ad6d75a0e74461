"""How something with several sources is seen: lost, there, or not asked yet."""

from __future__ import annotations

import pytest

from skerry.app.telemetry.room import seen
from skerry.telemetry.core.incidents import Lost
from skerry.upstream.gate import SourceStatistics


def source(breaker: str, *, heard: float | None = None, failing: float | None = None,
           trouble: str = "") -> SourceStatistics:  # fmt: skip
    return SourceStatistics(
        name="origin", kind="origin", breaker=breaker, blocked_seconds=0.0, last_success_at=heard,
        last_failure_at=failing, last_trouble=trouble, troubles=(), requests_left=None,
        remaining=None, in_flight=0, failing_since=failing,
    )  # fmt: skip


UP = source("closed", heard=5.0)
UNASKED = source("closed")
DOWN = source("open", failing=7.0, trouble="refused")
TRYING = source("half_open", failing=9.0)


@pytest.mark.parametrize(
    ("sources", "silent"),
    [
        ((UP,), False),
        ((UP, DOWN), False),
        ((DOWN,), True),
        ((DOWN, TRYING), True),
        ((UNASKED,), None),
        ((DOWN, UNASKED), None),
        ((), None),
    ],
)
def test_lost_is_what_all_sources_are_silent_of(
    sources: tuple[SourceStatistics, ...], silent: bool | None
) -> None:
    assert seen(Lost.UPSTREAM, "up.test", sources).silent is silent


def test_it_is_lost_since_the_last_source_failed_and_says_why() -> None:
    found = seen(Lost.UPSTREAM, "up.test", (DOWN, TRYING))
    assert found.failing_since == 9.0
    assert found.cause == "refused"
