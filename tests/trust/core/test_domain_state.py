"""A signed state of a domain is believed when its owners signed it, and never an older one."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_der_public_key
from hypothesis import given
from hypothesis import strategies as st
from securesystemslib.dsse import Envelope as Dsse
from securesystemslib.signer import SSlibKey

from skerry.app.trust.signing_keys import SigningKey
from skerry.base.errors import BadInput
from skerry.trust.core.delegation import Caa, Expected
from skerry.trust.core.domain_state import (
    PAYLOAD_TYPE,
    Envelope,
    Floor,
    StateRefused,
    accept,
    is_domain,
    read_envelope,
    read_state,
    signed,
    write_envelope,
    write_state,
)
from skerry.trust.core.threshold import Format, TrustedKey, policy

ANNA, BEN, EVE = (SigningKey(Ed25519PrivateKey.generate()) for _ in range(3))
POLICY = policy(
    "example.org",
    threshold=2,
    keys=[TrustedKey(ANNA.public, "anna"), TrustedKey(BEN.public, "ben")],
    formats=[Format.BUNDLE],
)
STATE = Expected(
    "example.org",
    7,
    frozenset({"ns1.example.net", "ns2.example.net"}),
    frozenset({"12345 13 2 aa11"}),
    frozenset({Caa(0, "issue", "ca.example; accounturi=https://ca.example/1")}),
    1_900_000_000.0,
    frozenset({"client transfer prohibited"}),
)


def made(state: Expected, *keys: SigningKey, made_at: float = 1_800_000_000.0) -> bytes:
    envelope = Envelope(write_state(state, made_at=made_at))
    for key in keys:
        envelope = signed(envelope, key.public, key.sign)
    return write_envelope(envelope)


def refused(data: bytes, floor: Floor | None = None, domain: str = "example.org") -> str:
    with pytest.raises(StateRefused) as caught:
        accept(data, domain, POLICY, now=0.0, floor=floor)
    assert caught.value.next_step
    return caught.value.what


def test_a_state_that_enough_owners_signed_is_accepted_as_it_was_written() -> None:
    accepted = accept(made(STATE, ANNA, BEN), "example.org", POLICY, now=0.0, floor=None)
    assert accepted.expected == STATE
    assert accepted.signers == ("anna", "ben")


def test_a_state_that_too_few_signed_is_refused() -> None:
    for keys in ((), (ANNA,), (ANNA, ANNA), (ANNA, EVE), (EVE,)):
        assert "signatures of" in refused(made(STATE, *keys))
    assert "signatures of 2" in refused(write_state(STATE, made_at=0.0))


def test_a_signature_under_another_key_id_counts_for_who_made_it() -> None:
    envelope = read_envelope(made(STATE, ANNA))
    copies = tuple((name, envelope.signatures[0][1]) for name in ("ben", BEN.public.fingerprint))
    assert "signatures of 1" in refused(write_envelope(replace(envelope, signatures=copies)))


def test_a_payload_that_was_changed_after_signing_is_refused() -> None:
    envelope = read_envelope(made(STATE, ANNA, BEN))
    changed = envelope.payload.replace(b"ns1.example.net", b"ns1.evil.example")
    assert "signatures of 2" in refused(write_envelope(replace(envelope, payload=changed)))


def test_versions_only_rise() -> None:
    first = accept(made(STATE, ANNA, BEN), "example.org", POLICY, now=0.0, floor=None)
    floor = Floor(first.expected.version, first.digest)
    again = accept(made(STATE, BEN, ANNA), "example.org", POLICY, now=0.0, floor=floor)
    assert again.digest == first.digest
    assert "rolled back to version 6" in refused(made(replace(STATE, version=6), ANNA, BEN), floor)
    other = made(replace(STATE, ns=frozenset({"ns.evil.example"})), ANNA, BEN)
    assert "another one of version 7" in refused(other, floor)
    later = accept(
        made(replace(STATE, version=8), ANNA, BEN), "example.org", POLICY, now=0.0, floor=floor
    )
    assert later.expected.version == 8


def test_a_state_of_another_domain_is_refused() -> None:
    assert "it is of example.org" in refused(made(STATE, ANNA, BEN), domain="example.com")


@pytest.mark.parametrize(
    "change",
    [
        {"type": "other"}, {"format": 2}, {"version": 0}, {"version": True}, {"version": "7"},
        {"domain": "Example.org"}, {"domain": "org"}, {"ns": "ns1"}, {"ns": [1]},
        {"ns": ["n"] * 129}, {"caa": ["issue ca.example"]}, {"registrar": []},
        {"registrar": {"expires": "soon"}}, {"more": 1},
    ],
)  # fmt: skip
def test_a_document_that_cannot_be_meant_is_refused(change: dict[str, object]) -> None:
    document = json.loads(write_state(STATE, made_at=0.0)) | change
    with pytest.raises(BadInput):
        read_state(json.dumps(document).encode())


@given(st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with pytest.raises(StateRefused):
        accept(data, "example.org", POLICY, now=0.0, floor=None)


HOSTS = st.from_regex(r"[a-z0-9]{1,10}\.[a-z]{2,5}", fullmatch=True)


@given(st.frozensets(HOSTS, max_size=8), st.integers(1, 1 << 40), st.none() | st.integers(0, 4e9))
def test_what_is_written_is_read_as_it_was(
    names: frozenset[str], version: int, expires: int | None
) -> None:
    state = replace(STATE, ns=names, version=version, expires_at=expires, status=frozenset())
    assert read_state(write_state(state, made_at=0.0)) == state


def test_another_program_verifies_the_envelope() -> None:
    document = json.loads(made(STATE, ANNA, BEN))
    assert document["payloadType"] == PAYLOAD_TYPE
    keys = [
        SSlibKey.from_crypto(load_der_public_key(each.public.der), each.public.fingerprint)
        for each in (ANNA, BEN)
    ]
    assert len(Dsse.from_dict(document).verify(keys, 2)) == 2


def test_domains_are_names_of_at_least_two_labels() -> None:
    assert is_domain("example.org")
    assert is_domain("xn--bcher-kva.example")
    assert not any(map(is_domain, ("org", "example.org.", "-a.org", "a..org", "", "Ä.org")))
