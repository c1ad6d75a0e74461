"""What a registrar says is read as RFC 9083 means it, or not at all."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.base.errors import BadInput
from skerry.trust.core.delegation import Registration
from skerry.trust.core.rdap import STATUS_MAX, read_domain, service_of

BOOTSTRAP = json.dumps(
    {
        "version": "1.0",
        "services": [
            [["com", "net"], ["http://registry.example.com/a/", "https://registry.example.com/b/"]],
            [["example", "co.example"], ["https://example.example/rdap"]],
            [["co.example"], ["https://co.example/rdap/"]],
            ["odd"],
            [["broken"], ["ftp://broken.example/"]],
        ],
    }
).encode()


@pytest.mark.parametrize(
    ("domain", "url"),
    [
        ("example.net", "https://registry.example.com/b/"),
        ("a.b.example", "https://example.example/rdap/"),
        ("shop.co.example", "https://example.example/rdap/"),
        ("example.org", ""),
        ("notnet", ""),
        ("a.broken", ""),
    ],
)
def test_the_longest_match_wins_and_https_before_http(domain: str, url: str) -> None:
    assert service_of(BOOTSTRAP, domain) == url


def answer(**changes: object) -> bytes:
    document: dict[str, object] = {
        "objectClassName": "domain",
        "ldhName": "EXAMPLE.org.",
        "status": ["active", "Client Transfer Prohibited"],
        "events": [
            {"eventAction": "registration", "eventDate": "2001-01-01T00:00:00Z"},
            {"eventAction": "expiration", "eventDate": "2027-01-31T12:00:00.5+01:00"},
        ],
    }
    return json.dumps(document | changes).encode()


def test_dates_and_status_are_read() -> None:
    found = read_domain(answer(), "example.org")
    assert found == Registration(1801393200.5, frozenset({"active", "client transfer prohibited"}))
    assert read_domain(answer(events=[]), "example.org").expires_at is None


@pytest.mark.parametrize(
    "change",
    [
        {"ldhName": "example.net"}, {"ldhName": None}, {"objectClassName": "nameserver"},
        {"status": "active"}, {"status": ["x"] * (STATUS_MAX + 1)},
        {"events": [{"eventAction": "expiration", "eventDate": "soon"}]},
    ],
)  # fmt: skip
def test_an_answer_about_something_else_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(BadInput):
        read_domain(answer(**change), "example.org")


@given(st.binary(max_size=100) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["services", "status", "events", "ldhName", "objectClassName"]), inner
    ),
).map(lambda value: json.dumps(value).encode()))  # fmt: skip
def test_any_document_is_read_or_refused(data: bytes) -> None:
    for read in (service_of, read_domain):
        try:
            read(data, "example.org")
        except BadInput:
            pass
