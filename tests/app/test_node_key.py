"""The node's key: made once, for its owner alone, and checked with the public half only."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from skerry.app.trust.node_key import NodeKeyError, check_signature, ensure_key, read_public
from skerry.base.errors import BadInput


def test_the_key_is_made_once_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    first = ensure_key(tmp_path / "data")
    path = tmp_path / "data" / "node.key"
    assert path.stat().st_mode & 0o777 == 0o600
    assert ensure_key(tmp_path / "data").public_pem == first.public_pem
    assert [each.name for each in path.parent.iterdir()] == ["node.key"]


def test_a_signature_is_good_for_its_message_and_key_alone(tmp_path: Path) -> None:
    key = ensure_key(tmp_path / "a")
    public = read_public(key.public_pem.encode())
    other = read_public(ensure_key(tmp_path / "b").public_pem.encode())
    signature = key.sign(b"tide")
    assert check_signature(public, signature, b"tide")
    assert not check_signature(public, signature, b"tides")
    assert not check_signature(other, signature, b"tide")
    assert not check_signature(public, signature[:-1], b"tide")
    assert not check_signature(b"short", signature, b"tide")


def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    ensure_key(tmp_path)
    (tmp_path / "node.key").chmod(0o640)
    with pytest.raises(NodeKeyError, match="proves nothing"):
        ensure_key(tmp_path)


@pytest.mark.parametrize("algorithm", ["", "rsa"])
def test_a_file_with_another_key_or_none_is_refused_and_left_as_it_is(
    tmp_path: Path, algorithm: str
) -> None:
    path = tmp_path / "node.key"
    if algorithm:
        argv = ["openssl", "genpkey", "-algorithm", algorithm, "-out", str(path)]
        subprocess.run(argv, check=True, capture_output=True)
    else:
        path.write_text("not a key\n")
    path.chmod(0o600)
    before = path.read_bytes()
    with pytest.raises(NodeKeyError, match="no Ed25519 key"):
        ensure_key(tmp_path)
    assert path.read_bytes() == before


def test_a_folder_in_the_key_s_place_is_said(tmp_path: Path) -> None:
    (tmp_path / "node.key").mkdir()
    with pytest.raises(NodeKeyError, match="cannot be read or made"):
        ensure_key(tmp_path)


def test_what_is_no_public_key_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no node's public key"):
        read_public(b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n")
