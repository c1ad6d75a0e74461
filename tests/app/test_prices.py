"""A new price sheet on a node that runs: to which hour the past reaches, and what is kept first."""

from __future__ import annotations

from pathlib import Path

import pytest

from skerry.app.budget.prices import NOTE, NodePrices, PricesRefused
from skerry.app.settings.budget import BudgetSettings
from skerry.budget.bookkeeping import Bookkeeping
from skerry.budget.core.periods import iso
from skerry.budget.core.prices import BadPrices, read_sheet
from skerry.budget.core.usage import Amounts, Dimension, Meter
from skerry.budget.ports import LedgerUnusable
from skerry.budget.testing import MemoryLedger
from skerry.telemetry.events import Events

NOON = 1_780_315_200  # 2026-06-01T12:00:00Z
HOUR = 3600
OUT = {Dimension("ann"): Amounts.of({Meter.EGRESS_BYTES: 10**9})}
ROW = '[[price]]\nmeter = "egress"\nprice = "{}"\ncurrency = "{}"\nunit = "GB"\nperiod = "use"\n'


def price(amount: str, at: int, currency: str = "EUR") -> str:
    return ROW.format(amount, currency) + f"valid_from = {iso(at)}\n"


OLD = price("0.08", 0)


class Scene:
    """A node's prices at twenty to one, in the second hour of its ledger."""

    def __init__(self, folder: Path, text: str = OLD) -> None:
        self.file = folder / "prices.toml"
        self.now = NOON + 2400
        self.ledger = MemoryLedger()
        self.events = Events(lambda: self.now)
        self.books = Bookkeeping(self.ledger, read_sheet(text, "old"), now=lambda: self.now)
        self.prices = NodePrices(self.books, text, events=self.events, now=lambda: self.now)

    async def take(self, text: str) -> tuple[str, ...]:
        self.file.write_text(text)
        new = await self.prices.check(BudgetSettings(prices_file=str(self.file)))
        return self.prices.use(new)


@pytest.fixture
async def scene(tmp_path: Path) -> Scene:
    made = Scene(tmp_path)
    await made.ledger.note(NOON - HOUR, OUT)
    return made


async def test_the_hour_that_runs_is_past_and_the_next_one_is_not(scene: Scene) -> None:
    with pytest.raises(PricesRefused, match=r"egress cost 0\.08 per GB") as refused:
        await scene.take(OLD + price("0.09", NOON))
    assert f"valid_from = {iso(NOON + HOUR)} or later" in refused.value.next_step
    assert scene.ledger.noted(NOTE) == ""
    assert await scene.take(OLD + price("0.09", NOON + HOUR))
    await scene.ledger.note(NOON + 3599, OUT)
    await scene.ledger.note(NOON + HOUR, OUT)
    assert [each.micro for each in scene.books.charges(0, NOON + 2 * HOUR)] == [160_000, 90_000]


async def test_hours_of_a_clock_that_was_ahead_are_past_as_well(scene: Scene) -> None:
    await scene.ledger.note(NOON + 9 * HOUR, OUT)
    with pytest.raises(PricesRefused):
        await scene.take(OLD + price("0.09", NOON + 9 * HOUR))
    assert await scene.take(OLD + price("0.09", NOON + 10 * HOUR))


async def test_another_currency_is_refused(scene: Scene) -> None:
    with pytest.raises(PricesRefused, match="is in CHF, and what things cost was told in EUR"):
        await scene.take(price("0.08", 0, "CHF"))


async def test_a_ledger_that_takes_no_writes_takes_no_sheet(scene: Scene) -> None:
    """Or the next start would find prices that nobody had taken."""
    scene.ledger.broken = True
    with pytest.raises(LedgerUnusable):
        await scene.take(OLD + price("0.09", NOON + HOUR))
    assert len(scene.books.sheet.prices) == 1


async def test_a_sheet_that_vanishes_between_its_check_and_its_use_is_refused(
    scene: Scene,
) -> None:
    with pytest.raises(BadPrices, match="cannot be read"):
        await scene.prices.check(BudgetSettings(prices_file=str(scene.file)))


async def test_the_first_sheet_of_all_prices_what_was_used_before_it(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.books.sheet = type(scene.books.sheet)()
    await scene.ledger.note(NOON, OUT)
    assert await scene.take(OLD)
    assert [each.micro for each in scene.books.charges(0, NOON + HOUR)] == [80_000]


async def test_a_price_that_began_while_the_node_was_down_is_no_other_past(scene: Scene) -> None:
    """The last row is of eleven; the sheet was written at noon, and says one."""
    await scene.prices.began()
    text = OLD + price("0.09", NOON)
    again = Scene(scene.file.parent, text)
    again.ledger = scene.ledger
    again.books.ledger = scene.ledger
    await again.prices.began()
    assert not again.events.recent("budget.prices_rewritten")
    assert scene.ledger.noted(NOTE) == text
    third = Scene(scene.file.parent, OLD + price("0.09", NOON - HOUR))
    third.books.ledger = scene.ledger
    await third.prices.began()
    (event,) = third.events.recent("budget.prices_rewritten")
    assert "0.08 per GB from 2026-06-01T11:00:00Z on, and would have cost 0.09" in event.cause
