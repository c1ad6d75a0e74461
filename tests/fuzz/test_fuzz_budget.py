"""Every fuzz target for a fixed number of inputs from a fixed seed, and that each can fail."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz import core_target, door_target, origin_target, registry_target

ROOT = Path(__file__).parents[2]
RUNS = {"core": 6000, "origin": 1000, "door": 5000, "registry": 6000}
SECONDS_MAX = 12


@pytest.mark.parametrize("target", RUNS)
def test_no_input_of_the_budget_breaks_a_target(target: str, tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "tests.fuzz", target, "--seed", "1"]
    argv += ["--runs", str(RUNS[target]), "--seconds", str(SECONDS_MAX)]
    environment = {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(argv, cwd=tmp_path, env=environment, capture_output=True, check=False)
    said = done.stderr.decode(errors="replace") + done.stdout.decode(errors="replace")
    assert done.returncode == 0, said[-4000:]
    assert "stat::number_of_executed_units" in said


def test_a_request_that_is_read_in_two_ways_is_noticed() -> None:
    smuggled = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTTP/1.1\r\nHost: x\r\n\r\n"
    with pytest.raises(AssertionError):
        door_target.read_as_meant(smuggled, "GET", "/a", b"")
    door_target.read_as_meant(smuggled[:28], "GET", "/a", b"")


def test_an_answer_too_many_is_counted() -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"
    last = answer.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    assert door_target.count_finals(answer, ["GET"]) == 1
    assert door_target.count_finals(answer * 3, ["GET"]) == 3
    assert door_target.count_finals(answer + last, ["GET"]) == 2
    with pytest.raises(AssertionError):
        door_target.count_finals(last + answer, ["GET"])


def test_every_seed_is_taken_by_its_target() -> None:
    for seed in core_target.seeds():
        core_target.run(seed)
    for seed in registry_target.seeds():
        registry_target.run(seed)
    statuses = {origin_target.parsed(seed)[0] for seed in origin_target.seeds()}
    assert {200, 206, 304, 416} <= statuses
