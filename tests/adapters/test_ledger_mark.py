"""The mark beside a ledger: what is gone from its end is named, and a kill is no loss."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from skerry.adapters.ledger_mark import MARK_FILE, LedgerMark
from skerry.adapters.sqlite_ledger import LEDGER, SqliteLedger
from skerry.adapters.sqlite_salvage import open_or_salvage
from skerry.budget.core.outcomes import Outcome
from skerry.budget.core.usage import Amounts, Dimension, Meter

HOUR = 1_767_225_600
PAGE = 4096
ONE = {Dimension("ann"): Amounts.of({Meter.REQUESTS: 1})}


async def used(ledger: SqliteLedger, first: int, last: int) -> None:
    """Closes these, counted from 1; one more is open then."""
    for minute in range(first - 1, last + 1):
        await ledger.note(HOUR + 60 * minute, ONE)


async def sold(ledger: SqliteLedger, first: int, last: int) -> None:
    for number in range(first, last + 1):
        await ledger.report(Outcome(f"k{number}", HOUR, "shop", 1, 5, "EUR"))


async def put_back(path: Path) -> None:
    """Seven closings and five outcomes, and then the file of after four and two again."""
    ledger = SqliteLedger(path)
    await used(ledger, 1, 4)
    await sold(ledger, 1, 2)
    await ledger.close()
    shutil.copyfile(path, path.with_name("copy"))
    ledger = SqliteLedger(path)
    await used(ledger, 5, 7)
    await sold(ledger, 3, 5)
    assert ledger.verify().broken_at == 0
    assert ledger.missing() == ""
    await ledger.close()
    path.with_name("copy").rename(path)


async def test_what_is_gone_from_the_end_is_named_though_the_chain_is_whole(
    tmp_path: Path,
) -> None:
    path = tmp_path / "ledger.sqlite"
    await put_back(path)
    ledger = SqliteLedger(path)
    last = "the last of the minute 2026-01-01T00:06:00Z"
    closings = f"the newest 3 closings, from 5 on, are missing ({last})"
    proof = ledger.verify()
    assert (proof.broken_at, proof.why, proof.closings) == (5, closings, 4)
    assert ledger.missing() == f"{closings}, and the newest 3 outcomes, from 3 on, are missing"
    await ledger.close()


async def test_the_hole_stays_when_the_ledger_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    await put_back(path)
    ledger = SqliteLedger(path)
    await ledger.note(HOUR + 6000, ONE)
    await ledger.note(HOUR + 6060, ONE)
    await sold(ledger, 9, 9)
    assert ledger.statistics().closed_count == 9, "no number is given twice"
    proof = ledger.verify()
    assert (proof.broken_at, proof.why) == (8, "closings 5 to 7 are missing")
    assert ledger.missing() == "", "told at the start before"
    await ledger.close()


async def test_outcomes_that_are_gone_leave_a_hole_as_well(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    ledger = SqliteLedger(path)
    await sold(ledger, 1, 2)
    await ledger.close()
    shutil.copyfile(path, tmp_path / "copy")
    ledger = SqliteLedger(path)
    await sold(ledger, 3, 4)
    await ledger.close()
    (tmp_path / "copy").rename(path)
    ledger = SqliteLedger(path)
    assert ledger.verify().why == "the newest 2 outcomes, from 3 on, are missing"
    await sold(ledger, 4, 4)  # its shop sends it again
    assert ledger.verify().why == "outcomes 3 to 4 are missing"
    await ledger.close()


async def test_a_salvage_that_lost_the_newest_rows_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    ledger = SqliteLedger(path)
    await used(ledger, 1, 300)
    await ledger.close()
    with sqlite3.connect(path) as db:
        pages = [
            row[0]
            for name in ("closing", "usage")
            for row in db.execute(
                "SELECT pageno FROM dbstat WHERE name = ? AND pagetype = 'leaf' "
                "ORDER BY path DESC LIMIT 2",
                (name,),
            )
        ]
    db.close()
    with path.open("r+b") as disk:
        for page in pages:
            disk.seek((page - 1) * PAGE)
            disk.write(bytes(PAGE))
    file, salvage = open_or_salvage(path, LEDGER)
    assert salvage is not None
    rescued = SqliteLedger(path, file=file)
    kept = rescued.statistics().closed_count
    assert 0 < kept < 300
    assert f"the newest {300 - kept} closings, from {kept + 1} on" in rescued.missing()
    assert rescued.verify().broken_at
    await used(rescued, 400, 401)
    assert rescued.statistics().closed_count > 300
    await rescued.close()


@pytest.mark.parametrize(
    "damage",
    [
        Path.unlink,
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes().replace(b":4,", b":9,")),
        lambda path: path.write_bytes(b"\xa5" * 5000),
    ],
    ids=["gone", "empty", "another digit", "garbage"],
)
async def test_a_mark_that_is_gone_or_damaged_raises_no_alarm(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    path, mark = tmp_path / "ledger.sqlite", tmp_path / MARK_FILE
    ledger = SqliteLedger(path)
    await used(ledger, 1, 4)
    await ledger.close()
    damage(mark)
    again = SqliteLedger(path)
    assert (again.verify().broken_at, again.missing()) == (0, "")
    await used(again, 6, 6)
    assert LedgerMark(mark).reached.closing == again.statistics().closed_count == 6
    await again.close()


async def test_a_mark_that_is_behind_raises_no_alarm(tmp_path: Path) -> None:
    path, mark = tmp_path / "ledger.sqlite", tmp_path / MARK_FILE
    ledger = SqliteLedger(path)
    await used(ledger, 1, 2)
    shutil.copyfile(mark, tmp_path / "behind")
    await used(ledger, 4, 5)
    await ledger.close()
    (tmp_path / "behind").rename(mark)
    again = SqliteLedger(path)
    assert (again.verify().broken_at, again.missing()) == (0, "")
    await again.close()


async def test_a_disk_that_does_not_take_the_mark_stops_no_ledger(tmp_path: Path) -> None:
    ledger = SqliteLedger(tmp_path / "ledger.sqlite")
    (tmp_path / f"{MARK_FILE}.new").mkdir()
    await used(ledger, 1, 3)
    assert not (tmp_path / MARK_FILE).exists()
    (tmp_path / f"{MARK_FILE}.new").rmdir()
    await used(ledger, 5, 5)
    assert LedgerMark(tmp_path / MARK_FILE).reached.closing == 5
    await ledger.close()


async def test_another_history_up_to_the_mark_is_seen(tmp_path: Path) -> None:
    """Each row sealed anew, so that the chain agrees with itself."""
    for name in ("true", "forged"):
        (tmp_path / name).mkdir()
        ledger = SqliteLedger(tmp_path / name / "ledger.sqlite")
        for minute in range(4):
            count = 1 if name == "true" else 2
            amounts = Amounts.of({Meter.REQUESTS: count})
            await ledger.note(HOUR + 60 * minute, {Dimension("ann"): amounts})
        await ledger.close()
    (tmp_path / "forged" / "ledger.sqlite").replace(tmp_path / "true" / "ledger.sqlite")
    ledger = SqliteLedger(tmp_path / "true" / "ledger.sqlite")
    proof = ledger.verify()
    await ledger.close()
    assert (proof.broken_at, "the mark beside the ledger" in proof.why) == (3, True)


async def test_an_hour_that_is_gone_from_the_folded_ones_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    ledger = SqliteLedger(path)
    await used(ledger, 1, 150)
    await ledger.fold(HOUR + 7200)
    assert ledger.verify().broken_at == 0
    await ledger.close()
    with sqlite3.connect(path) as db:
        db.execute("DELETE FROM folded WHERE hour = ?", (HOUR + 3600,))
    again = SqliteLedger(path)
    proof = again.verify()
    assert (proof.broken_at, proof.why[:19]) == (61, "its hour is missing")
    await again.close()
