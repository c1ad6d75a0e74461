"""The price sheet: what is refused and where, and which price holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from skerry.budget.core.periods import month_before, month_of
from skerry.budget.core.prices import BadPrices, PriceSheet, read_sheet
from skerry.budget.core.usage import Meter

EGRESS = """
[[price]]
meter = "egress"
price = "0.08"
currency = "EUR"
unit = "GB"
period = "use"
valid_from = 2026-01-01
"""
STORAGE = """
[[price]]
meter = "storage"
price = "0.02"
currency = "EUR"
unit = "GB"
period = "month"
valid_from = 2026-01-01
"""
JANUARY = 1_767_225_600
JUNE = 1_780_272_000


def sheet(text: str) -> PriceSheet:
    return read_sheet(text, "prices.toml")


def test_a_price_is_exact_and_knows_its_unit() -> None:
    price = sheet(EGRESS).at(Meter.EGRESS_BYTES, JANUARY)
    assert price is not None
    assert price.rate(JANUARY).of(10**9) == 80_000
    assert price.unit_label == "GB"


def test_a_month_is_as_long_as_it_is() -> None:
    price = sheet(STORAGE).at(Meter.STORE_BYTE_SECONDS, JANUARY)
    assert price is not None
    assert price.unit_label == "GB-month"
    for month in (month_of(JANUARY), month_of(JANUARY + 40 * 86400)):
        assert price.rate(month.start).of(10**9 * month.seconds) == 20_000
    assert month_of(JANUARY + 40 * 86400).seconds == 28 * 86400


def test_months_follow_each_other() -> None:
    assert month_of(JANUARY).name == "2026-01"
    assert month_before(month_of(JANUARY)).name == "2025-12"
    assert month_before(month_of(JANUARY)).end == JANUARY


def test_the_last_price_that_has_begun_holds() -> None:
    later = EGRESS.replace("0.08", "0.09").replace("2026-01-01", "2026-06-01")
    both = sheet(later + EGRESS)
    assert both.at(Meter.EGRESS_BYTES, JANUARY - 1) is None
    for moment, micro in ((JANUARY, 8), (JUNE - 1, 8), (JUNE, 9)):
        price = both.at(Meter.EGRESS_BYTES, moment)
        assert price is not None
        assert price.rate(moment).of(10**9) == micro * 10_000
    assert both.at(Meter.PULLS, JUNE) is None


@pytest.mark.parametrize(
    ("wrong", "line", "field"),
    [
        (EGRESS.replace('unit = "GB"\n', ""), 2, "unit"),
        (EGRESS.replace('period = "use"\n', ""), 2, "period"),
        (EGRESS.replace('currency = "EUR"\n', ""), 2, "currency"),
        (EGRESS.replace("valid_from = 2026-01-01\n", ""), 2, "valid_from"),
        (EGRESS.replace('"GB"', '"CPU-hour"'), 6, "unit"),
        (EGRESS.replace('"use"', '"month"'), 7, "period"),
        (STORAGE.replace('"month"', '"use"'), 7, "period"),
        (EGRESS.replace('"egress"', '"sunshine"'), 3, "meter"),
        (EGRESS.replace('"0.08"', "0.08"), 4, "price"),
        (EGRESS.replace('"0.08"', '"8 cents"'), 4, "price"),
        (EGRESS.replace("EUR", "Euro"), 5, "currency"),
        (EGRESS.replace("2026-01-01", '"soon"'), 8, "valid_from"),
        (EGRESS.replace("2026-01-01", "2026-01-01T10:30:00Z"), 8, "valid_from"),
        (EGRESS + EGRESS, 16, "valid_from"),
        (EGRESS + STORAGE.replace("EUR", "USD"), 13, "currency"),
        (EGRESS + STORAGE.replace('unit = "GB"\n', 'unti = "GB"\n'), 14, "unti"),
    ],
)
def test_what_is_wrong_is_named_by_line_and_field(wrong: str, line: int, field: str) -> None:
    with pytest.raises(BadPrices) as error:
        sheet(wrong)
    assert f"prices.toml line {line}: " in error.value.what
    assert f".{field} " in error.value.what
    assert error.value.next_step


def test_a_file_that_is_no_sheet_is_refused() -> None:
    for text in ("", "price = 3", "[[price]", "[[rice]]"):
        with pytest.raises(BadPrices):
            sheet(text)


def test_the_sheet_we_ship_is_taken() -> None:
    text = (Path(__file__).parents[3] / "deploy" / "prices.toml").read_text()
    found = sheet(text)
    assert found.currency == "EUR"
    assert {price.name for price in found.prices} >= {"egress", "storage", "node"}
