"""What an operator asks of the budget: the second month's report, and warming that pauses."""

from __future__ import annotations

from datetime import UTC, datetime

from skerry.base.clock import ManualClock
from skerry.budget.bookkeeping import Bookkeeping
from skerry.budget.core.ladder import Steps
from skerry.budget.core.limits import WHOLE, Limit
from skerry.budget.core.money import MICRO
from skerry.budget.core.periods import DAY_SECONDS, Every, month_of
from skerry.budget.core.prices import read_sheet
from skerry.budget.core.report_html import columns_of, page, rows_of
from skerry.budget.core.rollback import Rollback
from skerry.budget.core.usage import NODE, Amounts, Dimension, Meter
from skerry.budget.desk import BudgetDesk, BudgetState
from skerry.budget.ladders import Ladders
from skerry.budget.measures import budget_metrics
from skerry.budget.ports import LedgerUnusable
from skerry.budget.prospect import Prospect
from skerry.budget.spending import Spending
from skerry.budget.testing import MemoryLedger
from skerry.telemetry.alarms import Silence
from skerry.telemetry.events import Events
from skerry.telemetry.metrics import Registry
from tests.rig.telling import sample_of

MAY, JUNE = (int(datetime(2026, month, 1, tzinfo=UTC).timestamp()) for month in (5, 6))
SHEET = read_sheet(
    '[[price]]\nmeter = "ingress"\nprice = "0.10"\nunit = "GB"\nperiod = "use"\n'
    'currency = "EUR"\nvalid_from = 2026-01-01\n',
    "prices.toml",
)
GB = 10**9
PLACES = {name: Dimension("ann", site=f"{name}.example", route="/") for name in "abcde"}


class World:
    def __init__(self, now: int) -> None:
        self.clock = ManualClock(float(now))
        self.ledger = MemoryLedger()
        self.books = Bookkeeping(self.ledger, SHEET, now=self.clock.now)
        self.events = Events(self.clock.now)
        self.blind = False
        self.ladders = Ladders(
            ledger=self.ledger,
            spending=Spending(self.books),
            limits=[Limit(WHOLE, 100 * MICRO)],
            steps=Steps(),
            every=Every.MONTH,
            clock=self.clock,
            trusted_now=self.clock.now,
            blind=lambda: self.blind,
            events=self.events,
            alarms=Silence(),
            changed=lambda: None,
        )

    async def spend(self, amount: int) -> None:
        at = int(self.clock.now()) // 60 * 60
        await self.ledger.note(at, {NODE: Amounts.of({Meter.INGRESS_BYTES: amount * 10 * GB})})

    def desk(self, *rollbacks: Rollback) -> BudgetDesk:
        return BudgetDesk(
            self.books,
            Spending(self.books),
            node="rock",
            now=self.clock.now,
            every=Every.MONTH,
            ladders=self.ladders.statistics,
            workflows=lambda: ["films"],
            rollbacks=lambda start, end: [
                each for each in rollbacks if start <= each.began_at < end
            ],
        )


async def test_the_report_of_the_second_month_has_deltas_and_the_three_dearest_misses() -> None:
    world = World(JUNE + 15 * DAY_SECONDS)

    async def used(at: int, name: str, misses: int, ingress: int) -> None:
        amounts = {
            Meter.REQUESTS: 100,
            Meter.HITS: 100 - misses,
            Meter.MISSES: misses,
            Meter.INGRESS_BYTES: ingress * GB,
            Meter.SAVED_BYTES: (100 - misses) * GB,
        }
        await world.ledger.note(at, {PLACES[name]: Amounts.of(amounts)})

    for name, misses, ingress in (("a", 10, 10), ("b", 10, 20)):
        await used(MAY, name, misses, ingress)
    for name, misses, ingress in (("a", 50, 400), ("b", 40, 30), ("c", 30, 50), ("d", 1, 1)):
        await used(JUNE + DAY_SECONDS, name, misses, ingress)
    rollbacks = (Rollback(MAY + 5.0, 3.0, drill=True), Rollback(JUNE + 5.0, 9.0, drill=True))
    found = world.desk(*rollbacks).report(month_of(JUNE))
    assert (found.month, found.before) == ("2026-06", "2026-05")
    assert found.before_figures.cost_micro == 3_000_000
    assert found.now_figures.cost_micro == 48_100_000
    assert (found.before_figures.hit_ratio, found.now_figures.hit_ratio) == (900_000, 697_500)
    assert [each.what for each in found.dearest] == ["a.example/", "c.example/", "b.example/"]
    assert [each.micro for each in found.dearest] == [40_000_000, 5_000_000, 3_000_000]
    assert (found.before_rollback.seconds, found.now_rollback.seconds) == (3.0, 9.0)
    assert found.now_rollback.of_drill
    told = "\n".join(found.advice)
    for what in ("the hit ratio fell", "a request costs over a tenth more", "going back takes"):
        assert what in told
    changes = {row.name: row.change for row in rows_of(found)}
    assert changes["hit ratio"] == "-20.2 points"
    assert changes["cost of 1000 requests"] == "+701.7 %"
    assert changes["rollback"] == "+6.0 s"
    assert changes["cost"] == "", "half a month beside a whole one says nothing"
    assert columns_of(found) == ("2026-06 so far", "2026-05", "change")
    world.clock.advance(20 * DAY_SECONDS)
    later = world.desk(*rollbacks).report(month_of(JUNE))
    assert columns_of(later)[0] == "2026-06"
    assert [row.change for row in rows_of(later)][:2] == ["+1503.3 %", "+100.0 %"]
    for row in rows_of(later):
        assert f'<td class="n">{row.change}</td></tr>' in page(later), row


async def test_a_month_that_was_counted_from_its_middle_on_is_no_whole_one_to_compare_with() -> (
    None
):
    world = World(MAY + 20 * DAY_SECONDS)
    await world.spend(10)
    world.clock.advance(15 * DAY_SECONDS)
    await world.spend(30)
    world.clock.advance(40 * DAY_SECONDS)
    found = world.desk().report(month_of(JUNE))
    assert columns_of(found) == ("2026-06", "2026-05, not whole", "change")
    assert {row.name: row.change for row in rows_of(found)}["cost"] == ""


async def test_a_first_month_has_nothing_to_be_compared_with() -> None:
    world = World(JUNE + 15 * DAY_SECONDS)
    await world.spend(3)
    found = world.desk().report(month_of(JUNE))
    assert not any(row.change for row in rows_of(found))


async def test_a_forecast_goes_by_the_last_days_over_the_turn_of_a_month() -> None:
    world = World(JUNE - 3 * DAY_SECONDS)
    for _ in range(3):
        await world.spend(10)
        world.clock.advance(DAY_SECONDS)
    await world.spend(5)
    world.clock.advance(60)
    found = world.desk().state()
    assert (found.period, found.spent_micro, found.forecast.days) == ("2026-06", 5 * MICRO, 3)
    to_come = 10 * MICRO * (30 * DAY_SECONDS - 60) / DAY_SECONDS
    assert found.forecast.middle_micro == round(5 * MICRO + to_come)


async def test_a_node_of_this_afternoon_is_not_judged_by_the_whole_day() -> None:
    world = World(JUNE + 25 * DAY_SECONDS + 20 * 3600)
    await world.spend(2)
    world.clock.advance(2 * 3600)
    await world.spend(2)
    found = world.desk().state().forecast
    assert (found.days, found.middle_micro) == (0, 4 * MICRO + 2 * MICRO * (4 * 24 + 2))
    world.clock.advance(12 * 3600)
    await world.spend(10)
    found = world.desk().state().forecast
    assert (found.days, found.middle_micro) == (0, 14 * MICRO + MICRO * (3 * 24 + 14)), (
        "a day of four hours"
    )


async def test_what_is_spent_and_where_it_ends_is_among_the_metrics_without_a_budget() -> None:
    world = World(JUNE + 10 * DAY_SECONDS)
    who = (Dimension("ann", workflow="films"), Dimension("bob"))
    for dimension, gigabytes in zip(who, (1004, 507), strict=True):
        used = {dimension: Amounts.of({Meter.INGRESS_BYTES: gigabytes * 10**7})}
        await world.ledger.note(int(world.clock.now()), used)
    metrics, desk = Registry(), world.desk()
    broken = False

    async def stand() -> BudgetState:
        if broken:
            raise LedgerUnusable("no")
        return desk.state()

    priced = False
    prospect = Prospect(stand, world.clock, priced=lambda: priced)
    prospect.declare(metrics)
    await prospect.look()
    assert "skerry_cost_spent{" not in metrics.expose(), "nothing has a price yet"
    priced = True  # as a reload brings it
    await prospect.look()
    told = metrics.expose()
    assert 'skerry_cost_spent{tenant="ann"} 1\n' in told, "1.004, to the hundredth"
    assert 'skerry_cost_spent{tenant="bob"} 0.51\n' in told
    assert 'skerry_cost_workflow_spent{workflow="films"} 1\n' in told
    assert 'workflow=""' not in told
    ends = desk.state().forecast
    assert f'skerry_cost_forecast{{bound="high"}} {ends.high_micro / MICRO:g}' in told
    broken = True
    await prospect.look()
    assert "skerry_cost_spent{" not in metrics.expose(), "an old number is no number"


async def test_warming_pauses_while_money_goes_faster_than_time_and_holds_while_blind() -> None:
    world = World(JUNE + 3 * DAY_SECONDS)  # a tenth of the month

    async def paused_after(amount: int, days: int = 0) -> bool:
        world.clock.advance(days * DAY_SECONDS)
        if amount:
            await world.spend(amount)
        await world.ladders.look()
        return world.ladders.warming_paused("ann")

    metrics = Registry()
    budget_metrics(metrics, world.ladders.statistics)

    def shown() -> dict[str, float | None]:
        families = {
            "spent": "skerry_budget_spent",
            "amount": "skerry_budget_amount",
            "burn": "skerry_budget_burn",
            "warming_paused": "skerry_budget_warming_paused",
            "blind": "skerry_budget_blind",
        }
        scope = '{scope="node"}'
        return {each: sample_of(metrics, f"{name}{scope}") for each, name in families.items()}

    assert not await paused_after(9)
    assert await paused_after(2), "11 % of the money in 10 % of the time"
    assert shown() == {"spent": 11, "amount": 100, "burn": 1.1, "warming_paused": 1, "blind": 0}
    world.blind = True
    assert await paused_after(0, 3), "what cannot be seen changes nothing"
    assert (shown()["blind"], shown()["warming_paused"]) == (1, 1)
    world.blind = False
    assert not await paused_after(0), "11 % in 20 %"
    assert await paused_after(20)
    assert await paused_after(0, 4), "31 % in 33 %: not well over yet"
    assert not await paused_after(0, 1), "31 % in 37 %"
    kinds = [event.kind for event in world.events.recent() if "warming" in event.kind]
    assert kinds == ["budget.warming_paused", "budget.warming_resumed"] * 2
    assert world.ladders.statistics()[0].burn == 31 * 30 * 10**6 // (11 * 100)
    assert (shown()["blind"], shown()["warming_paused"]) == (0, 0)
    period = sample_of(metrics, 'skerry_budget_period_seconds{scope="node"}')
    assert period == 30 * DAY_SECONDS
