"""`skerry drill` as an operator sees it: no network, no other program, a table and an exit code."""

from __future__ import annotations

import json
import os
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from skerry.app.drill import run as drill
from skerry.app.drill.processes import SKERRY, Child
from skerry.app.drill.report import Measured, Promise
from skerry.app.telemetry.drills_file import DrillsFile
from skerry.base.errors import BadInput
from skerry.telemetry.core.incidents import Lost, Measure, Origin


def test_the_drill_keeps_every_promise_and_leaves_nothing_behind(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    config = tmp_path / "skerry.toml"
    config.write_text(f'[node]\nname = "rock"\ndata_dir = "{data}"\n')
    argv = [*SKERRY, "drill", "--json", "--data-dir", str(tmp_path / "drill")]
    argv += ["--config", str(config)]
    # Nothing of the machine's own is needed, and no proxy of the machine is asked.
    environment = {**os.environ, "PATH": "", "HTTP_PROXY": "http://127.0.0.1:1"}
    ran = subprocess.run(
        argv, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    said = json.loads(ran.stdout)
    broken = [row for row in said["promises"] if not row["kept"]]
    assert not broken
    scenes = {row["scene"] for row in said["promises"]}
    assert scenes >= {"refused", "silent", "1 byte/s", "answers 503", "name gone", "healed"}
    assert list((tmp_path / "drill").iterdir()) == []
    known = DrillsFile(data).read_new()
    lost = Counter(each.lost for each in known)
    assert lost == {Lost.UPSTREAM: 5, Lost.NODE: 5, Lost.RELEASE: 1}
    assert all(each.origin is Origin.DRILL and not each.open for each in known)
    assert all(each.interrupted_seconds < 1 for each in known if each.lost is Lost.UPSTREAM)
    [release] = [each for each in known if each.lost is Lost.RELEASE]
    assert 0 < (release.seconds(Measure.ROLLBACK) or 0) < 10


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


def test_a_terminated_drill_ends_its_nodes_and_removes_its_folder(tmp_path: Path) -> None:
    place = tmp_path / "drill"
    log = tmp_path / "log"
    child = Child([*SKERRY, "drill", "--data-dir", str(place)], log=log)
    child.wait_until(lambda: (place / "node" / "skerry.log").exists())
    assert child.stop(seconds_max=20) == 143
    assert list(place.iterdir()) == []
    commands = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline")]
    assert not [command for command in commands if str(place).encode() in command]
