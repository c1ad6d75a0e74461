"""`skerry prewarm`: the plan comes first, money is exact, a failure is an exit code."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.test_cli import Served, run, serving

FILM = "https://www.example.org/film"


@pytest.fixture
def node() -> Iterator[Served]:
    with serving() as served:
        yield served


@pytest.fixture
def urls(tmp_path: Path) -> str:
    path = tmp_path / "urls"
    path.write_text(f"# for the match\n{FILM}\n{FILM}-2\n")
    return str(path)


def test_the_plan_says_bytes_and_cost_before_anything_is_fetched(node: Served, urls: str) -> None:
    result = run("prewarm", urls, "--cost-max", "0.1", node=node)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == f"fetch     953.7 MiB  {FILM}"
    assert lines[1].startswith(f"beyond    953.7 MiB  {FILM}-2  it would go over the cost")
    assert lines[2] == "plan: 1 objects, 953.7 MiB, cost 0.09, 1 over a cap"
    assert lines[3].startswith(f"{FILM}: here")


def test_a_plan_alone_ends_with_the_plan(node: Served, urls: str) -> None:
    result = run("prewarm", urls, "--plan", "--price-per-gb", "0.000001", node=node)
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == "plan: 2 objects, 1.9 GiB, cost 0.000002"


def test_a_manifest_is_read_by_the_node(node: Served) -> None:
    result = run("prewarm", "--manifest", f"{FILM}.json", "--plan", "--json", node=node)
    events = json.loads(result.stdout)["events"]
    assert [event["url"] for event in events if event["step"] == "item"] == [f"{FILM}.json/part"]


def test_what_fails_is_told_and_is_the_exit_code(node: Served, tmp_path: Path) -> None:
    (tmp_path / "urls").write_text(f"{FILM}/broken\n")
    result = run("prewarm", str(tmp_path / "urls"), node=node)
    assert result.exit_code == 1
    assert "it broke" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--bytes-max", "much", "--manifest", FILM),
        ("--price-per-gb", "0.0000001", "--manifest", FILM),
        ("--price-per-gb", "-1", "--manifest", FILM),
        ("--price-per-gb", "NaN", "--manifest", FILM),
        ("--cost-max", "1", "--price-per-gb", "0", "--manifest", FILM),
        ("/nowhere/urls",),
    ],
)
def test_what_makes_no_sense_is_wrong_input(node: Served, arguments: tuple[str, ...]) -> None:
    assert run("prewarm", *arguments, node=node).exit_code == 2
