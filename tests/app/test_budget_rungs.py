"""What a node lets go of, rung by rung, seen from outside; and that it holds over a restart."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from skerry.app.drill.processes import Setting, toml_text
from skerry.app.node import Node
from skerry.app.settings.load import load
from skerry.base.clock import SystemClock
from skerry.budget.core.ladder import Rung
from skerry.budget.core.usage import NODE, Amounts, Meter
from skerry.cdn.core.prewarm import PrewarmEvent, Step
from skerry.cli.admin_client import AdminClient, NodeAddress
from skerry.cli.main import make_app
from skerry.wire.message import Headers
from tests.adapters.http_door import Client, guarded
from tests.app.test_reload import Origin
from tests.rig.http import Asked, Reply, TinyServer

PRICES = """
[[price]]
meter = "pulls"
price = "1.00"
unit = "1000 pulls"
period = "use"
currency = "EUR"
valid_from = 2020-01-01
"""
HOST, UPSTREAM = "www.example", "up.test"


class Later(SystemClock):
    """The machine's clock, and so many seconds more."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def now(self) -> float:
        return super().now() + self._seconds


async def _taken(asked: Asked, writer: asyncio.StreamWriter) -> Reply:
    return Reply(204)


class Scene:
    """A node that may spend 1.00, and every thousandth of it is a pull."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.origin = Origin("origin")
        self.pager = TinyServer(_taken)
        self.node: Node

    def settings(self) -> dict[str, Setting]:
        def route(prefix: str, **more: object) -> dict[str, object]:
            return {"prefix": prefix, "data_class": "public", **more}

        routes = [route("/"), route("/low", priority="low"), route("/care", priority="protected"),
                  {"prefix": "/private", "methods": ["GET", "POST"]}]  # fmt: skip
        source = {"url": self.origin.url, "plain_http": True}
        return {
            "alarms": {"webhook": [{"url": f"{self.pager.url}/hook", "plain_http": True}]},
            "node": {"name": "rock", "data_dir": str(self.folder / "data")},
            "doors": {"registry": "127.0.0.1:0", "edge": "127.0.0.1:0", "admin": "127.0.0.1:0"},
            "budget": {
                "prices_file": str(self.folder / "prices.toml"),
                "amount": "1.00",
                "workflow": [{"name": "pages", "routes": [HOST]}],
            },
            "upstream": [{"name": UPSTREAM, "source": [source]}],
            "site": [{"hosts": [HOST], "origins": [self.origin.url], "plain_http": True,
                      "route": routes}],
        }  # type: ignore[dict-item] # fmt: skip

    async def open(self) -> None:
        await self.origin.start()
        await self.pager.start()
        (self.folder / "prices.toml").write_text(PRICES)
        (self.folder / "skerry.toml").write_text(toml_text(self.settings()))
        await self.start()

    async def start(self, clock: SystemClock | None = None) -> None:
        self.node = Node(load(self.folder / "skerry.toml", {}, {}), clock=clock)
        await self.node.start()

    async def close(self) -> None:
        await self.node.stop()
        await self.pager.close()
        self.origin.server.close()

    @property
    def env(self) -> dict[str, str]:
        """Where the command line finds the node."""
        token = (self.folder / "data" / "admin.token").read_text().strip()
        door = f"http://127.0.0.1:{self.node.admin_port}"
        return {"SKERRY_ADMIN": door, "SKERRY_ADMIN_TOKEN": token}

    async def run(self, *words: str) -> str:
        """The command line, in a thread of its own."""
        done = await asyncio.to_thread(CliRunner().invoke, make_app(), list(words), env=self.env)
        assert done.exit_code == 0, done.output
        return done.output

    async def spend(self, thousandths: int) -> None:
        """As much more than is spent already, all at once."""
        used = {NODE: Amounts.of({Meter.PULLS: thousandths})}
        await self.node.budget.ledger.note(self.node.budget.now // 60 * 60, used)
        await self.node.budget.look()

    @property
    def rung(self) -> int:
        return self.node.budget.ladders()[0].rung

    async def ask(self, port: int, head: str) -> tuple[int, Headers, bytes]:
        connection = await asyncio.open_connection("127.0.0.1", port)
        client = Client(*connection)
        await client.send(f"{head}\r\n\r\n".encode())
        got = await guarded(client.answer())
        connection[1].close()
        return got.status, got.headers, got.body

    async def get(self, path: str, method: str = "GET") -> tuple[int, Headers, bytes]:
        head = f"{method} {path} HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 0"
        return await self.ask(self.node.edge_port, head if method == "POST" else head[:-19])

    async def pull(self, path: str) -> tuple[int, Headers, bytes]:
        return await self.ask(self.node.registry_port, f"GET {path} HTTP/1.1\r\nHost: n")


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    made = Scene(tmp_path)
    await made.open()
    yield made
    await guarded(made.close())


async def refused(scene: Scene, path: str, method: str = "GET") -> Headers:
    asked = len(scene.origin.asked)
    status, headers, body = await scene.get(path, method)
    assert status == 503
    assert len(scene.origin.asked) == asked, "nothing went out"
    assert headers.get("Retry-After") == "600"
    assert "connection_limit_reached" in (headers.get("Proxy-Status") or "")
    assert b"Nothing that is not stored here" in body
    return headers


async def test_on_the_shedding_rung_low_misses_are_refused_and_nothing_else(scene: Scene) -> None:
    assert (await scene.get("/low/kept"))[0] == 200
    await scene.spend(899)
    assert (await scene.get("/low/before"))[0] == 200
    await scene.spend(1)
    assert scene.rung == Rung.SHED_LOW
    await refused(scene, "/low/new")
    assert (await scene.get("/low/kept"))[0] == 200
    assert (await scene.get("/normal"))[0] == (await scene.get("/care/a"))[0] == 200


async def test_on_the_last_rung_only_what_is_here_is_served_but_for_what_is_protected(
    scene: Scene,
) -> None:
    for path in ("/kept", "/low/kept"):
        assert (await scene.get(path))[0] == 200
    await scene.spend(1000)
    assert scene.rung == Rung.CACHED_ONLY
    for path in ("/kept", "/low/kept", "/kept"):
        status, headers, _ = await scene.get(path)
        assert (status, "hit" in headers.joined("Cache-Status")) == (200, True)
    for path in ("/new", "/low/new", "/private/a"):
        await refused(scene, path)
    await refused(scene, "/private/a", "POST")
    assert (await scene.get("/care/new"))[0] == 200


async def test_on_the_last_rung_upstreams_are_not_asked_either(scene: Scene) -> None:
    await scene.spend(1000)
    blob = f"/v2/{UPSTREAM}/team/tide/blobs/sha256:{'a' * 64}"
    for path, seconds in ((f"/v2/{UPSTREAM}/team/tide/manifests/1", "600"), (blob, "5")):
        status, headers, body = await scene.pull(path)
        assert (status, headers.get("Retry-After")) == (503, seconds)
        assert b"budget" in body
    assert scene.origin.asked == []


async def test_status_says_on_the_last_rung_that_the_budget_holds_upstream_work_back(
    scene: Scene,
) -> None:
    await scene.spend(999)
    assert "no upstream asked yet" in (await scene.run("status")).splitlines()[0]
    await scene.spend(1)
    headline = "the budget holds upstream work back, serving from here"
    asked_never = await scene.run("status")
    assert headline in asked_never.splitlines()[0]
    assert "upstream  Not asked now: The budget holds upstream work back" in asked_never
    assert (await scene.get("/care/new"))[0] == 200, "protected, so its origin is heard"
    assert headline in (await scene.run("status")).splitlines()[0]


async def test_what_was_let_go_of_stays_so_over_a_restart_and_comes_back(scene: Scene) -> None:
    await scene.spend(1000)
    await scene.node.stop()
    await scene.start()
    assert scene.rung == Rung.CACHED_ONLY, "before anything is metered"
    await refused(scene, "/new")
    await scene.node.stop()
    text = toml_text(scene.settings()).replace('"1.00"', '"5.00"')
    (scene.folder / "skerry.toml").write_text(text)
    await scene.start()
    await scene.node.budget.look()
    assert scene.rung == Rung.NONE
    assert (await scene.get("/new"))[0] == 200


async def test_nothing_is_fetched_ahead_from_its_rung_on(scene: Scene) -> None:
    async def prewarm(path: str) -> str:
        door = f"http://127.0.0.1:{scene.node.admin_port}"
        token = (scene.folder / "data" / "admin.token").read_text().strip()
        client = AdminClient(NodeAddress(door, token))
        body = {"list": f"http://{HOST}{path}"}

        def run() -> list[PrewarmEvent]:
            return list(client.stream("/api/v1/prewarm", body, PrewarmEvent))

        steps = await guarded(asyncio.to_thread(run))
        assert steps[-1].step is Step.DONE
        return " ".join(each.what for each in steps)

    assert "budget" not in await prewarm("/ahead/1")
    await scene.spend(800)
    assert scene.rung == Rung.NO_WARMING
    assert "too much of the budget is spent" in await prewarm("/ahead/2")
    assert set(scene.origin.asked) == {"/ahead/1"}
    assert (await scene.get("/normal"))[0] == 200


async def test_longer_fresh_serves_what_is_stored_four_times_as_long_and_goes_back(
    scene: Scene,
) -> None:
    """The origin says 600 s."""

    async def asks(path: str) -> bool:
        before = len(scene.origin.asked)
        assert (await scene.get(path))[0] == 200
        return len(scene.origin.asked) > before

    assert await asks("/kept")
    assert await asks("/care/kept")
    await scene.node.stop()
    await scene.start(Later(1000.0))
    await scene.spend(850)
    assert scene.rung == Rung.LONGER_FRESH
    assert not await asks("/kept"), "fresh until 2400 s"
    assert await asks("/care/kept"), "what is protected is as ever"
    await scene.node.stop()
    await scene.start(Later(2500.0))
    assert scene.rung == Rung.LONGER_FRESH, "it was kept"
    assert await asks("/kept"), "four times, not for ever"
    await scene.node.stop()
    text = toml_text(scene.settings()).replace('"1.00"', '"50.00"')
    (scene.folder / "skerry.toml").write_text(text)
    await scene.start(Later(3500.0))
    await scene.node.budget.look()
    assert scene.rung == Rung.NONE
    assert await asks("/kept"), "600 s again"


async def test_each_rung_is_entered_once_alarms_once_and_leaves_what_is_protected(
    scene: Scene,
) -> None:
    reached = []
    for more in (500, 300, 50, 50, 100):
        await scene.spend(more)
        await scene.node.budget.look()
        reached.append(scene.rung)
        await scene.node.budget.alarm_desk.look()
        assert (await scene.get(f"/care/{scene.rung}"))[0] == 200
    assert reached == [1, 2, 3, 4, 5]
    told = [json.loads(asked.body)["what"] for asked in scene.pager.log.asked]
    shares = ("0.50", "0.80", "0.85", "0.90", "1.00")
    assert [each.split()[0] for each in told] == list(shares)
    assert scene.origin.asked == [f"/care/{rung}" for rung in reached]


async def test_rungs_are_told_of_as_events_once(scene: Scene) -> None:
    await scene.spend(810)
    await scene.node.budget.look()
    told = [event.cause.partition(":")[0] for event in scene.node.events.recent("budget.rung")]
    assert told == ["notice", "no_warming"]


async def test_each_rung_pages_once_over_an_outage_and_a_restart(scene: Scene) -> None:
    def paged() -> list[str]:
        told = [json.loads(asked.body) for asked in scene.pager.log.asked]
        return [each["what"].partition(" are spent")[0] for each in told]

    async def look() -> None:
        await scene.node.budget.look()
        await scene.node.budget.alarm_desk.look()

    await scene.spend(500)
    await look()
    assert paged() == ["0.50 EUR of 1.00 EUR"]
    port = scene.pager.port
    await scene.pager.close()
    await scene.spend(300)
    await look()
    await scene.node.stop()
    await scene.pager.start(port)
    await scene.start()
    for _ in range(3):
        await look()
    assert scene.rung == Rung.NO_WARMING
    assert paged() == ["0.50 EUR of 1.00 EUR"], "it waits a while before it tries again"
    scene.node.clock = Later(20.0)  # type: ignore[assignment]
    scene.node.budget.alarm_desk._outbox._clock = scene.node.clock  # type: ignore[union-attr]
    await look()
    await look()
    assert paged() == ["0.50 EUR of 1.00 EUR", "0.80 EUR of 1.00 EUR"]


async def test_the_command_line_tells_where_the_money_went(scene: Scene) -> None:
    await scene.get("/kept")
    await scene.spend(600)
    await scene.node.budget.beat()
    run = scene.run
    report = json.loads(await run("report", "--json", "--html", str(scene.folder / "r.html")))
    assert report["now_figures"]["cost_micro"] == 601_000
    assert report["dearest"][0]["what"] == f"{HOST}/"
    assert "<h1>rock" in (scene.folder / "r.html").read_text()
    baseline = json.loads(await run("baseline", "pages", "--json"))
    assert (baseline["figures"]["requests"], baseline["figures"]["cost_micro"]) == (1, 1000)
    assert "not measured" in baseline["rollback"]["words"]
    assert "hit ratio" in await run("baseline", "pages")
    for words, said in (
        (("report", "--month", "2999-01"), "2999-01 has not begun"),
        (("costs", "--month", "2999-01"), "2999-01 has not begun"),
        (("baseline", "pages", "--days", "0"), "'0' is no number of days"),
        (("report", "--html", str(scene.folder / "none" / "r.html")), "no such file or directory"),
    ):
        done = await asyncio.to_thread(CliRunner().invoke, make_app(), list(words), env=scene.env)
        assert said in done.output, words
    costs = await run("costs")
    assert "0.60 EUR of 1.00 EUR" in costs
    assert "rung notice: nothing is held back yet" in costs
    state = scene.node.budget.desk.state()
    assert state.spent_micro == 601_000
    assert state.ladders[0].name == "notice"
    assert state.forecast.middle_micro >= state.spent_micro
    assert "alarm.test" in await run("alarms", "test")
    await scene.node.budget.alarm_desk.look()
    assert "  127.0.0.1:" in await run("alarms", "ls")
    await scene.node.budget.look()
    await scene.node.budget.prospect.look()
    metrics = scene.node.metrics.expose()
    assert 'skerry_budget_spent{scope="node"} 0.601' in metrics
    assert 'skerry_cost_spent{tenant="node"} 0.6\n' in metrics
    assert "budget.prospect" in {task.get_name() for task in asyncio.all_tasks()}
    assert 'skerry_budget_rung{scope="node"} 1' in metrics
