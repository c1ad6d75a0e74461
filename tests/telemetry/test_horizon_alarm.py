"""The alarm speaks once for each thing near its end, and once when nothing is."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from skerry.telemetry.events import Events
from skerry.telemetry.horizon import Expires, Expiry, Horizon
from skerry.telemetry.horizon_alarm import HorizonAlarm
from skerry.telemetry.metrics import Registry

BELOW = 3600.0
CERTIFICATE, DOMAIN = Expires.TLS_CERTIFICATE, Expires.DOMAIN


@dataclass
class Scene:
    """A horizon over a dictionary of ends."""

    quiet: tuple[Expires, ...] = ()
    now: float = 0.0
    ends: dict[tuple[Expires, str], float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.events = Events(lambda: self.now)
        self.metrics = Registry()
        horizon = Horizon(lambda: self.now, self.metrics)
        horizon.add(lambda: [Expiry(kind, what, at) for (kind, what), at in self.ends.items()])
        self.alarm = HorizonAlarm(
            horizon,
            events=self.events,
            now=lambda: self.now,
            below_seconds=BELOW,
            quiet=self.quiet,
        )

    def look(self, at: float) -> list[str]:
        """What is told at a moment."""
        self.now = at
        before = len(self.events.recent())
        self.alarm.look()
        return [f"{e.kind} {e.subject}" for e in self.events.recent()[before:]]


def test_it_speaks_once_when_near_once_when_over_and_once_when_all_is_well() -> None:
    scene = Scene(ends={(CERTIFICATE, "door"): 10_000.0})
    assert scene.look(6_399) == []
    assert scene.look(6_401) == ["horizon.near door"]
    assert scene.look(9_999) == []
    assert scene.look(10_000) == ["horizon.passed door"]
    assert scene.look(12_000) == []
    scene.ends[CERTIFICATE, "door"] = 1e6
    assert scene.look(12_001) == ["horizon.clear horizon"]
    assert scene.look(12_002) == []
    told = scene.events.recent("horizon.near")[0]
    assert told.cause == "tls certificate ends in 60m"
    assert "renewed certificate" in told.next_step


def test_a_second_thing_is_told_of_while_the_first_is_still_near() -> None:
    scene = Scene(ends={(CERTIFICATE, "door"): 10_000.0, (DOMAIN, "example.org"): 11_000.0})
    assert scene.look(7_000) == ["horizon.near door"]
    assert scene.look(7_500) == ["horizon.near example.org"]
    scene.ends[CERTIFICATE, "door"] = 1e6
    assert scene.look(7_600) == []
    scene.ends.clear()
    assert scene.look(7_700) == ["horizon.clear horizon"]


def test_quiet_kinds_are_not_told_of_but_stay_in_the_gauge() -> None:
    scene = Scene(quiet=(CERTIFICATE,), ends={(CERTIFICATE, "door"): 10_000.0})
    assert scene.look(9_000) == []
    assert 'skerry_horizon_first_seconds{kind="tls_certificate"} 1000' in scene.metrics.expose()


def test_the_gauge_of_the_first_names_one_kind_alone() -> None:
    scene = Scene(ends={(DOMAIN, "example.org"): 50.0, (CERTIFICATE, "door"): 40.0})
    lines = [
        line
        for line in scene.metrics.expose().splitlines()
        if line.startswith("skerry_horizon_first_seconds{")
    ]
    assert lines == ['skerry_horizon_first_seconds{kind="tls_certificate"} 40']
    scene.ends.clear()
    assert "skerry_horizon_first_seconds{" not in scene.metrics.expose()


@given(st.lists(st.tuples(st.floats(1, 5000), st.booleans()), max_size=60))
def test_alarms_and_all_clear_take_turns_however_time_goes(steps: list[tuple[float, bool]]) -> None:
    scene = Scene(ends={(CERTIFICATE, "door"): 4000.0})
    now, since_clear = 0.0, list[str]()
    for seconds, renewed in steps:
        now += seconds
        if renewed:
            scene.ends[CERTIFICATE, "door"] = now + 4000.0
        said = [each.split()[0] for each in scene.look(now)]
        assert len(said) <= 1
        left = scene.ends[CERTIFICATE, "door"] - now
        if said == ["horizon.clear"]:
            assert left >= BELOW
            assert since_clear
            since_clear = []
        elif said:
            assert said == ["horizon.near" if left > 0 else "horizon.passed"]
            since_clear += said
        assert len(since_clear) == len(set(since_clear)), "nothing is said twice"
        assert bool(since_clear) == (left < BELOW), "and nothing is left unsaid"
