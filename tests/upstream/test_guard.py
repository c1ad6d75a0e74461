"""Who gets a credential, and what may be dialled."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.upstream.core.guard import (
    is_inside,
    literal,
    may_dial,
    origin_of,
    place_of,
    realm_refusal,
)

SOURCE = "https://registry.example"


def refused(realm: str, *realms: str, source: str = SOURCE) -> bool:
    return realm_refusal(realm, source_url=source, realms=realms) is not None


def test_the_sources_own_origin_is_its_token_service() -> None:
    assert not refused("https://registry.example/token")
    assert not refused("https://REGISTRY.example:443/v2/token?x=y")


@pytest.mark.parametrize(
    "realm",
    [
        "https://evil.example/token",
        "https://registry.example.evil.example/token",
        "https://evil.example/https://registry.example/token",
        "https://registry.example:8443/token",
        "https://evilregistry.example/token",
    ],
)
def test_t01_a_realm_on_another_host_is_refused(realm: str) -> None:
    assert refused(realm)


@pytest.mark.parametrize(
    "realm",
    [
        "http://registry.example/token",
        "https://user@registry.example/token",
        "https://registry.example@evil.example/token",
        "https://user:pw@registry.example/token",
        "https://203.0.113.7/token",
        "https://169.254.169.254/latest/meta-data",
        "https://[::ffff:169.254.169.254]/token",
        "https://[::1]/token",
        "https://2130706433/token",
        "https://0x7f000001/token",
        "https://127.1/token",
        "https://registry.example\\@evil.example/token",
        "https://registry.example\t.evil.example/token",
        "https://[::1/token",
        "https://registry.example:99999/token",
        "file:///etc/passwd",
        "//registry.example/token",
        "/token",
        "",
    ],
)
def test_t02_downgrades_userinfo_and_addresses_are_refused(realm: str) -> None:
    assert refused(realm)
    assert refused(realm, "https://auth.example/token")


def test_t02_a_realm_is_allowed_by_configuration_alone() -> None:
    listed = "https://auth.example/token"
    assert not refused("https://auth.example/token", listed)
    assert not refused("https://auth.example/token/v2?a=b", listed)
    assert refused("https://auth.example/tokens", listed)
    assert refused("https://auth.example/token/../steal", listed)
    assert refused("https://auth.example/token/%2e%2e/steal", listed)
    assert refused("https://auth.example:444/token", listed)
    assert refused("http://auth.example/token", listed)
    assert not refused("https://auth.example/any", "auth.example")
    assert not refused("https://10.0.0.5/token", "https://10.0.0.5/token")


def test_t02_plain_http_only_for_a_plain_source_and_only_where_it_is_listed() -> None:
    plain = "http://registry.example:5000"
    assert not refused("http://registry.example:5000/token", source=plain)
    assert not refused(
        "http://registry.example:5001/token", "http://registry.example:5001", source=plain
    )
    assert not refused("http://auth.example/token", "http://auth.example/token", source=plain)
    assert refused("http://auth.example/token", source=plain)
    assert refused("http://auth.example/token", "http://auth.example/token")


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "192.168.0.1", "172.16.0.1", "169.254.169.254", "100.64.0.1",
        "100.100.100.200", "168.63.129.16", "0.0.0.0", "224.0.0.1", "255.255.255.255",
        "::1", "::", "fe80::1", "fd00:ec2::254", "::ffff:10.0.0.1", "::ffff:169.254.169.254",
        "2002:0a00:0001::", "64:ff9b::a9fe:a9fe", "ff02::1",
    ],
)  # fmt: skip
def test_t02_inside_addresses_are_known_in_every_dress(address: str) -> None:
    assert is_inside(ipaddress.ip_address(address))
    assert not may_dial("cdn.example", literal(address), frozenset(), port=443)


@pytest.mark.parametrize("address", ["127.0.0.1", "10.1.2.3", "::1", "fd12::7", "1.1.1.1"])
def test_a_configured_name_may_be_inside_at_the_port_it_was_configured_for(address: str) -> None:
    found = literal(address)
    assert may_dial("registry.lan", found, frozenset({"registry.lan"}), port=22)
    assert may_dial("registry.lan", found, frozenset({"registry.lan:5000"}), port=5000)
    at_another = may_dial("registry.lan", found, frozenset({"registry.lan:5000"}), port=22)
    assert at_another == (address == "1.1.1.1")


@pytest.mark.parametrize(
    "address",
    ["169.254.169.254", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "fe80::1",
     "168.63.129.16", "100.100.100.200", "fd00:ec2::254"],
)  # fmt: skip
def test_t02_a_configured_name_is_never_a_metadata_service(address: str) -> None:
    """Whoever answers DNS for it would get the node's requests sent there."""
    found = literal(address)
    assert not may_dial("registry.lan", found, frozenset({"registry.lan"}), port=443)
    assert may_dial(address, found, frozenset({address}), port=443), "unless it is written out"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("cdn.example", "cdn.example"),
        ("CDN.example:8443", "cdn.example:8443"),
        ("https://auth.example/token", "auth.example:443"),
        ("http://10.0.0.9:5000", "10.0.0.9:5000"),
        ("[::1]:5000", "[::1]:5000"),
        ("https://[2001:db8::1]/v2", "[2001:db8::1]:443"),
        ("cdn.example:x", ""),
        ("", ""),
    ],
)
def test_what_is_configured_is_a_place(text: str, place: str) -> None:
    assert place_of(text) == place


@pytest.mark.parametrize("address", ["1.1.1.1", "8.8.8.8", "2606:4700::1111", "::ffff:1.1.1.1"])
def test_public_addresses_are_not_inside(address: str) -> None:
    assert not is_inside(ipaddress.ip_address(address))


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0x7f000001", "0177.0.0.1", "1.2.3.4.5"])
def test_t05_odd_numbers_are_not_dialled(host: str) -> None:
    assert not may_dial(host, None, frozenset(), port=443)


@given(st.text(max_size=100))
def test_no_text_makes_it_crash(text: str) -> None:
    origin_of(text)
    origin_of(f"https://{text}")
    realm_refusal(f"https://{text}", source_url=SOURCE, realms=(text,))


@given(st.text(max_size=40), st.text(max_size=40))
def test_t01_whatever_a_realm_says_only_the_configured_origin_passes(a: str, b: str) -> None:
    realm = f"https://{a}registry.example{b}"
    if not refused(realm):
        origin = origin_of(realm)
        assert origin is not None
        assert str(origin) == SOURCE
