"""A whole node counts: command line, metrics and ledger say the same, to the unit."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from decimal import Decimal
from pathlib import Path

import pytest
from typer.testing import CliRunner

from skerry.app.drill.processes import Setting, toml_text
from skerry.app.node import Node
from skerry.app.settings.load import load
from skerry.budget.core.money import MICRO
from skerry.budget.core.usage import METERS, Amounts, Dimension, Hour, Meter, total, totals
from skerry.cli.main import make_app
from skerry.dashboard.words import money
from tests.adapters.http_door import Client, guarded
from tests.app.test_reload import Origin

PRICES = "".join(
    f'[[price]]\nmeter = "{meter}"\nprice = "{price}"\nunit = "{unit}"\nperiod = "{period}"\n'
    'currency = "EUR"\nvalid_from = 2020-01-01\n'
    for meter, price, unit, period in (
        ("egress", "0.0873", "MB", "use"),
        ("ingress", "0.31", "MB", "use"),
        ("requests", "0.4", "1000 requests", "use"),
        ("pulls", "0.7", "1000 pulls", "use"),
        ("storage", "900", "GB", "hour"),
        ("cpu", "0.3", "CPU-second", "use"),
        ("node", "3600", "node", "hour"),
    )
)
FILM, SHOP = "film.example", "shop.example"


class Scene:
    """A node with two sites of two tenants."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.film, self.shop = Origin("film"), Origin("shop")
        self.node: Node

    def settings(self) -> dict[str, Setting]:
        def site(origin: Origin, host: str, tenant: str, *routes: object) -> dict[str, object]:
            return {"hosts": [host], "origins": [origin.url], "plain_http": True,
                    "tenant": tenant, "route": list(routes)}  # fmt: skip

        public = {"prefix": "/", "data_class": "public"}
        return {
            "node": {"name": "rock", "data_dir": str(self.folder / "data")},
            "telemetry": {"sensitive_group_min": 1},  # or a handful would wait for more
            "doors": {"registry": "127.0.0.1:0", "edge": "127.0.0.1:0", "admin": "127.0.0.1:0"},
            "budget": {
                "prices_file": str(self.folder / "prices.toml"),
                "tenant": [{"name": "ann"}, {"name": "bob"}],
                "workflow": [{"name": "trailers", "routes": [f"{FILM}/trailers"]}],
            },
            "site": [
                site(self.film, FILM, "ann", public, {**public, "prefix": "/trailers"}),
                site(self.shop, SHOP, "bob", public, {"prefix": "/basket"}),
            ],
        }  # type: ignore[return-value]

    async def open(self) -> None:
        await self.film.start()
        await self.shop.start()
        (self.folder / "prices.toml").write_text(PRICES)
        config = self.folder / "skerry.toml"
        config.write_text(toml_text(self.settings()))
        self.node = Node(load(config, {}, {}))
        await self.node.start()

    async def close(self) -> None:
        await self.node.stop()
        self.film.server.close()
        self.shop.server.close()

    async def get(self, host: str, *paths: str) -> None:
        """One connection, one request after the other."""
        connection = await asyncio.open_connection("127.0.0.1", self.node.edge_port)
        client = Client(*connection)
        for path in paths:
            await client.send(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            assert (await client.answer()).status == 200
        connection[1].close()

    async def run(self, *words: str) -> str:
        """The command line, in a thread of its own."""
        door = f"http://127.0.0.1:{self.node.admin_port}"
        token = (self.folder / "data" / "admin.token").read_text().strip()
        env = {"SKERRY_ADMIN": door, "SKERRY_ADMIN_TOKEN": token}
        done = await asyncio.to_thread(CliRunner().invoke, make_app(), list(words), env=env)
        assert done.exit_code == 0, done.output
        return done.output


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    made = Scene(tmp_path)
    await made.open()
    yield made
    await guarded(made.close())


def metered(scene: Scene, name: str, **labels: str) -> int:
    family = next(each for each in scene.node.metrics.families() if each.name == name)
    series = scene.node.metrics.counted(name)
    wanted = [family.labels.index(label) for label in labels]
    return int(
        sum(
            value
            for values, value in series.items()
            if all(values[at] == labels[family.labels[at]] for at in wanted)
        )
    )


def lines(text: str) -> Iterator[tuple[tuple[str, str, str], dict[str, int]]]:
    for line in json.loads(text)["lines"]:
        yield (line["tenant"], line["site"] + line["route"], line["workflow"]), line["used"]


async def test_command_line_metrics_and_ledger_agree_to_the_unit(scene: Scene) -> None:
    await guarded(scene.get(FILM, *["/a"] * 40, *["/b"] * 7))
    await guarded(scene.get(FILM, *[f"/trailers/{number}" for number in range(5)] * 3))
    await guarded(scene.get(SHOP, *["/x"] * 11, *["/basket/1"] * 6))
    await scene.node.budget.beat()

    told = await scene.run("costs", "--json")
    found = json.loads(told)
    used = dict(lines(told))
    film, trailers = used["ann", f"{FILM}/", ""], used["ann", f"{FILM}/trailers", "trailers"]
    shop, basket = used["bob", f"{SHOP}/", ""], used["bob", f"{SHOP}/basket", ""]
    assert (film["requests"], film["hits"], film["misses"]) == (47, 45, 2)
    assert (trailers["requests"], trailers["hits"], trailers["misses"]) == (15, 10, 5)
    assert (shop["requests"], shop["hits"], shop["misses"]) == (11, 10, 1)
    assert (basket["requests"], basket["passes"]) == (6, 6)
    assert "hits" not in basket

    ledger = total(totals(scene.node.budget.ledger.hours(0, 1 << 40)).values())
    for meter, name, labels in (
        (Meter.REQUESTS, "skerry_edge_requests", {}),
        (Meter.HITS, "skerry_edge_requests", {"outcome": "hit"}),
        (Meter.EGRESS_BYTES, "skerry_edge_answer_bytes", {}),
        (Meter.SAVED_BYTES, "skerry_edge_answer_bytes", {"outcome": "hit"}),
        (Meter.PULLS, "skerry_upstream_requests", {}),
        (Meter.INGRESS_BYTES, "skerry_upstream_received_bytes", {}),
    ):
        assert ledger[meter] == metered(scene, name, **labels), meter
        assert sum(each.get(meter.value, 0) for each in used.values()) == ledger[meter], meter
    asked = len(scene.film.asked) + len(scene.shop.asked)
    assert ledger[Meter.PULLS] == asked == 2 + 5 + 1 + 6
    assert trailers["pulls"] == 5

    assert sum(found["tenants"].values()) == found["spent_micro"] > 0
    assert sum(line["micro"] for line in found["lines"]) == found["spent_micro"]
    rows = csv.DictReader(io.StringIO(await scene.run("ledger", "export")))
    assert sum(Decimal(row["BilledCost"]) for row in rows) * MICRO == found["spent_micro"]


async def test_the_ledger_goes_on_where_the_node_before_ended(scene: Scene) -> None:
    await guarded(scene.get(FILM, "/a", "/a", "/a"))
    await scene.node.stop()
    node = Node(load(scene.folder / "skerry.toml", {}, {}))
    await node.start()
    scene.node = node
    await guarded(scene.get(FILM, "/a", "/a"))
    await node.budget.beat()
    used = dict(lines(await scene.run("costs", "--json")))["ann", f"{FILM}/", ""]
    assert (used["requests"], used["hits"]) == (5, 4)
    assert "as they were closed" in await scene.run("ledger", "verify")


async def test_a_node_whose_ledger_is_damaged_serves_all_the_same(scene: Scene) -> None:
    await scene.node.stop()
    (scene.folder / "data" / "ledger.sqlite").write_bytes(b"nothing of the kind" * 400)
    scene.node = Node(load(scene.folder / "skerry.toml", {}, {}))
    await scene.node.start()
    await guarded(scene.get(FILM, "/a"))
    (event,) = scene.node.events.recent("file.salvaged")
    assert event.subject == "ledger.sqlite"
    assert "kept as ledger.sqlite.damaged-1" in event.next_step
    await scene.node.budget.beat()
    assert totals(scene.node.budget.ledger.hours(0, 1 << 40)) != {}


async def test_what_the_registry_answers_is_counted_for_its_upstream(scene: Scene) -> None:
    connection = await asyncio.open_connection("127.0.0.1", scene.node.registry_port)
    client = Client(*connection)
    for path, status in (("/v2/", 200), ("/v2/ghcr.io/a/b/blobs/sha256:0", 400)):
        await client.send(f"GET {path} HTTP/1.1\r\nHost: n\r\n\r\n".encode())
        assert (await guarded(client.answer())).status == status
    await scene.node.budget.beat()
    used = total(totals(scene.node.budget.ledger.hours(0, 1 << 40)).values())
    assert used != Amounts()
    assert used[Meter.REQUESTS] == metered(scene, "skerry_registry_answers")


async def test_the_first_page_tells_the_money_that_the_ledger_has(scene: Scene) -> None:
    await scene.get(FILM, "/a", "/b", "/a")
    await scene.node.budget.beat()
    told = json.loads(await scene.run("top", "--json"))
    costs = scene.node.budget.books.costs(None)
    assert costs.spent_micro > 0
    [tile] = [each for each in told["tiles"] if each["question"] == "What does it cost?"]
    assert tile["answer"] == f"{money(costs.spent_micro, 'EUR')} so far"


async def test_no_month_of_the_ledger_is_read_where_it_would_hold_up_everybody(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger, on_the_loop = scene.node.budget.ledger, []
    read = ledger.hours

    def hours(start: int, stop: int) -> Sequence[Hour]:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            on_the_loop.append(False)
        else:
            on_the_loop.append(True)
        return read(start, stop)

    monkeypatch.setattr(ledger, "hours", hours)
    token = (scene.folder / "data" / "admin.token").read_text().strip()
    connection = await asyncio.open_connection("127.0.0.1", scene.node.admin_port)
    client = Client(*connection)
    fields = f"Host: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n\r\n"
    for path in ("ledger", "ledger?month=2020-01", "ledger/focus", "costs", "report", "budget"):
        await client.send(f"GET /api/v1/{path} HTTP/1.1\r\n{fields}".encode())
        assert (await client.answer()).status == 200, path
    connection[1].close()
    assert len(on_the_loop) >= 6
    assert not any(on_the_loop)


async def test_a_month_that_is_exported_and_tried_costs_what_the_node_tells(scene: Scene) -> None:
    await guarded(scene.get(FILM, *["/a"] * 9, "/trailers/1", "/b"))
    await guarded(scene.get(SHOP, *["/x"] * 5, "/basket/1"))
    every = Amounts.of({meter: 10**6 + place for place, meter in enumerate(METERS)})
    bucket = scene.node.budget.now // 60 * 60
    await scene.node.budget.ledger.note(bucket, {Dimension("bob", workflow="sums"): every})
    for _ in range(20):  # the node goes on counting: neither may be older than the other
        await scene.node.budget.beat()
        written = await scene.run("ledger", "export", "--format", "usage")
        told = json.loads(await scene.run("costs", "--json"))
        after = json.loads(await scene.run("ledger", "export", "--format", "usage"))
        if after["hours"] == json.loads(written)["hours"]:
            break
    usage = scene.folder / "usage.json"
    usage.write_text(written)
    await scene.node.stop()  # it is not needed any more
    words = "budget", "try", str(usage), "--config", str(scene.folder / "skerry.toml"), "--json"
    found = json.loads(await scene.run(*words))
    assert found["bill"]["spent_micro"] == told["spent_micro"] > 0
    assert found["bill"]["tenants"] == told["tenants"]
    assert found["bill"]["prices"] == told["prices"]
    assert len(told["prices"]) == PRICES.count("[[price]]"), "every price has something to be of"
    assert (found["node"], found["bill"]["currency"]) == ("rock", told["currency"])
    assert found["broken"] == []


async def test_usage_tells_which_rungs_held_while_it_was_made(scene: Scene) -> None:
    await guarded(scene.node.stop())
    settings = scene.settings()
    settings["budget"]["tenant"] = [{"name": "ann"}, {"name": "bob", "amount": "0.000001"}]  # type: ignore[index]
    (scene.folder / "skerry.toml").write_text(toml_text(settings))
    scene.node = Node(load(scene.folder / "skerry.toml", {}, {}))
    await scene.node.start()
    used = {Dimension("bob", SHOP, "/"): Amounts.of({Meter.EGRESS_BYTES: 10**9})}
    await scene.node.budget.ledger.note(scene.node.budget.now // 60 * 60, used)
    await scene.node.budget.look()
    usage = scene.folder / "usage.json"
    usage.write_text(await scene.run("ledger", "export", "--format", "usage"))
    tried = await scene.run(
        "budget", "try", str(usage), "--prices", str(scene.folder / "prices.toml")
    )
    assert "cached_only was entered by the budget of bob" in " ".join(tried.split())
