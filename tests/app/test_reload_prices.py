"""New prices for a running node: from their hour on, and what was told stays to the micro-unit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from skerry.adapters.http_server_tls import CertificateError
from skerry.app.node import Node
from skerry.app.reload import Reloaded
from skerry.app.settings.errors import SettingsError
from skerry.app.settings.load import load
from skerry.app.settings.schema import Settings
from skerry.base.errors import SkerryError
from skerry.budget.core.periods import iso
from skerry.budget.core.rating import Charge, cost, cost_by
from skerry.budget.core.usage import Amounts, Dimension, Meter
from tests.adapters.http_door import guarded, until
from tests.app.test_reload import Origin, Scene, played, reloading

PRICE = """[[price]]
meter = "egress"
price = "%s"
currency = "EUR"
unit = "GB"
period = "use"
valid_from = %s
"""
GIVEN = PRICE % ("0.08", "2020-01-01")


class Books(Scene):
    """A node with a price sheet, and what it was told to write into its ledger."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.sheet = folder / "prices.toml"

    async def begin(self, text: str = GIVEN) -> None:
        self.sheet.write_text(text)
        self.write_with_prices(self.one, "a.example")
        reread = partial(load, self.config, {}, {})
        self.node = Node(reread(), reread=reread)
        await self.node.start()
        # Far enough that no full hour passes between it and what the node calls the past.
        self.hour = self.node.budget.now // 3600 * 3600 + 2 * 3600

    def write_with_prices(self, origin: Origin, host: str) -> None:
        self.write(self.site(origin, host))
        with self.config.open("a") as file:
            file.write(f'[budget]\nprices_file = "{self.sheet}"\n')

    async def use(self, bucket: int) -> None:
        """A gigabyte out for each of three tenants, less a byte."""
        out = Amounts.of({Meter.EGRESS_BYTES: 10**9 - 1})
        await self.node.budget.ledger.note(
            bucket, {Dimension(tenant): out for tenant in ("ann", "bob", "cy")}
        )

    async def take(self, text: str) -> Reloaded:
        self.sheet.write_text(text)
        return await guarded(reloading(self).reload())

    def told(self, stop: int) -> list[Charge]:
        """What the hours before `stop` cost; until when a price holds is for the next sheet."""
        return [replace(each, end=0) for each in self.node.budget.books.charges(0, stop)]


@pytest.fixture
async def books(tmp_path: Path) -> AsyncIterator[Books]:
    async with played(Books(tmp_path)) as made:
        yield made


async def test_a_new_price_holds_from_its_hour_and_what_was_told_stays_to_the_micro_unit(
    books: Books,
) -> None:
    await books.begin()
    hour = books.hour
    for back in (0, 1, 30 * 24):
        await books.use(hour - (back + 3) * 3600)
    before = books.told(hour)
    assert cost(before) == 3 * 240_000
    later = PRICE % ("0.0873", iso(hour))
    done = await books.take(GIVEN + later)
    assert done == Reloaded(prices=(f"egress 0.0873 per GB from {iso(hour)}",))
    assert books.told(hour) == before, "hours that were used keep the price they had"
    await books.use(hour + 60)
    after = books.told(hour + 3600)
    assert cost(after) == cost(before) + 3 * 87_300
    by_tenant = cost_by(after, lambda each: each.dimension.tenant)
    assert sum(by_tenant.values()) == cost(after)
    assert set(by_tenant.values()) == {cost(after) // 3}
    (event,) = books.node.events.recent("budget.prices_taken")
    assert "0.0873" in event.cause
    # A life later the same ledger and the same sheet are the same money.
    await books.node.stop()
    await books.begin(GIVEN + later)
    assert books.told(hour + 3600) == after
    await until(lambda: books.node.budget.ledger.noted("prices") != "")
    assert not books.node.events.recent("budget.prices_rewritten")


async def test_a_sheet_that_rewrites_the_past_is_refused_with_all_of_its_reload(
    books: Books,
) -> None:
    await books.begin()
    await books.use(books.hour - 5 * 3600)
    before = books.told(books.hour)
    books.write_with_prices(books.two, "b.example")
    with pytest.raises(SkerryError, match=r"egress cost 0\.08 per GB .* would have cost 0\.09"):
        await books.take(PRICE % ("0.09", "2020-01-01"))
    assert books.told(books.hour) == before
    assert (await books.get("b.example"))[0] == 421, "nothing of it is taken"
    (event,) = books.node.events.recent("settings.refused")
    assert "another [[price]] with valid_from" in event.next_step


async def test_a_bad_sheet_changes_no_price_and_loses_nothing(books: Books) -> None:
    await books.begin()
    await books.use(books.hour - 5 * 3600)
    before = books.told(books.hour)
    with pytest.raises(SettingsError, match="line 4"):
        await books.take(GIVEN.replace("EUR", "EURO"))
    books.sheet.unlink()
    with pytest.raises(SettingsError, match="no such file"):
        await guarded(reloading(books).reload())
    assert books.told(books.hour) == before
    assert await books.take(GIVEN) == Reloaded(), "as it runs"


async def test_prices_that_a_reload_brings_are_among_the_metrics_of_money(books: Books) -> None:
    await books.open(books.site(books.one, "a.example"))
    assert "budget.prospect" in {task.get_name() for task in asyncio.all_tasks()}
    prospect = books.node.budget.prospect
    await prospect.look()
    assert "skerry_cost_spent{" not in books.node.metrics.expose()
    books.sheet.write_text(GIVEN)
    books.write_with_prices(books.one, "a.example")
    assert (await guarded(reloading(books).reload())).restart == ()
    await books.node.budget.ledger.note(
        books.node.budget.now, {Dimension("ann"): Amounts.of({Meter.EGRESS_BYTES: 10**9})}
    )
    await prospect.look()
    assert 'skerry_cost_spent{tenant="ann"} 0.08\n' in books.node.metrics.expose()


async def test_a_sheet_of_a_reload_that_another_thing_stops_is_not_the_last_one_taken(
    books: Books,
) -> None:
    await books.begin()
    await until(lambda: books.node.budget.ledger.noted("prices") == GIVEN)

    def refuse(new: Settings) -> None:
        raise CertificateError("that certificate is another's")

    reloading(books)._certificates = refuse
    with pytest.raises(CertificateError):
        await books.take(GIVEN + PRICE % ("0.0873", iso(books.hour)))
    assert books.node.budget.ledger.noted("prices") == GIVEN
    assert len(books.node.budget.books.sheet.prices) == 1


async def test_to_give_up_prices_waits_for_a_restart(books: Books) -> None:
    await books.begin()
    await books.use(books.hour - 5 * 3600)
    before = books.told(books.hour)
    done = await books.reload(books.site(books.one, "a.example"))
    assert done.restart == ("budget.prices_file",)
    assert books.told(books.hour) == before


async def test_a_start_that_prices_the_past_otherwise_says_so(books: Books) -> None:
    await books.begin()
    await books.use(books.hour - 5 * 3600)
    await until(lambda: books.node.budget.ledger.noted("prices") != "")
    await books.node.stop()
    await books.begin(PRICE % ("0.008", "2020-01-01"))
    await until(lambda: bool(books.node.events.recent("budget.prices_rewritten")))
    (event,) = books.node.events.recent("budget.prices_rewritten")
    assert "egress cost 0.08 per GB" in event.cause
    assert cost(books.told(books.hour)) == 24_000, "a node starts, and a slip can be corrected"
