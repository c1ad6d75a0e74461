"""Which slices a request touches, and how the missing ones come."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.cdn.core.parts import Outcome, Part, Span, Validator
from skerry.cdn.core.slices import (
    Asking,
    Sliced,
    accept,
    contained,
    first_request,
    plan_slices,
    slice_span,
    touched,
)

ONE, TWO = Validator('"one"'), Validator('"two"')
MIB = 1 << 20


def sliced(*present: int, total: int = 95, size: int = 10, generation: int = 0) -> Sliced:
    return Sliced(ONE, total, size, frozenset(present), generation)


def test_a_seek_to_the_end_touches_the_end_only() -> None:
    large = Sliced(ONE, 10_000 * MIB)
    plan = plan_slices(large, [Span(9000 * MIB, 9000 * MIB + 500)])
    assert plan.requests == (Asking(Span(9000 * MIB, 9001 * MIB), 9000, 9001),)


def test_a_range_over_a_border_touches_both_sides() -> None:
    assert list(touched(Span(9, 11), 10)) == [0, 1]
    assert list(touched(Span(10, 20), 10)) == [1]


def test_missing_neighbours_are_one_request_up_to_the_cap() -> None:
    plan = plan_slices(sliced(3), [Span(0, 95)], request_bytes_max=25)
    assert [(a.first, a.stop) for a in plan.requests] == [(0, 2), (2, 3), (4, 6), (6, 8), (8, 10)]
    assert plan.requests[-1].span == Span(80, 95)


def test_what_is_here_or_in_flight_is_not_fetched() -> None:
    plan = plan_slices(sliced(0, 1), [Span(0, 45)], in_flight={3})
    assert [(a.first, a.stop) for a in plan.requests] == [(2, 3), (4, 5)]
    assert plan.joins == (3,)
    assert plan_slices(sliced(0, 1), [Span(0, 20)]).ready


def test_ranges_of_one_request_share_their_slices_and_keep_their_order() -> None:
    plan = plan_slices(sliced(), [Span(90, 95), Span(1, 2), Span(3, 12), Span(91, 92)])
    assert [(a.first, a.stop) for a in plan.requests] == [(9, 10), (0, 2)]


def test_a_cap_below_a_slice_still_fetches_one() -> None:
    assert len(plan_slices(sliced(), [Span(0, 20)], request_bytes_max=1).requests) == 2


def test_the_first_request_of_an_unknown_object_is_whole_slices() -> None:
    assert first_request(10) == Span(0, 10)
    assert first_request(10, Span(15, 16)) == Span(10, 20)
    assert first_request(MIB, Span(0, 10_000 * MIB)) == Span(0, 16 * MIB)


def test_only_whole_slices_are_taken_and_the_last_is_short() -> None:
    found = accept(None, Part(ONE, Span(5, 95), 95), slice_bytes=10)
    assert (found.outcome, found.took) == (Outcome.BEGUN, tuple(range(1, 10)))
    assert accept(None, Part(ONE, Span(5, 94), 95), slice_bytes=10).took == tuple(range(1, 9))


def test_a_changed_validator_or_total_drops_every_slice() -> None:
    for part in (Part(TWO, Span(0, 10), 95), Part(ONE, Span(0, 10), 96)):
        found = accept(sliced(3, 4, 5), part, slice_bytes=10)
        assert found.outcome is Outcome.REPLACED
        assert found.sliced is not None
        assert found.sliced.present == {0}
        assert found.sliced.generation == 1


def test_an_answer_from_before_the_change_does_not_bring_the_old_back() -> None:
    now = Sliced(TWO, 95, 10, frozenset({1}), generation=1)
    late = accept(now, Part(ONE, Span(0, 10), 95), slice_bytes=10, begun=0)
    assert (late.sliced, late.outcome) == (now, Outcome.REFUSED)
    again = accept(now, Part(ONE, Span(0, 10), 95), slice_bytes=10, begun=1)
    assert again.outcome is Outcome.REPLACED
    same = accept(now, Part(TWO, Span(0, 10), 95), slice_bytes=10, begun=0)
    assert same.outcome is Outcome.JOINED


@pytest.mark.parametrize("part", [Part(None, Span(0, 10), 95), Part(ONE, Span(0, 10), None)])
def test_without_validator_or_total_nothing_is_sliced(part: Part) -> None:
    assert accept(None, part, slice_bytes=10).outcome is Outcome.REFUSED


def test_another_slice_size_begins_anew() -> None:
    found = accept(sliced(1), Part(ONE, Span(0, 20), 95), slice_bytes=20)
    assert found.outcome is Outcome.REPLACED
    assert found.sliced is not None
    assert found.sliced.whole is False


SPANS = st.tuples(st.integers(0, 94), st.integers(1, 95)).map(
    lambda pair: Span(pair[0], min(95, pair[0] + pair[1]))
)


@given(
    st.sets(st.integers(0, 31)),
    st.sets(st.integers(0, 31)),
    st.lists(SPANS, max_size=8),
    st.integers(3, 20),
    st.integers(1, 60),
)
def test_a_plan_brings_every_missing_byte_once_and_no_untouched_slice(
    present: set[int], in_flight: set[int], wanted: list[Span], size: int, cap: int
) -> None:
    state = sliced(*present, size=size)
    plan = plan_slices(state, wanted, in_flight=in_flight, request_bytes_max=cap)
    fetched = [index for asking in plan.requests for index in range(asking.first, asking.stop)]
    needed = {byte // size for span in wanted for byte in range(span.start, span.stop)}
    assert len(fetched) == len(set(fetched))
    assert set(fetched) == needed - present - in_flight
    assert set(plan.joins) == (needed - present) & in_flight
    for asking in plan.requests:
        assert asking.span.size <= max(cap, size)
        assert tuple(contained(asking.span, size, 95)) == tuple(range(asking.first, asking.stop))
        parts = [slice_span(index, size, 95) for index in range(asking.first, asking.stop)]
        assert (parts[0].start, parts[-1].stop) == (asking.span.start, asking.span.stop)


@given(st.lists(st.tuples(st.sampled_from([ONE, TWO]), SPANS, st.integers(0, 3)), max_size=20))
def test_slices_of_two_representations_never_mix(
    arrivals: list[tuple[Validator, Span, int]],
) -> None:
    state: Sliced | None = None
    owner: dict[int, Validator] = {}
    for validator, span, begun in arrivals:
        found = accept(state, Part(validator, span, 95), slice_bytes=10, begun=begun)
        if found.outcome is Outcome.REPLACED:
            owner.clear()
        owner.update(dict.fromkeys(found.took, validator))
        state = found.sliced
        assert state is not None
        assert owner.keys() == state.present
        assert set(owner.values()) <= {state.validator}
