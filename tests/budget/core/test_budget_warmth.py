"""What cold starts, keeping and floods cost."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from skerry.budget.core.prices import read_sheet
from skerry.budget.core.rating import cost, rate
from skerry.budget.core.usage import NODE, Amounts, Dimension, Hour, Meter, totals
from skerry.budget.core.warmth import MONTH_SECONDS, SourceUse, Warmth, source_costs, warmths

HEAD = '[[price]]\ncurrency = "EUR"\nvalid_from = 2026-01-01\n'
SHEET = read_sheet(
    "".join(
        f'{HEAD}meter = "{meter}"\nprice = "{price}"\nunit = "{unit}"\nperiod = "{period}"\n'
        for meter, price, unit, period in (
            ("ingress", "0.10", "GB", "use"),
            ("pulls", "1.00", "1000 pulls", "use"),
            ("requests", "0.01", "1000 requests", "use"),
            ("storage", "0.001", "GB", "hour"),
        )
    ),
    "prices.toml",
)
JUNE = 1_780_272_000
GB = 10**9
HUB = Dimension("node", upstream="docker.io")


def test_a_miss_a_hit_and_keeping_have_their_price() -> None:
    used = {
        Meter.REQUESTS: 1000,
        Meter.HITS: 980,
        Meter.MISSES: 20,
        Meter.PULLS: 20,
        Meter.INGRESS_BYTES: 10 * GB,
        Meter.STORE_BYTE_SECONDS: 10 * GB * 3600,
    }
    hours = [Hour(JUNE, HUB, Amounts.of(used)), Hour(JUNE, NODE, Amounts.of({Meter.REQUESTS: 5}))]
    (found,) = warmths(totals(hours), rate(hours, SHEET), passed_seconds=3600)
    # 1.00 for 10 GB and 0.02 for the pulls, for 20 misses; 0.01 an hour for the disk.
    assert found == Warmth("node", "docker.io", 1000, 20, 10, 51_000, 7_200_000, 142)


def test_what_was_never_missed_has_no_cold_price() -> None:
    hours = [Hour(JUNE, HUB, Amounts.of({Meter.REQUESTS: 3, Meter.HITS: 3}))]
    (found,) = warmths(totals(hours), rate(hours, SHEET), passed_seconds=0)
    assert (found.cold_micro, found.breaks_even) == (None, None)


@given(st.integers(1, 10**6), st.integers(1, 1000), st.integers(0, 10**12), st.integers(0, 10**6))
def test_hits_misses_and_keeping_make_the_whole(
    requests: int, missed: int, came: int, held: int
) -> None:
    used = {Meter.REQUESTS: requests, Meter.MISSES: missed, Meter.INGRESS_BYTES: came,
            Meter.STORE_BYTE_SECONDS: held * MONTH_SECONDS}  # fmt: skip
    hours = [Hour(JUNE, HUB, Amounts.of(used))]
    charges = rate(hours, SHEET)
    (found,) = warmths(totals(hours), charges, passed_seconds=MONTH_SECONDS)
    made = found.answer_micro * requests + (found.cold_micro or 0) * missed + found.kept_month_micro
    assert abs(made - cost(charges)) <= (requests + missed) // 2 + 1, "but for what is rounded"


def test_a_flood_is_priced_by_its_source() -> None:
    flood = SourceUse("public", asked=1000, absent=990, refused=50_000, ingress_bytes=GB)
    calm = SourceUse("private", asked=10, absent=0, refused=0, ingress_bytes=GB)
    public, private = source_costs([calm, flood], SHEET, JUNE)
    assert (public.source, public.micro) == ("public", 100_000 + 1_000_000 + 510_000)
    assert (private.source, private.micro) == ("private", 100_000 + 10_000 + 100)
