"""The ledger on disk and its twin: what is added stays, and a change is seen."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from skerry.adapters import sqlite_ledger
from skerry.adapters.sqlite_ledger import SqliteLedger
from skerry.budget.core.usage import Amounts, Dimension, Hour, Meter, totals
from skerry.budget.ports import Ledger, LedgerUnusable
from skerry.budget.testing import MemoryLedger

ANN, BOB = Dimension("ann", site="a.example", route="/"), Dimension("bob", upstream="docker.io")
HOUR = 1_767_225_600


def reqs(count: int) -> Amounts:
    return Amounts.of({Meter.REQUESTS: count, Meter.EGRESS_BYTES: 10 * count})


@pytest.fixture(params=["twin", "memory", "file"])
async def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Ledger]:
    if request.param == "twin":
        yield MemoryLedger()
        return
    opened = SqliteLedger(None if request.param == "memory" else tmp_path / "ledger.sqlite")
    yield opened
    await opened.close()


async def test_what_is_noted_adds_up_by_hour_and_bucket(ledger: Ledger) -> None:
    await ledger.note(HOUR, {ANN: reqs(1)})
    await ledger.note(HOUR, {ANN: reqs(2), BOB: reqs(5)})
    await ledger.note(HOUR + 60, {ANN: reqs(4)})
    await ledger.note(HOUR + 3600, {ANN: reqs(8)})
    assert list(ledger.hours(HOUR, HOUR + 7200)) == [
        Hour(HOUR, ANN, reqs(7)),
        Hour(HOUR, BOB, reqs(5)),
        Hour(HOUR + 3600, ANN, reqs(8)),
    ]
    assert list(ledger.minutes(HOUR, HOUR + 120)) == [
        Hour(HOUR, ANN, reqs(3)),
        Hour(HOUR, BOB, reqs(5)),
        Hour(HOUR + 60, ANN, reqs(4)),
    ]
    assert ledger.statistics().closed_count == 2
    assert list(ledger.hours(HOUR + 3600, HOUR + 7200)) == [Hour(HOUR + 3600, ANN, reqs(8))]


async def test_a_bucket_that_comes_again_adds_up_too(ledger: Ledger) -> None:
    for bucket in (HOUR, HOUR + 60, HOUR, HOUR + 60):
        await ledger.note(bucket, {ANN: reqs(1)})
    assert totals(ledger.minutes(HOUR, HOUR + 60)) == {ANN: reqs(2)}


async def test_an_empty_note_closes_what_is_open(ledger: Ledger) -> None:
    await ledger.note(HOUR, {ANN: reqs(1)})
    await ledger.note(HOUR + 60, {})
    assert ledger.statistics().closed_count == 1


async def test_folding_keeps_every_hour_as_it_was(ledger: Ledger) -> None:
    for minute in range(90):
        await ledger.note(HOUR + 60 * minute, {ANN: reqs(minute), BOB: reqs(1)})
    before = list(ledger.hours(HOUR, HOUR + 7200))
    assert await ledger.fold(HOUR + 3600) == 120
    assert list(ledger.hours(HOUR, HOUR + 7200)) == before
    assert ledger.verify().broken_at == 0


async def test_texts_are_kept_beside_the_rows(ledger: Ledger) -> None:
    assert ledger.noted("ladder") == ""
    await ledger.keep("ladder", "one")
    await ledger.keep("ladder", "two")
    assert ledger.noted("ladder") == "two"


async def test_rows_and_texts_outlive_the_process(tmp_path: Path) -> None:
    first = SqliteLedger(tmp_path / "ledger.sqlite")
    await first.note(HOUR, {ANN: reqs(1)})
    await first.note(HOUR + 60, {ANN: reqs(2)})
    await first.keep("ladder", "held")
    second = SqliteLedger(tmp_path / "ledger.sqlite")
    assert totals(second.hours(HOUR, HOUR + 3600)) == {ANN: reqs(3)}
    assert second.noted("ladder") == "held"
    await second.note(HOUR + 60, {ANN: reqs(4)})
    await second.note(HOUR + 120, {})
    assert totals(second.minutes(HOUR + 60, HOUR + 120)) == {ANN: reqs(6)}
    assert second.verify().rows == 2
    await first.close()
    await second.close()


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE usage SET requests = 7",
        "DELETE FROM usage",
        "UPDATE closing SET chain = ''",
    ],
)
async def test_a_row_of_the_ledger_cannot_be_changed(tmp_path: Path, damage: str) -> None:
    ledger = SqliteLedger(tmp_path / "ledger.sqlite")
    await ledger.note(HOUR, {ANN: reqs(1)})
    await ledger.note(HOUR + 60, {ANN: reqs(1)})
    with sqlite3.connect(tmp_path / "ledger.sqlite") as other, pytest.raises(sqlite3.Error):
        other.execute(damage)
    await ledger.close()


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        ("UPDATE usage SET requests = 7 WHERE closing = 2", 2),
        ("DELETE FROM usage WHERE closing = 2 AND dimension = 1", 2),
        ("DELETE FROM closing WHERE id = 2", 3),
        ("UPDATE dimension SET tenant = 'eve' WHERE tenant = 'ann'", 1),
        ("UPDATE closing SET bucket = bucket + 60 WHERE id = 3", 3),
    ],
)
async def test_a_change_behind_its_back_is_found(tmp_path: Path, damage: str, found: int) -> None:
    ledger = SqliteLedger(tmp_path / "ledger.sqlite")
    for minute in range(5):
        await ledger.note(HOUR + 60 * minute, {ANN: reqs(1), BOB: reqs(1)})
    assert ledger.verify().broken_at == 0
    assert ledger.verify().closings == 4
    with sqlite3.connect(tmp_path / "ledger.sqlite") as other:
        for trigger in ("usage_stays", "usage_goes_by_folding", "closing_stays"):
            other.execute(f"DROP TRIGGER {trigger}")
        other.execute(damage)
    assert ledger.verify().broken_at == found
    await ledger.close()


async def test_one_dimension_too_many_is_counted_under_its_tenant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_ledger, "DIMENSIONS_MAX", 3)
    ledger = SqliteLedger(None)
    for number in range(9):
        await ledger.note(HOUR, {Dimension("ann", site=f"{number}.example"): reqs(1)})
    found = totals(ledger.hours(HOUR, HOUR + 3600))
    assert len(found) == 4
    assert found[Dimension("ann").folded] == reqs(6)
    assert {dimension.tenant for dimension in found} == {"ann"}


async def test_a_file_of_another_program_is_refused(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "ledger.sqlite") as other:
        other.execute("CREATE TABLE mine (a)")
    with pytest.raises(LedgerUnusable):
        SqliteLedger(tmp_path / "ledger.sqlite")


CHILD = """
import asyncio, sys
from pathlib import Path
from skerry.adapters.sqlite_ledger import SqliteLedger
from skerry.budget.core.usage import Amounts, Dimension, Meter

async def main():
    ledger = SqliteLedger(Path(sys.argv[1]))
    number = 0
    while True:
        used = Amounts.of({Meter.REQUESTS: 1})
        await ledger.note(1_767_225_600 + 60 * (number // 7), {Dimension("ann"): used})
        number += 1
        print(number, flush=True)

asyncio.run(main())
"""


def test_a_kill_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    acknowledged = 0
    for _ in range(3):
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(path)], stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        told = [int(next(child.stdout)) for _ in range(200)]
        child.kill()  # SIGKILL
        rest = child.stdout.read().split()
        child.wait()
        acknowledged += max([*told, *map(int, rest[:-1])])
        ledger = SqliteLedger(path)
        kept = sum(hour.amounts[Meter.REQUESTS] for hour in ledger.hours(0, 1 << 40))
        assert acknowledged <= kept <= acknowledged + 2
        assert ledger.verify().broken_at == 0
        acknowledged = kept
