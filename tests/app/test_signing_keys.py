"""Keys of people who sign: made once, for their owner alone, and used where they are."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from skerry.app.trust.signing_keys import KeyFileError, Kind, load, make
from skerry.base.errors import BadInput
from skerry.trust.core.keys import parse_public_key, verifies


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("passphrase", [b"", b"open, please"])
def test_a_key_that_was_made_signs_what_its_public_half_checks(
    tmp_path: Path, kind: Kind, passphrase: bytes
) -> None:
    path = tmp_path / "ann.key"
    public = make(path, kind, passphrase)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert parse_public_key((tmp_path / "ann.pub").read_bytes()) == public
    key = load(path, passphrase)
    assert key.public == public
    assert verifies(public, key.sign(b"message"), b"message")


def test_nothing_that_is_there_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "ann.pub").write_text("precious")
    with pytest.raises(KeyFileError, match="is there already"):
        make(tmp_path / "ann.key", Kind.ECDSA, b"")
    assert not (tmp_path / "ann.key").exists()
    assert (tmp_path / "ann.pub").read_text() == "precious"


def test_a_key_that_others_can_read_is_not_used(tmp_path: Path) -> None:
    make(tmp_path / "ann.key", Kind.ECDSA, b"")
    (tmp_path / "ann.key").chmod(0o644)
    with pytest.raises(KeyFileError, match="can be read by others"):
        load(tmp_path / "ann.key", b"")


def test_the_passphrase_has_to_be_the_right_one(tmp_path: Path) -> None:
    make(tmp_path / "ann.key", Kind.ECDSA, b"right")
    make(tmp_path / "bob.key", Kind.ECDSA, b"")
    for name, passphrase in (("ann", b""), ("ann", b"wrong"), ("bob", b"any")):
        with pytest.raises(BadInput) as caught:
            load(tmp_path / f"{name}.key", passphrase)
        assert "passphrase" in str(caught.value)


@pytest.mark.parametrize(
    "private",
    [ec.generate_private_key(ec.SECP384R1()), dsa.generate_private_key(1024)],
    ids=["p-384", "dsa"],
)
def test_a_key_that_cosign_cannot_use_is_refused(
    tmp_path: Path, private: ec.EllipticCurvePrivateKey | dsa.DSAPrivateKey
) -> None:
    path = tmp_path / "ann.key"
    path.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    path.chmod(0o600)
    with pytest.raises(BadInput):
        load(path, b"")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match=r"no\.key"):
        load(tmp_path / "no.key", b"")
