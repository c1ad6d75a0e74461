"""A settings file from what is found: a node takes it, and nothing is written over."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from skerry.app.init import Found, InitFailed, look, text_of, write
from skerry.app.settings.load import load

FOUND = Found(
    name="rock.example",
    data_dir="/var/lib/skerry",
    address="198.51.100.7",
    resolvers=("192.0.2.53",),
    clients=("podman",),
    disk_bytes=500 * 2**30,
    free_bytes=101 * 2**30,
    cores=2,
)


def test_what_is_written_is_taken_by_a_node(tmp_path: Path) -> None:
    path = tmp_path / "etc" / "skerry.toml"
    write(path, text_of(FOUND), force=False)
    settings = load(path, {}, {})
    assert settings.node.name == "rock.example"
    assert settings.store.budget_bytes == 80 * 2**30
    assert settings.budget.workflows[0].name == "images"
    text = path.read_text()
    assert "198.51.100.7:5000" in text
    assert "192.0.2.53" in text
    assert "podman" in text


def test_a_machine_with_nothing_gets_a_file_that_is_taken_too(tmp_path: Path) -> None:
    bare = replace(FOUND, address="", resolvers=(), clients=(), free_bytes=1000)
    write(tmp_path / "skerry.toml", text_of(bare), force=False)
    assert load(tmp_path / "skerry.toml", {}, {}).store.budget_bytes == 2**30


def test_a_file_that_is_there_is_kept_unless_forced(tmp_path: Path) -> None:
    path = tmp_path / "skerry.toml"
    path.write_text("mine")
    with pytest.raises(InitFailed, match="is there already"):
        write(path, text_of(FOUND), force=False)
    assert path.read_text() == "mine"
    write(path, text_of(FOUND), force=True)
    assert path.read_text() != "mine"


def test_what_is_found_comes_from_the_machine(tmp_path: Path) -> None:
    (tmp_path / "etc/containers").mkdir(parents=True)
    (tmp_path / "etc/containers/registries.conf").touch()
    (tmp_path / "etc/resolv.conf").write_text("# one\nnameserver 192.0.2.1\nnameserver\n")
    found = look({"XDG_DATA_HOME": str(tmp_path)}, root=tmp_path)
    assert found.clients == ("podman",)
    assert found.resolvers == ("192.0.2.1",)
    assert found.disk_bytes >= found.free_bytes > 0
