"""What makes two keys one."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from skerry.base.errors import BadInput
from skerry.trust.core.keys import Algorithm, parse_public_key, verifies
from tests.trust.core.signed import Private, ec_key, public, sign

PEM, DER = serialization.Encoding.PEM, serialization.Encoding.DER
SPKI = serialization.PublicFormat.SubjectPublicKeyInfo


def test_t41_one_key_in_every_encoding_has_one_fingerprint() -> None:
    key = ec_key().public_key()
    compressed = key.public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.CompressedPoint
    )
    prefix = bytes.fromhex("3039301306072a8648ce3d020106082a8648ce3d030107032200")
    forms = (
        key.public_bytes(PEM, SPKI),
        key.public_bytes(PEM, SPKI).replace(b"\n", b"\r\n"),
        b"\n\n" + key.public_bytes(PEM, SPKI),
        key.public_bytes(DER, SPKI),
        prefix + compressed,
    )
    assert len({parse_public_key(form).fingerprint for form in forms}) == 1


def test_t41_an_rsa_key_bound_to_pss_is_the_same_key() -> None:
    key = rsa.generate_private_key(65537, 2048).public_key()
    plain = key.public_bytes(DER, SPKI)
    bound = plain[:4] + bytes.fromhex("300b06092a864886f70d01010a") + plain[19:]
    bound = bound[:2] + (len(bound) - 4).to_bytes(2, "big") + bound[4:]
    assert parse_public_key(bound).fingerprint == parse_public_key(plain).fingerprint


@pytest.mark.parametrize(
    ("private", "algorithm"),
    [
        (ec_key(), Algorithm.ECDSA),
        (ed25519.Ed25519PrivateKey.generate(), Algorithm.ED25519),
        (rsa.generate_private_key(65537, 2048), Algorithm.RSA),
    ],
    ids=["ecdsa", "ed25519", "rsa"],
)
def test_a_signature_holds_for_its_key_and_its_message_alone(
    private: Private, algorithm: Algorithm
) -> None:
    key, other = public(private), public(ec_key())
    signature = sign(private, b"message")
    assert key.algorithm is algorithm
    assert verifies(key, signature, b"message")
    assert not verifies(key, signature, b"massage")
    assert not verifies(other, signature, b"message")
    assert not verifies(key, signature[:-1], b"message")
    assert not verifies(key, b"", b"message")
    assert parse_public_key(key.pem.encode()) == key


@pytest.mark.parametrize(
    "native",
    [
        rsa.generate_private_key(65537, 1024).public_key(),
        ec.generate_private_key(ec.SECP192R1()).public_key(),
    ],
    ids=["rsa-1024", "p-192"],
)
def test_a_weak_key_is_refused_with_what_to_use(native: rsa.RSAPublicKey) -> None:
    with pytest.raises(BadInput, match="2048 bits"):
        parse_public_key(native.public_bytes(PEM, SPKI))


@pytest.mark.parametrize(
    "data", [b"", b"x", b"-----BEGIN PUBLIC KEY-----\n", b"-" * 20_000, ec_key().private_bytes(
        PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())],
    ids=["empty", "short", "cut", "long", "private"],
)  # fmt: skip
def test_what_is_no_public_key_says_what_is_wanted(data: bytes) -> None:
    with pytest.raises(BadInput) as caught:
        parse_public_key(data)
    assert "PEM" in caught.value.next_step
