"""The watch over what may be lost, second by second."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from skerry.adapters.sqlite_telemetry import SqliteTelemetry
from skerry.base.clock import ManualClock
from skerry.telemetry.core.incidents import Incident, Lost, Measure, Objective, Origin
from skerry.telemetry.events import Events
from skerry.telemetry.incident_watch import IncidentWatch, Seen
from skerry.telemetry.metrics import Registry
from skerry.telemetry.ports import TelemetryUnusable

OBJECTIVES = (
    Objective(Lost.UPSTREAM, Measure.INTERRUPTED, 2.0),
    Objective(Lost.UPSTREAM, Measure.LOCAL_SERVICE, 2.0),
)


@dataclass
class Scene:
    """One upstream and one node, as they are now."""

    clock: ManualClock = field(default_factory=ManualClock)
    silent: bool | None = None
    fault: str = ""
    book: SqliteTelemetry = field(
        default_factory=lambda: SqliteTelemetry(None, keep_seconds=1e9, bytes_max=1 << 30)
    )

    def __post_init__(self) -> None:
        self.began = self.clock.now()
        self.live()

    def live(self) -> None:
        """Another life of the node, over the same book."""
        self.events = Events(self.clock.now)
        self.metrics = Registry()
        self.watch = IncidentWatch(
            book=self.book,
            events=self.events,
            metrics=self.metrics,
            clock=self.clock,
            objectives=OBJECTIVES,
            outside=lambda: [Seen(Lost.UPSTREAM, "up.test", self.silent, cause="refused")],
            fault=lambda: self.fault,
        )
        self.watch.recall()

    async def look(self, seconds: int, *, silent: bool | None, fault: str = "") -> None:
        self.silent, self.fault = silent, fault
        for _ in range(seconds):
            self.clock.advance(1)
            await self.watch.look()

    def kinds(self) -> list[str]:
        return [event.kind for event in self.events.recent()]

    def sample(self, line: str) -> str:
        rows = [row for row in self.metrics.expose().splitlines() if row.startswith(f"{line} ")]
        return rows[0].rpartition(" ")[2] if rows else ""

    @property
    def incidents(self) -> Sequence[Incident]:
        return self.watch.incidents()


async def test_an_outage_is_one_incident_with_its_four_times() -> None:
    scene = Scene()
    await scene.look(5, silent=False)
    await scene.look(600, silent=True)
    [open_one] = scene.incidents
    assert open_one.open
    assert open_one.noticed_at == scene.began + 8, "two seconds after the first silent look"
    assert scene.sample('skerry_incidents_open{lost="upstream"}') == "1"
    await scene.look(60, silent=False)
    [incident] = scene.incidents
    assert incident.began_at == scene.began + 6
    assert incident.good_at == incident.began_at, "nobody was let down"
    assert incident.back_at == scene.began + 606
    assert scene.kinds() == ["outage.began", "outage.ended"]
    told = scene.events.recent()
    assert told[0].cause == "refused"
    assert "skerry status" in told[0].next_step
    assert scene.sample('skerry_incidents_open{lost="upstream"}') == "0"
    labels = 'lost="upstream",origin="real",measure="interrupted",within="yes"'
    assert scene.sample(f"skerry_incidents_recovered_total{{{labels}}}") == "1"


async def test_service_that_was_bad_meanwhile_is_on_record_by_the_second() -> None:
    scene = Scene()
    await scene.look(5, silent=False)
    await scene.look(8, silent=True, fault="answers from what is here came late")
    assert scene.sample("skerry_local_service_good") == "0"
    await scene.look(100, silent=True)
    await scene.look(11, silent=False)
    [incident] = scene.incidents
    assert incident.interrupted_seconds == 5, "from when it was noticed"
    assert incident.good_at == scene.began + 14
    assert not all(each.met for each in scene.watch.indicators())
    labels = 'lost="upstream",origin="real",measure="interrupted",within="no"'
    assert scene.sample(f"skerry_incidents_recovered_total{{{labels}}}") == "1"


async def test_a_node_that_stood_still_served_nobody() -> None:
    scene = Scene()
    await scene.look(10, silent=True)
    scene.clock.advance(20)
    await scene.watch.look()
    [incident] = scene.incidents
    assert incident.interrupted_seconds == 20
    assert "stood still" in scene.watch.statistics().fault


async def test_an_outage_goes_on_over_a_restart_until_somebody_has_heard_otherwise() -> None:
    scene = Scene()
    await scene.look(30, silent=True)
    scene.live()
    assert [each.what for each in scene.watch.statistics().open] == ["up.test"]
    await scene.look(60, silent=None)
    assert scene.incidents[0].open, "nobody has asked the upstream yet"
    await scene.look(11, silent=False)
    [incident] = scene.incidents
    assert incident.back_at == scene.began + 91
    assert scene.kinds() == ["outage.ended"], "one outage, not two"


async def test_what_nobody_asked_is_neither_lost_nor_there() -> None:
    scene = Scene()
    await scene.look(100, silent=None)
    assert not scene.incidents


async def test_a_drill_counts_once_and_apart() -> None:
    scene = Scene()
    at = scene.began
    drill = Incident(Lost.UPSTREAM, "refused", at, at, at, at + 9, 0.5, Origin.DRILL)
    assert await scene.watch.record(drill)
    assert not await scene.watch.record(drill)
    scene.live()
    assert len(scene.incidents) == 1
    assert scene.sample('skerry_incidents_total{lost="upstream",origin="drill"}') == "1"
    assert scene.sample('skerry_incidents_total{lost="upstream",origin="real"}') == ""


async def test_a_full_disk_does_not_end_the_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene()

    async def full(incident: Incident) -> Incident:
        raise TelemetryUnusable("the disk is full")

    monkeypatch.setattr(scene.book, "put", full)
    await scene.look(30, silent=True)
    await scene.look(30, silent=False)
    assert scene.kinds() == ["outage.began", "outage.ended"]
    assert scene.watch.statistics().unrecorded_count >= 2
