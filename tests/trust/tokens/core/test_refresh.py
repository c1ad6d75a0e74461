"""What using a refresh token means."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from skerry.trust.tokens.core.refresh import Family, Outcome, used

FAMILY = Family("f", "ann", "user", (), "rock-1", 3, True, 0.0, 1000.0)


def test_the_good_generation_gives_the_next_one() -> None:
    outcome, kept = used(FAMILY, 3, service="rock-1", now=10.0)
    assert (outcome, kept) == (Outcome.GOOD, replace(FAMILY, generation=4))


def test_one_used_before_ends_the_family() -> None:
    outcome, kept = used(FAMILY, 2, service="rock-1", now=10.0)
    assert (outcome, kept) == (Outcome.REPLAYED, replace(FAMILY, revoked=True))
    outcome, kept = used(replace(FAMILY, revoked=True), 3, service="rock-1", now=10.0)
    assert (outcome, kept) == (Outcome.REVOKED, None)


def test_one_replayed_after_the_end_still_counts_as_replayed() -> None:
    assert used(FAMILY, 2, service="rock-1", now=2000.0)[0] is Outcome.REPLAYED


def test_the_others_change_nothing() -> None:
    assert used(None, 3, service="rock-1", now=10.0) == (Outcome.UNKNOWN, None)
    assert used(FAMILY, 4, service="rock-1", now=10.0) == (Outcome.UNKNOWN, None)
    assert used(FAMILY, 3, service="rock-2", now=10.0) == (Outcome.UNKNOWN, None)
    assert used(FAMILY, 3, service="rock-1", now=1000.0) == (Outcome.EXPIRED, None)


def test_one_that_does_not_rotate_stays_as_it_is() -> None:
    stays = replace(FAMILY, rotates=False)
    assert used(stays, 3, service="rock-1", now=10.0) == (Outcome.GOOD, None)


@given(st.lists(st.integers(0, 6), max_size=20))
def test_no_generation_is_good_twice(tries: list[int]) -> None:
    family, good = replace(FAMILY, generation=0), []
    for generation in tries:
        outcome, kept = used(family, generation, service="rock-1", now=1.0)
        family = kept or family
        if outcome is Outcome.GOOD:
            good.append(generation)
    assert good == sorted(set(good))
