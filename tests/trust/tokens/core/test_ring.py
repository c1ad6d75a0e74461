"""The life of a key."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from skerry.trust.tokens.core.ring import (
    Phase,
    Ring,
    believed,
    completed,
    due,
    rotated,
    signing,
    without_gone,
)

TOKEN_SECONDS = 300.0


def maker(algorithm: str = "EdDSA") -> Callable[[], tuple[str, str]]:
    numbers = count(1)
    return lambda: (f"k{next(numbers)}", algorithm)


def phases(ring: Ring) -> dict[str, Phase]:
    return {key.name: key.phase for key in ring}


def test_a_key_is_shown_then_signs_then_is_believed_then_is_gone() -> None:
    make = maker()
    ring = completed((), make, 0.0)
    assert phases(ring) == {"k1": Phase.SIGNING, "k2": Phase.NEXT}
    ring = completed(rotated(ring, now=100.0, token_seconds=TOKEN_SECONDS), make, 100.0)
    assert phases(ring) == {"k1": Phase.BELIEVED, "k2": Phase.SIGNING, "k3": Phase.NEXT}
    assert believed(ring, "k1", 399.9)
    assert believed(ring, "k1", 400.0) is None
    assert phases(without_gone(ring, 400.0)) == {"k2": Phase.SIGNING, "k3": Phase.NEXT}


def test_what_is_only_shown_is_not_believed_yet() -> None:
    ring = completed((), maker(), 0.0)
    assert believed(ring, "k2", 0.0) is None
    assert believed(ring, "other", 0.0) is None


def test_keys_are_due_after_their_period_or_for_another_algorithm() -> None:
    ring = completed((), maker(), 0.0)
    assert not due(ring, now=999.0, period_seconds=1000.0, algorithm="EdDSA")
    assert due(ring, now=1000.0, period_seconds=1000.0, algorithm="EdDSA")
    assert due(ring, now=0.0, period_seconds=1000.0, algorithm="ES256")
    assert due((), now=0.0, period_seconds=1000.0, algorithm="EdDSA")


@given(st.lists(st.floats(0, 1000), max_size=12))
def test_no_token_outlives_the_belief_in_its_key_however_often_keys_change(
    waits: list[float],
) -> None:
    make, now = maker(), 0.0
    ring = completed((), make, now)
    tokens: list[tuple[str, float]] = []
    for wait in waits:
        signer = signing(ring)
        assert signer is not None
        tokens.append((signer.name, now + TOKEN_SECONDS))
        now += wait
        for name, ends in tokens:
            assert believed(ring, name, now) is not None or now >= ends
        ring = completed(rotated(ring, now=now, token_seconds=TOKEN_SECONDS), make, now)
        assert sorted(phases(ring).values()).count(Phase.SIGNING) == 1
        assert sorted(phases(ring).values()).count(Phase.NEXT) == 1
    for name, ends in tokens:
        assert believed(ring, name, now) is not None or now >= ends
