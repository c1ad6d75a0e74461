"""What workflows brought in, on disk and in the twin: each report once, for ever, sealed."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.adapters import sqlite_ledger
from skerry.adapters.sqlite_ledger import SqliteLedger
from skerry.adapters.sqlite_outcomes import OUTCOMES_SCHEMA
from skerry.base.errors import BadInput
from skerry.budget.core.outcomes import Earned, Outcome
from skerry.budget.ports import Ledger
from skerry.budget.testing import MemoryLedger


def sold(key: str, orders: int = 1, revenue: int = 5, at: int = 100, flow: str = "shop") -> Outcome:
    return Outcome(key, at, flow, orders, revenue, "EUR")


@pytest.fixture(params=["twin", "memory", "file"])
async def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Ledger]:
    if request.param == "twin":
        yield MemoryLedger()
        return
    opened = SqliteLedger(None if request.param == "memory" else tmp_path / "ledger.sqlite")
    yield opened
    await opened.close()


async def test_a_key_counts_once_and_says_one_thing(ledger: Ledger) -> None:
    assert await ledger.report(sold("a"))
    assert not await ledger.report(sold("a", at=999)), "sent again, later"
    with pytest.raises(BadInput, match="another report"):
        await ledger.report(sold("a", orders=2))
    assert await ledger.report(sold("refund-a", -1, -5))
    assert await ledger.report(sold("b", 2, 7, flow="films"))
    assert list(ledger.earned(0, 200)) == [
        Earned("films", "EUR", 1, 2, 7),
        Earned("shop", "EUR", 2, 0, 0),
    ]
    assert [each.key for each in ledger.outcomes(0, 200, 2)] == ["b", "refund-a"]
    assert not ledger.earned(200, 300)


@pytest.mark.parametrize("sign", [1, -1])
async def test_no_sum_is_too_large_to_be_told(sign: int) -> None:
    ledger = SqliteLedger(None)
    one = sign * (2**62 + 7)

    def rows(db: sqlite3.Connection) -> None:
        db.executemany(
            "INSERT INTO outcome (key, at, workflow, orders, revenue_micro, currency, chain) "
            "VALUES (?, 100, 'shop', 1, ?, 'EUR', '')",
            [(str(number), one) for number in range(5)],
        )

    await ledger._file.write(rows)
    assert ledger.earned(0, 200) == [Earned("shop", "EUR", 5, 5, 5 * one)]
    await ledger.close()


REPORTS = st.lists(
    st.tuples(
        st.integers(0, 12),
        st.integers(-(10**9), 10**9),
        st.integers(-(10**15), 10**15),
        st.sampled_from(["shop", "films"]),
    ),
    max_size=40,
)


@given(REPORTS)
def test_the_sums_are_those_of_the_reports_that_were_acknowledged(
    reports: list[tuple[int, int, int, str]],
) -> None:
    async def told(times: int) -> list[list[Earned]]:
        ledgers: list[Ledger] = [SqliteLedger(None), MemoryLedger()]
        for ledger in ledgers:
            for _ in range(times):
                for number, orders, revenue, flow in reports:
                    try:
                        await ledger.report(sold(str(number), orders, revenue, flow=flow))
                    except BadInput:
                        continue
        return [list(ledger.earned(0, 200)) for ledger in ledgers]

    first: dict[int, tuple[int, int, str]] = {}
    for number, *rest in reports:
        first.setdefault(number, (rest[0], rest[1], rest[2]))
    wanted = [
        Earned(flow, "EUR", len(mine), sum(o for o, _, _ in mine), sum(r for _, r, _ in mine))
        for flow in ("films", "shop")
        if (mine := [each for each in first.values() if each[2] == flow])
    ]
    for times in (1, 2):  # replayed, it gives the same
        assert asyncio.run(told(times)) == [wanted, wanted]


async def test_a_change_is_seen_and_none_is_allowed(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    ledger = SqliteLedger(path)
    for number in range(5):
        await ledger.report(sold(str(number)))
    proof = ledger.verify()
    assert (proof.outcomes, proof.broken_at) == (5, 0)
    await ledger.close()
    with sqlite3.connect(path) as db:
        for forbidden in ("UPDATE outcome SET orders = 9", "DELETE FROM outcome"):
            with pytest.raises(sqlite3.IntegrityError):
                db.execute(forbidden)
        db.execute("DROP TRIGGER outcome_stays")
        db.execute("UPDATE outcome SET revenue_micro = 6 WHERE id = 3")
    assert SqliteLedger(path).verify().broken_at == 3
    with sqlite3.connect(path) as db:
        db.execute("UPDATE outcome SET revenue_micro = 5 WHERE id = 3")
        db.execute("DROP TRIGGER outcome_is_kept")
        db.execute("DELETE FROM outcome WHERE id = 2")
    assert "outcome 2 is missing" in SqliteLedger(path).verify().why


async def test_a_ledger_of_version_1_is_brought_up(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    with sqlite3.connect(path) as db:
        db.executescript(sqlite_ledger._SCHEMA)
        db.execute(f"PRAGMA application_id = {sqlite_ledger.LEDGER.application_id}")
        db.execute("PRAGMA user_version = 1")
    ledger = SqliteLedger(path)
    assert OUTCOMES_SCHEMA
    assert await ledger.report(sold("a"))
    assert ledger.earned(0, 200)[0].orders == 1
