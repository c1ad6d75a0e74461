"""`skerry drill` as an operator sees it: no network, no other program, a table and an exit code."""

from __future__ import annotations

import json
import signal
import time
import tomllib
from collections import Counter
from pathlib import Path

import pytest
from typer.testing import CliRunner

from skerry.app.drill import run as drill
from skerry.app.drill.loop import LoopThread
from skerry.app.drill.processes import SKERRY, Child
from skerry.app.drill.report import Measured, Promise
from skerry.app.telemetry.drills_file import DrillsFile
from skerry.base.errors import BadInput
from skerry.cli.main import make_app
from skerry.telemetry.core.incidents import Incident, Lost, Measure, Origin
from tests.rig.nodes import settings as settings_of_a_node
from tests.rig.processes import Rig
from tests.rig.prometheus import over
from tests.rig.telling import plain

CUT_ALERTS = {"SkerryCutOff", "SkerryErrorBudgetBurn", "SkerryTrickleFails"}
"""What may fire while the drill's node is cut off, and asked for names nobody has seen."""


def test_the_drill_keeps_every_promise_and_leaves_nothing_behind(tmp_path: Path, rig: Rig) -> None:
    """Debian's Prometheus looks on, with rules six hundred times as fast."""
    data, place = tmp_path / "data", tmp_path / "drill"
    data.mkdir()
    config = tmp_path / "skerry.toml"
    config.write_text(f'[node]\nname = "rock"\ndata_dir = "{data}"\n')
    argv = [*SKERRY, "drill", "--json", "--data-dir", str(place), "--config", str(config)]
    # Nothing of the machine's own is needed, and no proxy of the machine is asked.
    environment = {"PATH": "", "HTTP_PROXY": "http://127.0.0.1:1"}
    began = time.time()
    child = Child(argv, log=tmp_path / "said", environment=environment)
    try:
        settings = place / "node" / "skerry.toml"
        child.wait_until(lambda: settings.exists() and "admin = " in settings.read_text())
        admin = tomllib.loads(settings.read_text())["doors"]["admin"]
        prometheus = over(rig, admin, factor=600, every="250ms")
        ends_with_it(child, seconds_max=120)
    finally:
        code = child.stop()
    assert code == 0, child.log_tail()
    said = json.loads((tmp_path / "said").read_text())
    broken = [row for row in said["promises"] if not row["kept"]]
    assert not broken
    scenes = {row["scene"] for row in said["promises"]}
    assert scenes >= {"refused", "silent", "1 byte/s", "answers 503", "name gone", "healed"}
    assert list(place.iterdir()) == []
    known = DrillsFile(data).read_new()
    lost = Counter(each.lost for each in known)
    assert lost == {Lost.UPSTREAM: 5, Lost.NODE: 5, Lost.RELEASE: 1}
    assert all(each.origin is Origin.DRILL and not each.open for each in known)
    assert all(each.interrupted_seconds < 1 for each in known if each.lost is Lost.UPSTREAM)
    [release] = [each for each in known if each.lost is Lost.RELEASE]
    assert 0 < (release.seconds(Measure.ROLLBACK) or 0) < 10

    fired = prometheus.fired(began, time.time())
    assert fired.keys() >= {"SkerryCutOff", "SkerryErrorBudgetBurn"}
    others = fired.keys() - CUT_ALERTS - {"SkerryHorizonNear"}
    assert not others, "what is here was served well all along"
    first_cut = min(each.began_at for each in known if each.lost is Lost.UPSTREAM)
    cut_off = [at for name, (at, _) in fired.items() if name in CUT_ALERTS]
    assert min(cut_off) >= int(first_cut), "nothing of it before the first cut"


def ends_with_it(child: Child, *, seconds_max: float) -> None:
    """Until it has ended by itself. Raises TimeoutExpired."""
    deadline = time.monotonic() + seconds_max
    while child.alive and time.monotonic() < deadline:
        time.sleep(0.05)


def test_what_a_drill_found_is_the_same_in_the_metrics_and_the_command(
    tmp_path: Path, rig: Rig
) -> None:
    """Shares of incidents recovered in time, time to local service and to rollback (S0)."""
    node = rig.node(settings_of_a_node("http://127.0.0.1:9"))
    file = DrillsFile(node.folder / "data")
    at = time.time() - 60
    found = [
        Incident(
            Lost.UPSTREAM,
            f"drill: {slow}",
            at,
            at,
            good_at=at + slow,
            back_at=at + 9,
            interrupted_seconds=slow,
            origin=Origin.DRILL,
        )
        for slow in (0.1, 0.2, 7.0)
    ]
    for lost, slow in ((Lost.NODE, 1.5), (Lost.RELEASE, 0.75)):
        back = at + slow
        found.append(
            Incident(lost, "drill", at, at, good_at=back, back_at=back, origin=Origin.DRILL)
        )
    file.add(found)
    ran = CliRunner().invoke(make_app(), ["incidents", "--json", "--config", str(node.config)])
    told = [each for each in json.loads(ran.stdout)["objectives"] if each["origin"] == "drill"]
    series = plain(node)
    counted = 0
    for row in told:
        of = {"lost": row["lost"], "origin": "drill", "measure": row["measure"]}
        for within, count in (
            ("yes", row["kept_count"]),
            ("no", row["incident_count"] - row["kept_count"]),
        ):
            labels = frozenset({**of, "within": within}.items())
            assert series.get(("skerry_incidents_recovered_total", labels), 0) == count, row
        of_histogram = ("skerry_incident_recovery_seconds_count", frozenset(of.items()))
        assert series.get(of_histogram, 0) == row["incident_count"]
        counted += row["incident_count"]
    assert counted == 3 + 3 + 1 + 1
    [rollback] = [each for each in told if each["measure"] == "rollback"]
    took = {"lost": "release", "origin": "drill", "measure": "rollback"}
    assert rollback["worst_seconds"] == pytest.approx(0.75)
    assert series["skerry_incident_recovery_seconds_sum", frozenset(took.items())] == (
        pytest.approx(0.75)
    )


def test_a_broken_promise_is_shown_and_makes_the_drill_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(drill, "CUTS", drill.CUTS[:1])
    monkeypatch.setattr(drill, "CACHED_SECONDS", 0.0)  # nothing is that fast
    assert drill.run(data_dir=tmp_path, keep=True, json_output=False) == 1
    said = capsys.readouterr().out
    assert "BROKEN" in said
    assert "promised 0 s" in said
    assert (tmp_path / "node" / "skerry.toml").exists()


def test_a_promise_is_broken_by_a_fault_by_slowness_and_by_not_being_tried() -> None:
    good = Measured("tag", 0.5)
    assert Promise("x", "y", 1.0, (good,)).kept
    for measured in ((good, Measured("tag", 0.5, "404")), (Measured("tag", 2.0),), ()):
        assert not Promise("x", "y", 1.0, measured).kept


def test_a_folder_that_already_holds_a_node_is_left_alone(tmp_path: Path) -> None:
    precious = tmp_path / "node" / "precious"
    precious.parent.mkdir()
    precious.touch()
    with pytest.raises(BadInput, match="already has 'node'"):
        drill.run(data_dir=tmp_path, keep=False, json_output=False)
    assert precious.exists()


def test_the_loop_beside_takes_no_signal_that_the_drill_holds_back() -> None:
    """It would come while a node is born, and nobody would know of the node."""

    async def held() -> set[signal.Signals]:
        return {signal.Signals(each) for each in signal.pthread_sigmask(signal.SIG_BLOCK, ())}

    with LoopThread() as loop:
        assert loop.run(held()) >= {signal.SIGTERM, signal.SIGINT}


def test_a_terminated_drill_ends_its_nodes_and_removes_its_folder(tmp_path: Path) -> None:
    place = tmp_path / "drill"
    log = tmp_path / "log"
    child = Child([*SKERRY, "drill", "--data-dir", str(place)], log=log)
    child.wait_until(lambda: (place / "node" / "skerry.log").exists())
    assert child.stop(seconds_max=20) == 143
    assert list(place.iterdir()) == []
    commands = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline")]
    assert not [command for command in commands if str(place).encode() in command]
