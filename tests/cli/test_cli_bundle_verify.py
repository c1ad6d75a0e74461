"""`skerry bundle verify` with the public key alone: what is wrong is said in a sentence."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from typer.testing import CliRunner

from skerry.cli.main import make_app
from skerry.telemetry.core.bundles import Contents, issue
from tests.telemetry.independent import flaw_of

KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
OTHER = Ed25519PrivateKey.from_private_bytes(b"o" * 32)
PEM = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def chain(count: int, key: Ed25519PrivateKey = KEY) -> list[bytes]:
    last, lines = None, []
    for number in range(count):
        contents = Contents(number * 10, number * 10 + 10, {"skerry_pulls_total": 7})
        last = issue(last, contents, node="rock", sign=key.sign)
        lines.append(last.line)
    return lines


def edited(lines: Sequence[bytes]) -> list[bytes]:
    return [line.replace(b":7", b":8", 1) if n == 3 else line for n, line in enumerate(lines)]


DEEDS: dict[str, tuple[Callable[[list[bytes]], list[bytes]], str]] = {
    "edited": (edited, "bundles line 4: The signature is not this bundle's."),
    "gap": (lambda lines: lines[:2] + lines[4:], "Between bundles 2 and 5 some are missing."),
    "reordered": (
        lambda lines: [lines[0], lines[2], lines[1], *lines[3:]],
        "Bundle 2 follows bundle 3.",
    ),
    "replayed": (lambda lines: [*lines, lines[2]], "Bundle 3 is here twice."),
    "another key's": (
        lambda lines: chain(6, OTHER),
        "none of the 6 bundles is signed with this key is it this node's? get it with",
    ),
}


def verified(tmp_path: Path, lines: Sequence[bytes]) -> tuple[int, str, bool]:
    """Exit code, what is said to people, and whether --json calls it good."""
    file, key = tmp_path / "bundles", tmp_path / "node.pub"
    file.write_bytes(b"\n".join(lines) + b"\n")
    key.write_bytes(PEM)
    words = ["bundle", "verify", str(file), "--key", str(key)]
    ran = CliRunner().invoke(make_app(), words)
    told = json.loads(CliRunner().invoke(make_app(), [*words, "--json"]).stdout)
    return ran.exit_code, " ".join(ran.output.split()), told["good"]


def test_a_whole_chain_is_good_to_the_command_and_to_somebody_elses_program(
    tmp_path: Path,
) -> None:
    code, said, good = verified(tmp_path, chain(6))
    assert (code, good) == (0, True)
    assert "6 bundles: good" in said
    assert flaw_of(chain(6), PEM) == ""


@pytest.mark.parametrize("deed", DEEDS)
def test_what_was_done_to_it_is_refused_with_the_reason(tmp_path: Path, deed: str) -> None:
    change, sentence = DEEDS[deed]
    lines = change(chain(6))
    code, said, good = verified(tmp_path, lines)
    assert (code, good) == (1, False)
    assert sentence in said
    assert flaw_of(lines, PEM), "somebody else's program finds it too"


def test_of_a_folder_it_says_which_file_is_wrong_an_empty_one_too(tmp_path: Path) -> None:
    folder, key = tmp_path / "bundles", tmp_path / "node.pub"
    folder.mkdir()
    key.write_bytes(PEM)
    for number, line in enumerate(chain(6), start=1):
        (folder / f"a-{number}.json").write_bytes(line + b"\n")
    (folder / "a-6.json").write_bytes(b"")
    words = ["bundle", "verify", str(folder), "--key", str(key)]
    ran = CliRunner().invoke(make_app(), words)
    said = " ".join(ran.output.split())
    assert ran.exit_code == 1
    assert f"{folder}/a-6.json: The line is no bundle" in said
    assert "skerry bundle export" in said
    told = json.loads(CliRunner().invoke(make_app(), [*words, "--json"]).stdout)
    assert [each["where"] for each in told["findings"]] == [f"{folder}/a-6.json"]


def test_what_is_no_bundle_at_all_does_not_fill_the_screen(tmp_path: Path) -> None:
    _, said, good = verified(tmp_path, [b"[node]"] * 300)
    assert not good
    assert said.count("is no bundle") == 10
    assert "and 290 more" in said


def test_a_file_that_is_no_key_is_named_with_where_to_get_one(tmp_path: Path) -> None:
    file, key = tmp_path / "bundles", tmp_path / "node.pub"
    file.write_bytes(chain(1)[0])
    key.write_bytes(b"no key")
    ran = CliRunner().invoke(make_app(), ["bundle", "verify", str(file), "--key", str(key)])
    assert ran.exit_code == 2
    said = " ".join(ran.output.split())
    assert f"{key} holds no node's public key" in said
    key.unlink()
    ran = CliRunner().invoke(make_app(), ["bundle", "verify", str(file), "--key", str(key)])
    assert "cannot be read: no such file" in " ".join(ran.output.split())
