"""RFC 9530: what an origin promises of a representation, and what a client may ask."""

from __future__ import annotations

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.base.digest import digest_of
from skerry.cdn.core.digests import is_wanted, of_the_part, promised, with_repr_digest
from skerry.wire.message import Headers

BODY = b"tide"
SHA256 = f"sha-256=:{base64.b64encode(hashlib.sha256(BODY).digest()).decode()}:"
SHA512 = f"sha-512=:{base64.b64encode(hashlib.sha512(BODY).digest()).decode()}:"


def fields(**values: str) -> Headers:
    return Headers((name.replace("_", "-"), value) for name, value in values.items())


def test_a_representations_digest_is_a_promise_of_the_whole_body() -> None:
    assert promised(200, fields(Repr_Digest=SHA256)) == digest_of(BODY)
    assert promised(200, fields(Repr_Digest=f"{SHA512}, {SHA256}")) == digest_of(BODY)


def test_a_contents_digest_is_one_only_where_the_content_is_the_whole() -> None:
    assert promised(200, fields(Content_Digest=SHA256)) == digest_of(BODY)
    assert promised(206, fields(Content_Digest=SHA256)) is None
    assert of_the_part(fields(Content_Digest=SHA256)) == digest_of(BODY)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "sha-256",
        "sha-256=abc",
        "sha-256=:AAAA:",
        "sha-256=:not base64:",
        'sha-256="' + "0" * 64 + '"',
        SHA512,
        "sha-256=1",
        f"{SHA256}, =",
        "\u00e9",
    ],
)
def test_what_cannot_be_read_promises_nothing(value: str) -> None:
    assert promised(200, fields(Repr_Digest=value)) is None


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("sha-256=10", True),
        ("sha-512=3, sha-256=1", True),
        ("sha-256=0", False),
        ("sha-256=11", False),
        ("sha-256", False),
        ("sha-256=1.5", False),
        ("sha-512=10", False),
        ("md5=10", False),
        ("", False),
        ("=", False),
    ],
)
def test_a_client_asks_with_a_weight_from_one_to_ten(value: str, wanted: bool) -> None:
    assert is_wanted(fields(Want_Repr_Digest=value)) is wanted


def test_what_the_origin_said_stays_beside_ours() -> None:
    digest = digest_of(BODY)
    assert with_repr_digest(Headers(), digest).get("Repr-Digest") == SHA256
    both = with_repr_digest(fields(Repr_Digest=SHA512), digest)
    assert both.get("Repr-Digest") == f"{SHA512}, {SHA256}"
    assert with_repr_digest(both, digest) == both
    assert with_repr_digest(fields(Repr_Digest="!"), digest).get("Repr-Digest") == SHA256


@given(st.text())
def test_no_field_breaks_the_reader(value: str) -> None:
    headers = fields(Repr_Digest=value, Want_Repr_Digest=value, Content_Digest=value)
    promised(200, headers)
    is_wanted(headers)
    with_repr_digest(headers, digest_of(BODY))
