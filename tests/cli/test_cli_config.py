"""`skerry config` and the shipped files, through the real program."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def skerry(*args: str, **env: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SKERRY_")}
    command = [sys.executable, "-c", "from skerry.cli.main import main; main()", *args]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=60, env={**clean, **env}, check=False
    )


def test_a_good_file_is_good(tmp_path: Path) -> None:
    file = tmp_path / "s.toml"
    file.write_text('[store]\nbudget = "10GiB"\n')
    done = skerry("config", "check", "--config", str(file))
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{file}: good\n", "")


def test_a_wrong_file_is_refused_with_every_field_and_the_next_step(tmp_path: Path) -> None:
    file = tmp_path / "s.toml"
    file.write_text('[store]\nbugdet = "10GiB"\nhigh_watermark = "much"\n')
    done = skerry("config", "check", SKERRY_CONFIG=str(file))
    assert (done.returncode, done.stdout) == (2, "")
    lines = done.stderr.splitlines()
    assert len(lines) == 2
    assert "store.bugdet" in lines[0]
    assert "did you mean budget?" in lines[0]
    assert 'store.high_watermark = "much": is not a number' in lines[1]
    found = json.loads(skerry("config", "check", "--json", "-c", str(file)).stdout)
    assert found["valid"] is False
    assert [problem["field"] for problem in found["problems"]] == [
        "store.bugdet",
        "store.high_watermark",
    ]


def test_what_is_shown_passes_the_check(tmp_path: Path) -> None:
    file = tmp_path / "s.toml"
    file.write_text(skerry("config", "show", "--set", "store.budget=3GiB").stdout)
    assert 'budget = "3GiB"' in file.read_text()
    assert skerry("config", "check", "-c", str(file)).returncode == 0


@pytest.mark.parametrize("name", ["skerry.toml"])
def test_the_example_that_ships_passes_the_check(name: str) -> None:
    done = skerry("config", "check", "-c", str(ROOT / "deploy" / name))
    assert (done.returncode, done.stderr) == (0, "")
