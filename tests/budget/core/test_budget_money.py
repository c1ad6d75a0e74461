"""Money: whole numbers, rounded by one rule, and parts that make the whole."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.base.errors import BadInput
from skerry.budget.core.money import (
    MICRO,
    Rate,
    exact_money,
    format_money,
    parse_money,
    rounded,
    share_out,
)

BIG = st.integers(0, 10**24)


@given(st.integers(-(10**20), 10**20), st.lists(BIG, min_size=1, max_size=40))
def test_the_parts_always_make_the_whole(total: int, weights: list[int]) -> None:
    assert sum(share_out(total, weights)) == total


@given(st.integers(0, 10**20), st.lists(BIG, min_size=1, max_size=20).filter(any))
def test_no_part_is_a_whole_unit_away_from_its_share(total: int, weights: list[int]) -> None:
    for part, weight in zip(share_out(total, weights), weights, strict=True):
        assert abs(part - Fraction(total * weight, sum(weights))) < 1


@given(st.integers(0, 10**9), st.lists(st.integers(0, 50), min_size=2, max_size=8))
def test_who_used_more_never_pays_less(total: int, weights: list[int]) -> None:
    parts = share_out(total, weights)
    for weight, part in zip(weights, parts, strict=True):
        if any(weights):
            assert all(part <= q for w, q in zip(weights, parts, strict=True) if w > weight)


def test_what_is_left_goes_to_the_largest_remainders_the_earlier_first() -> None:
    assert share_out(100, [1, 1, 1]) == (34, 33, 33)
    assert share_out(10, [6, 6, 8]) == (3, 3, 4)
    assert share_out(7, [0, 0]) == (7, 0)


@given(BIG, st.integers(1, 10**12))
def test_a_ratio_is_rounded_half_to_even(numerator: int, denominator: int) -> None:
    assert rounded(numerator, denominator) == round(Fraction(numerator, denominator))


def test_a_price_below_a_micro_unit_is_exact() -> None:
    assert Rate(4 * MICRO, 10**7).of(10_000_000) == 4 * MICRO
    assert Rate(4 * MICRO, 10**7).of(3) == 1


@given(st.integers(0, 10**15))
def test_what_is_written_exactly_is_read_back(micro: int) -> None:
    assert parse_money(exact_money(micro)) == micro


@pytest.mark.parametrize("text", ["", "1,50", "-3", "1e3", ".5", "1.", "0.0000001", "1.5 EUR"])
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(BadInput):
        parse_money(text)


def test_people_are_shown_as_many_places_as_they_want() -> None:
    assert format_money(1_234_567, "EUR") == "1.23 EUR"
    assert format_money(-1_235_000, "EUR") == "-1.24 EUR"
    assert format_money(999_999, places=0) == "1"
    assert format_money(12, "EUR", places=6) == "0.000012 EUR"
