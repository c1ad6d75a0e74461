"""`skerry purge` and `skerry receipt`: what they ask of a node, and what they prove without one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.app.edge_twin import HOST
from tests.cli.test_cli import Served, run, serving


@pytest.fixture
def node() -> Iterator[Served]:
    with serving() as served:
        yield served


@pytest.fixture
def key(node: Served, tmp_path: Path) -> str:
    path = tmp_path / "node.pub"
    path.write_text(run("receipt", "key", node=node).stdout)
    return str(path)


def test_a_purge_says_how_many_objects_went_and_where_its_receipt_is(node: Served) -> None:
    result = run("purge", "--prefix", f"https://{HOST}/media/", node=node)
    assert result.exit_code == 0
    gone, receipt, has, has_not = result.stdout.splitlines()
    assert gone == f"7 objects gone: prefix /media/ of https://{HOST}"
    assert receipt == "receipt 1: skerry receipt list --after 0"
    assert (has, has_not) == ("in force on node-b", "not yet in force on node-c")
    soft = run("purge", "--key", "film", "--soft", node=node)
    assert soft.stdout.startswith("7 objects to be checked before use: key film\n")


def test_a_purge_without_a_name_is_wrong_input(node: Served) -> None:
    result = run("purge", node=node)
    assert result.exit_code == 2
    assert "names one thing" in result.stderr


def test_every_receipt_is_listed_on_a_line_of_its_own_and_verifies(
    node: Served, key: str, tmp_path: Path
) -> None:
    for name in ("a", "b", "c", "ü"):
        run("purge", "--key", name, node=node)
    listed = run("receipt", "list", node=node).stdout
    assert [json.loads(line)["value"] for line in listed.splitlines()] == ["a", "b", "c", "ü"]
    file = tmp_path / "receipts"
    file.write_text(listed)
    assert run("receipt", "verify", str(file), "--key", key).stdout == "4 receipts: good\n"
    after = run("receipt", "list", "--after", "3", node=node).stdout
    assert after == listed.splitlines(keepends=True)[3]


def test_the_json_of_a_purge_verifies_as_it_was_printed(
    node: Served, key: str, tmp_path: Path
) -> None:
    file = tmp_path / "receipt.json"
    file.write_text(run("purge", "--host", HOST, "--json", node=node).stdout)
    assert run("receipt", "verify", str(file), "--key", key).exit_code == 0
    file.write_text(file.read_text().replace("7", "8"))
    assert run("receipt", "verify", str(file), "--key", key).exit_code == 1
    file.write_text(file.read_text().replace("{", '{"note": "nothing to see",'))
    assert run("receipt", "verify", str(file), "--key", key).exit_code == 1


@pytest.mark.parametrize(
    ("edit", "flaw"),
    [
        (lambda lines: [lines[0], lines[1].replace('"b"', '"x"'), lines[2]], "edited"),
        (lambda lines: [lines[0], lines[2]], "gap"),
        (lambda lines: [lines[1], lines[0], lines[2]], "reordered"),
        (lambda lines: [*lines, "{}"], "unreadable"),
    ],
)
def test_an_edited_missing_or_moved_receipt_is_found(
    node: Served, key: str, tmp_path: Path, edit: object, flaw: str
) -> None:
    for name in ("a", "b", "c"):
        run("purge", "--key", name, node=node)
    lines = run("receipt", "list", node=node).stdout.splitlines()
    file = tmp_path / "receipts"
    file.write_text("\n".join(edit(lines)))  # type: ignore[operator]
    result = run("receipt", "verify", str(file), "--key", key, "--json")
    assert result.exit_code == 1
    told = json.loads(result.stdout)
    assert not told["good"]
    assert flaw in {finding["flaw"] for finding in told["findings"]}
    assert run("receipt", "verify", str(file), "--key", key).stderr.startswith("line ")


def test_another_node_s_key_proves_nothing(node: Served, tmp_path: Path) -> None:
    file, key = tmp_path / "receipt", tmp_path / "other.pub"
    run("purge", "--key", "a", node=node)
    file.write_text(run("receipt", "list", node=node).stdout)
    with serving() as other:
        key.write_text(run("receipt", "key", node=other).stdout)
    result = run("receipt", "verify", str(file), "--key", str(key))
    assert result.exit_code == 1
    assert "signature" in result.stderr


def test_what_cannot_be_read_as_receipts_or_key_is_wrong_input(key: str, tmp_path: Path) -> None:
    file = tmp_path / "empty"
    file.write_text("\n")
    assert run("receipt", "verify", str(file), "--key", key).exit_code == 2
    assert run("receipt", "verify", str(tmp_path / "gone"), "--key", key).exit_code == 2
    assert run("receipt", "verify", key, "--key", str(file)).exit_code == 2
