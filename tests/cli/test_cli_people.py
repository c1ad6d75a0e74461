"""`skerry users` and `skerry keys`: what is asked for, and what never happens silently."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from typer.testing import CliRunner

from skerry.cli.main import make_app
from skerry.registry.core.users import Users, parse_htpasswd

WORD = "deep-water-9"


def run(*words: str, stdin: str = "") -> tuple[int, str]:
    done = CliRunner().invoke(make_app(), list(words), input=stdin)
    error = str(done.exception) if done.exception is not None else ""
    return done.exit_code, done.output + error


def users(path: Path) -> Users:
    return Users(parse_htpasswd(path.read_text()), key=b"k")


def test_somebody_who_is_added_can_log_in_and_the_others_keep_their_lines(tmp_path: Path) -> None:
    file = tmp_path / "users"
    assert run("users", "add", "ann", "--file", str(file), stdin=f"{WORD}\n")[0] == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.chmod(0o640)
    anns = file.read_text()
    file.write_text(f"# the crew\n{anns}")
    code, said = run("users", "add", "bob", "--file", str(file), stdin="other-water\n")
    assert code == 0
    assert "skerry reload" in said
    assert file.read_text().startswith(f"# the crew\n{anns}")
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert users(file).check("ann", WORD)
    assert users(file).check("bob", "other-water")
    assert [each.name for each in tmp_path.iterdir()] == ["users"]


def test_another_password_and_a_removal(tmp_path: Path) -> None:
    file = tmp_path / "users"
    for word in (WORD, "second-water"):
        assert run("users", "add", "ann", "--file", str(file), stdin=f"{word}\n")[0] == 0
    assert run("users", "list", "--file", str(file))[1].split() == ["ann"]
    assert not users(file).check("ann", WORD)
    assert users(file).check("ann", "second-water")
    assert run("users", "remove", "ann", "--file", str(file))[0] == 0
    assert file.read_text() == ""
    code, said = run("users", "remove", "ann", "--file", str(file))
    assert code != 0
    assert "skerry users list" in said


@pytest.mark.parametrize(
    ("name", "word"),
    [("ann", ""), ("ann", "short"), ("ann", "x" * 73), ("a:b", WORD), ("robot+a", WORD),
     ("#ann", WORD), ("", WORD)],
)  # fmt: skip
def test_what_is_wrong_changes_nothing_and_shows_no_password(
    tmp_path: Path, name: str, word: str
) -> None:
    file = tmp_path / "users"
    code, said = run("users", "add", name, "--file", str(file), stdin=f"{word}\n")
    assert code != 0
    assert not file.exists()
    assert WORD not in said


@pytest.mark.parametrize("stdin", ["", "\n"])
def test_a_key_is_never_left_open_because_nobody_was_there_to_ask(
    tmp_path: Path, stdin: str
) -> None:
    key = tmp_path / "ann.key"
    code, said = run("keys", "new", str(key), stdin=stdin)
    assert code != 0
    assert "--unencrypted" in said
    assert not key.exists()


def test_a_key_is_locked_with_what_is_piped_in_or_open_on_demand(tmp_path: Path) -> None:
    locked, opened = tmp_path / "locked.key", tmp_path / "open.key"
    assert run("keys", "new", str(locked), stdin="secret words\n")[0] == 0
    assert "ENCRYPTED" in locked.read_text()
    assert run("keys", "new", str(opened), "--unencrypted")[0] == 0
    assert "ENCRYPTED" not in opened.read_text()
    secret = tmp_path / "pass"
    secret.write_text("x\n")
    both = ("--unencrypted", "--passphrase-file", str(secret))
    assert run("keys", "new", str(tmp_path / "c"), *both)[0] != 0


def test_a_key_file_that_is_not_there_is_named_as_the_key(tmp_path: Path) -> None:
    draft = tmp_path / "draft.json"
    draft.write_text("{}")
    for command in ("add", "rotate"):
        code, said = run("keys", command, str(draft), "dora", str(tmp_path / "nofile"))
        assert code != 0
        assert f"the key {tmp_path / 'nofile'} cannot be read" in said.replace("\n", "")
        assert "public key" in said
