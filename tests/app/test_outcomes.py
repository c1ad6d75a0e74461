"""Orders and revenue of a workflow, from a shop's report to the month's."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from skerry.app.budget.outcomes import OutcomeTaken
from skerry.base.errors import SkerryError
from skerry.budget.core.outcomes import UnitFigures, unit_figures
from skerry.budget.core.usage import Amounts, Dimension, Meter
from skerry.cli.admin_client import AdminClient, NodeAddress
from tests.adapters.http_door import guarded
from tests.app.test_budget_node import Scene as Money


@pytest.fixture
async def money(tmp_path: Path) -> AsyncIterator[Money]:
    made = Money(tmp_path)
    await made.open()
    yield made
    await guarded(made.close())


async def test_what_an_order_costs_and_brings_reconciles_with_what_was_reported(
    money: Money,
) -> None:
    await guarded(money.get("film.example", *[f"/trailers/{number}" for number in range(5)] * 2))
    reports = [("a", 3, "60.00"), ("b", 1, "19.999999"), ("a", 3, "60.00"), ("r", -1, "-20.00")]
    told = []
    for key, orders, revenue in reports:
        words = ("outcomes", "add", "trailers", "--key", key, f"--orders={orders}")
        told.append(await money.run(*words, f"--revenue={revenue}"))
    assert ["counted" in each for each in told] == [True, True, False, True]
    await money.node.budget.beat()
    found = json.loads(await money.run("outcomes", "list", "--json"))
    (earned,) = found["earned"]
    assert (earned["report_count"], earned["orders"], earned["revenue_micro"]) == (3, 3, 59_999_999)

    async def cost() -> int:
        lines = json.loads(await money.run("costs", "--json"))["lines"]
        return sum(line["micro"] for line in lines if line["workflow"] == "trailers")

    before = await cost()  # it rises while we look: the disk is paid for by time
    (units,) = json.loads(await money.run("outcomes", "list", "--json"))["units"]
    assert 0 < before <= units["cost_micro"] <= await cost()
    assert (units["requests"], units["orders"], units["revenue_micro"]) == (10, 3, 59_999_999)
    assert units["revenue_per_order_micro"] == 20_000_000
    for words in (("report", "--json"), ("baseline", "trailers", "--json")):
        (same,) = json.loads(await money.run(*words))["units"]
        assert (same["orders"], same["revenue_micro"]) == (3, 59_999_999)
        assert same["cost_per_order_micro"] is not None
    for words in (("report",), ("baseline", "trailers"), ("outcomes", "list")):
        assert "20.000000 EUR" in await money.run(*words)
    assert "as they were closed" in await money.run("ledger", "verify")


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"key": "no key"}, "no key"),
        ({"key": ""}, "no key"),
        ({"workflow": "shop"}, "no workflow"),
        ({"currency": "USD"}, "another currency"),
        ({"orders": 10**10}, "more than a report may say"),
        ({"orders": 0, "revenue_micro": 0}, "nothing is reported"),
        ({"at": 5}, "too far away"),
        ({"orders": 1.5}, "not what is expected"),
        ({"customer": "ann"}, "not what is expected"),
    ],
)
async def test_what_is_no_report_is_refused(
    money: Money, change: dict[str, object], what: str
) -> None:
    token = (money.folder / "data" / "admin.token").read_text().strip()
    client = AdminClient(NodeAddress(f"http://127.0.0.1:{money.node.admin_port}", token))
    right = {"key": "k", "workflow": "trailers", "currency": "EUR", "orders": 1}
    with pytest.raises(SkerryError, match=what):
        await asyncio.to_thread(client.post, "/api/v1/outcomes", right | change, OutcomeTaken)
    assert not money.node.budget.ledger.earned(0, 1 << 40)


def test_without_orders_nothing_is_divided() -> None:
    who = Dimension("ann", workflow="shop")
    used = {who: Amounts.of({Meter.REQUESTS: 7})}
    found = unit_figures(used, (), (), workflows=["shop", "films"], currency="EUR")
    assert found == (
        UnitFigures("shop", 7, 0, 0, 0, 0, None, None),
        UnitFigures("films", 0, 0, 0, 0, None, None, None),
    )
