"""How fetching ahead makes room: small and rare beside visitors, at full speed without them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.cdn.core.courtesy import (
    ABOUT_SECONDS,
    WINDOW_BYTES,
    Courtesy,
    looked,
    rest_seconds,
    window_bytes,
)

MIB = 1 << 20


def test_without_visitors_it_neither_rests_nor_asks_for_little() -> None:
    alone = looked(Courtesy(0.05), 0, busy=False, now=100.0)
    assert window_bytes(alone, MIB, 100.0) == WINDOW_BYTES
    assert rest_seconds(alone, 0.5, 100.0) == 0.0


@pytest.mark.parametrize(("visits", "busy"), [(1, False), (0, True)])
def test_a_visitor_that_was_served_or_is_being_served_is_about_for_a_while(
    visits: int, busy: bool
) -> None:
    known = looked(Courtesy(0.05), visits, busy=busy, now=100.0)
    assert known.about(100.0)
    assert window_bytes(known, MIB, 100.0) == MIB
    later = 100.0 + ABOUT_SECONDS
    assert not known.about(later)
    assert window_bytes(known, MIB, later) == WINDOW_BYTES
    assert looked(known, visits, busy=False, now=later) == known


@given(
    share=st.floats(0.01, 1.0),
    fetches=st.lists(st.floats(0.0, 100.0), min_size=1, max_size=50),
)
def test_beside_visitors_it_takes_its_share_of_the_time(share: float, fetches: list[float]) -> None:
    known = looked(Courtesy(share), 1, busy=False, now=0.0)
    rests = [rest_seconds(known, took, 1.0) for took in fetches]
    assert sum(fetches) == pytest.approx(share * (sum(fetches) + sum(rests)))


@pytest.mark.parametrize("slice_bytes", [MIB, 3 * MIB, 16 * MIB])
def test_a_window_is_whole_slices(slice_bytes: int) -> None:
    asked = window_bytes(Courtesy(0.05), slice_bytes, 0.0)
    assert asked % slice_bytes == 0
    assert slice_bytes <= asked <= max(WINDOW_BYTES, slice_bytes)
