"""Signatures as cosign, sigstore and Notation write them: good ones make a claim, others none."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st

from skerry.base.digest import Digest, digest_of
from skerry.base.errors import BadInput
from skerry.trust.core import bundle, cosign, notation
from skerry.trust.core.keys import parse_public_key, public_key
from skerry.trust.core.threshold import (
    NOBODYS,
    Claim,
    Format,
    Policy,
    TrustedKey,
    Why,
    judge,
)
from tests.trust.core.signed import (
    NOW,
    SUBJECT,
    Private,
    bundle_of,
    certificate,
    ec_key,
    envelope,
    public,
    sign,
    statement_of,
)

VECTORS = Path(__file__).parents[3].parent / "shared" / "vectors"
MANIFEST = b'{"schemaVersion":2}'
AT = NOW.timestamp()

ANN, BOB = ec_key(), ec_key()


def vector(name: str) -> bytes:
    path = VECTORS / name
    if not path.exists():
        assert os.environ.get("CI") != "true", f"{path} is not there"
        pytest.skip(f"{path} is not there: signatures made by other tools are not shipped")
    return path.read_bytes()


# cosign


def signed(private: Private, payload: bytes) -> str:
    return base64.b64encode(sign(private, payload)).decode()


def test_a_signature_that_cosign_made_is_read() -> None:
    key = parse_public_key(vector("cosign/cosign.pub"))
    stored = json.loads(vector("cosign/dir-img-cosign-valid/signature-1").partition(b"\n")[2])
    payload = base64.b64decode(stored["payload"])
    signature = stored["annotations"][cosign.SIGNATURE_ANNOTATION]
    manifest = vector("cosign/dir-img-cosign-valid/manifest.json")
    assert stored["mimeType"] == cosign.PAYLOAD_TYPE
    [claim] = cosign.claims(payload, signature, (key,))
    assert claim == Claim(key.fingerprint, digest_of(manifest), Format.COSIGN)
    modified = vector("cosign/dir-img-cosign-modified-manifest/manifest.json")
    assert claim.subject != digest_of(modified)


@pytest.mark.parametrize(
    "private",
    [ANN, ed25519.Ed25519PrivateKey.generate(), rsa.generate_private_key(65537, 2048)],
    ids=["ecdsa", "ed25519", "rsa"],
)
def test_each_kind_of_key_makes_a_claim_and_another_one_of_nobody(
    private: Private,
) -> None:
    payload = cosign.payload_of(SUBJECT, reference="reg.example/app")
    found = cosign.claims(payload, signed(private, payload), (public(BOB), public(private)))
    assert found == (Claim(public(private).fingerprint, SUBJECT, Format.COSIGN),)
    (nobodys,) = cosign.claims(payload, signed(private, payload), (public(BOB),))
    assert nobodys == Claim(NOBODYS, SUBJECT, Format.COSIGN)
    asked = Policy("prod", 1, (TrustedKey(public(BOB), "bob"),))
    verdict = judge(asked, SUBJECT, [nobodys], 0.0)
    assert not verdict.accepted
    assert verdict.passed_over == ((nobodys, Why.UNKNOWN_KEY),)


def test_the_payload_has_the_members_that_cosign_reads() -> None:
    document = json.loads(cosign.payload_of(SUBJECT, reference="reg.example/app"))
    assert document == {
        "critical": {
            "identity": {"docker-reference": "reg.example/app"},
            "image": {"docker-manifest-digest": str(SUBJECT)},
            "type": "cosign container image signature",
        },
        "optional": None,
    }


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"[]",
        b"{}",
        b'{"critical":{"image":{"docker-manifest-digest":"sha256:1"},"type":"x"}}',
        cosign.payload_of(SUBJECT, reference="r").replace(b"cosign container", b"other"),
        cosign.payload_of(SUBJECT, reference="r").replace(b"sha256:5", b"sha256:Z"),
        cosign.payload_of(SUBJECT, reference="r")[:-1] + b',"critical":{}}',
        cosign.payload_of(SUBJECT, reference="r") + b"{}",
    ],
)
def test_a_payload_that_can_be_read_in_two_ways_or_not_at_all_is_refused(payload: bytes) -> None:
    with pytest.raises(BadInput):
        cosign.claims(payload, signed(ANN, payload), (public(ANN),))


# bundles


def bundled(private: Private, statement: bytes) -> bytes:
    message = bundle.pre_authentication(bundle.STATEMENT_TYPE, statement)
    return bundle_of(statement, sign(private, message), hint="k")


def test_a_bundle_with_a_statement_makes_a_claim_for_its_subject() -> None:
    made = bundled(ANN, statement_of(SUBJECT))
    found = bundle.claims(made, MANIFEST, (public(ANN), public(BOB)))
    assert found == (Claim(public(ANN).fingerprint, SUBJECT, Format.BUNDLE),)


def test_a_bundle_over_the_manifest_itself_makes_a_claim_for_its_digest() -> None:
    document = {
        "mediaType": bundle.BUNDLE_TYPE,
        "verificationMaterial": {"publicKey": {"hint": ""}},
        "messageSignature": {
            "messageDigest": {"algorithm": "SHA2_256", "digest": "AAAA"},
            "signature": base64.b64encode(sign(ANN, MANIFEST)).decode(),
        },
    }
    found = bundle.claims(json.dumps(document).encode(), MANIFEST, (public(ANN),))
    assert digest_of(MANIFEST) in {claim.subject for claim in found}
    assert bundle.claims(json.dumps(document).encode(), MANIFEST + b" ", (public(ANN),)) == ()


@pytest.mark.parametrize(
    "change",
    [
        {"mediaType": "application/vnd.dev.sigstore.bundle+json;version=0.2"},
        {"verificationMaterial": {"certificate": {"rawBytes": "AA=="}}},
        {"verificationMaterial": {}},
        {"dsseEnvelope": {}},
        {"dsseEnvelope": None},
    ],
)
def test_a_bundle_of_another_kind_is_refused(change: dict[str, object]) -> None:
    made = json.loads(bundled(ANN, statement_of(SUBJECT)))
    with pytest.raises(BadInput):
        bundle.claims(json.dumps(made | change).encode(), MANIFEST, (public(ANN),))


@pytest.mark.parametrize(
    "statement",
    [
        b"{}",
        statement_of(SUBJECT).replace(b"Statement/v1", b"Statement/v9"),
        statement_of(SUBJECT).replace(b"cosign/sign/v1", b"slsa/provenance/v1"),
        statement_of(SUBJECT).replace(b'"sha256"', b'"md5"'),
        json.dumps(json.loads(statement_of(SUBJECT)) | {"subject": []}).encode(),
    ],
)
def test_a_statement_that_says_something_else_is_no_signature(statement: bytes) -> None:
    with pytest.raises(BadInput):
        bundle.claims(bundled(ANN, statement), MANIFEST, (public(ANN),))


def test_two_signatures_in_one_envelope_are_refused() -> None:
    made = json.loads(bundled(ANN, statement_of(SUBJECT)))
    made["dsseEnvelope"]["signatures"] *= 2
    with pytest.raises(BadInput, match="exactly one"):
        bundle.claims(json.dumps(made).encode(), MANIFEST, (public(ANN),))


# Notation

ROOT_KEY, LEAF_KEY = ec_key(), ec_key()
ROOT = certificate("root", ROOT_KEY, ca=True)
LEAF = certificate("leaf", LEAF_KEY, issuer="root", issuer_key=ROOT_KEY)


def root_of(cert: x509.Certificate) -> str:
    return public_key(cert.public_key()).fingerprint


def test_an_envelope_that_notation_made_is_read() -> None:
    data = vector("notation/jws_signature.sig")
    chain = json.loads(data)["header"]["x5c"]
    leaf = x509.load_der_x509_certificate(base64.b64decode(chain[0]))
    [claim] = notation.claims(data, (leaf,), AT)
    signed_manifest = "19dbd2e48e921426ee8ace4dc892edfb2ecdc1d1a72d5416c83670c30acecef0"
    assert claim.subject == Digest("sha256", signed_manifest)
    assert claim.authorities == (root_of(leaf),)
    blob = vector(f"notation/oci-layout/blobs/sha256/{signed_manifest}")
    assert claim.subject == digest_of(blob)
    other = x509.load_pem_x509_certificate(vector("notation/NotationTestRoot.pem"))
    [untrusted] = notation.claims(data, (other,), AT)
    assert untrusted.authorities == ()


def test_a_chain_that_ends_at_a_trusted_root_makes_a_claim_by_it() -> None:
    [claim] = notation.claims(envelope(LEAF_KEY, [LEAF, ROOT]), (ROOT,), AT)
    assert claim == Claim(public(LEAF_KEY).fingerprint, SUBJECT, Format.NOTATION, (root_of(ROOT),))


def test_a_root_of_the_same_name_and_another_key_vouches_for_nothing() -> None:
    twin = certificate("root", ec_key(), ca=True)
    [claim] = notation.claims(envelope(LEAF_KEY, [LEAF, ROOT]), (twin,), AT)
    assert claim.authorities == ()
    with pytest.raises(BadInput, match="no chain"):
        notation.claims(envelope(LEAF_KEY, [LEAF, twin]), (twin,), AT)


NOT_CA_KEY = ec_key()
NOT_CA = certificate("middle", NOT_CA_KEY, issuer="root", issuer_key=ROOT_KEY)
UNDER = certificate("under", LEAF_KEY, issuer="middle", issuer_key=NOT_CA_KEY)
SHORT = certificate("root", ROOT_KEY, ca=True, path_length=0)
MIDDLE = certificate("middle", NOT_CA_KEY, issuer="root", issuer_key=ROOT_KEY, ca=True)


@pytest.mark.parametrize(
    ("private", "chain", "at"),
    [
        (LEAF_KEY, [LEAF], AT),
        (ANN, [LEAF, ROOT], AT),
        (LEAF_KEY, [LEAF, ROOT], AT + 86400 * 31),
        (LEAF_KEY, [LEAF, ROOT], AT - 86400 * 2),
        (LEAF_KEY, [UNDER, NOT_CA, ROOT], AT),
        (LEAF_KEY, [UNDER, MIDDLE, SHORT], AT),
        (LEAF_KEY, [], AT),
        (LEAF_KEY, [LEAF] * 9, AT),
        (LEAF_KEY, [certificate("w", LEAF_KEY, code=False)], AT),
        (ROOT_KEY, [ROOT], AT),
    ],
    ids=[
        "no root", "another's key", "expired", "not yet", "no authority", "too deep",
        "empty", "too long", "for servers", "an authority signs",
    ],
)  # fmt: skip
def test_a_chain_that_does_not_hold_is_refused(
    private: Private, chain: list[x509.Certificate], at: float
) -> None:
    with pytest.raises(BadInput):
        notation.claims(envelope(private, chain), (ROOT,), at)


@pytest.mark.parametrize(
    "changed",
    [
        {"alg": "none"},
        {"alg": "PS256"},
        {"alg": "HS256"},
        {"alg": "ES384"},
        {"cty": "text/plain"},
        {"crit": []},
        {"crit": None},
        {"crit": ["io.cncf.notary.signingScheme", "com.example.unknown"]},
        {"io.cncf.notary.signingScheme": "notary.x509.signingAuthority"},
        {"io.cncf.notary.expiry": "2026-05-31T00:00:00Z"},
        {"io.cncf.notary.expiry": "soon"},
        {"io.cncf.notary.expiry": "2026-07-01T00:00:00"},
    ],
    ids=str,
)
def test_a_head_that_is_not_understood_is_refused(changed: dict[str, object]) -> None:
    with pytest.raises(BadInput):
        notation.claims(envelope(LEAF_KEY, [LEAF, ROOT], **changed), (ROOT,), AT)


def test_an_edited_payload_or_head_is_refused() -> None:
    good = json.loads(envelope(LEAF_KEY, [LEAF, ROOT]))
    other = json.loads(envelope(LEAF_KEY, [LEAF, ROOT], subject=digest_of(b"x")))
    for name in ("payload", "signature"):
        with pytest.raises(BadInput, match="does not hold"):
            notation.claims(json.dumps(good | {name: other[name]}).encode(), (ROOT,), AT)


@given(st.binary(max_size=200))
def test_no_bytes_make_a_reader_fail_otherwise(data: bytes) -> None:
    for read in (
        lambda: cosign.claims(data, "AAAA", (public(ANN),)),
        lambda: bundle.claims(data, MANIFEST, (public(ANN),)),
        lambda: notation.claims(data, (ROOT,), AT),
    ):
        with pytest.raises(BadInput):
            read()


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


@given(st.sampled_from(["payload", "protected", "header", "signature"]), JSON_VALUES)
def test_a_member_of_any_kind_makes_notation_refuse_and_not_fail(name: str, value: object) -> None:
    made = json.loads(envelope(LEAF_KEY, [LEAF, ROOT])) | {name: value}
    with pytest.raises(BadInput):
        notation.claims(json.dumps(made).encode(), (ROOT,), AT)


@given(
    st.sampled_from(["mediaType", "verificationMaterial", "dsseEnvelope", "messageSignature"]),
    JSON_VALUES,
)
def test_a_member_of_any_kind_makes_a_bundle_claim_nothing(name: str, value: object) -> None:
    made = json.loads(bundled(ANN, statement_of(SUBJECT))) | {name: value}
    with pytest.raises(BadInput):
        bundle.claims(json.dumps(made).encode(), MANIFEST, (public(ANN),))
