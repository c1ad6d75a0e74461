"""Where a redirect may lead."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.upstream.core.redirect import CREDENTIALS, Hop, Refused, follow
from skerry.upstream.ports import Trouble
from skerry.wire.message import Headers

HERE = "https://registry.example/v2/a/blobs/x"
HEADERS = Headers(
    (("Authorization", "Bearer t"), ("Cookie", "c=1"), ("Range", "bytes=5-"), ("Accept", "*/*"))
)
OWN = frozenset({"registry.example"})


def go(
    location: str, here: str = HERE, hops: int = 0, hosts: frozenset[str] = OWN
) -> Hop | Refused:
    return follow(here, location, HEADERS, private_hosts=hosts, hops=hops)


def test_the_same_origin_keeps_the_credentials() -> None:
    hop = go("/v2/other?sig=a%2Fb#part")
    assert hop == Hop("https://registry.example/v2/other?sig=a%2Fb", HEADERS, crossed=False)


@pytest.mark.parametrize(
    "location",
    [
        "https://cdn.example/x",
        "//cdn.example/x",
        "https://registry.example:8443/x",
        "https://evilregistry.example/x",
        "https://registry.example.evil.example/x",
    ],
)
def test_t04_a_redirect_to_another_host_or_port_drops_the_credentials(location: str) -> None:
    hop = go(location)
    assert isinstance(hop, Hop)
    assert hop.crossed
    assert [name for name, _ in hop.headers] == ["Range", "Accept"]


def test_t04_a_redirect_to_another_scheme_drops_the_credentials_or_is_refused() -> None:
    up = go("https://registry.example/x", here="http://registry.example/x")
    assert isinstance(up, Hop)
    assert up.crossed
    assert "authorization" not in up.headers
    down = go("http://registry.example/x")
    assert isinstance(down, Refused)
    assert down.trouble is Trouble.FORBIDDEN_ADDRESS


def test_t04_credentials_do_not_come_back_on_the_way_home() -> None:
    away = go("https://cdn.example/x")
    assert isinstance(away, Hop)
    home = follow(away.url, HERE, away.headers, private_hosts=OWN, hops=1)
    assert isinstance(home, Hop)
    assert "authorization" not in home.headers


@pytest.mark.parametrize(
    "location",
    [
        "https://127.0.0.1/x",
        "https://169.254.169.254/latest",
        "https://[::ffff:169.254.169.254]/x",
        "https://[fe80::1]/x",
        "https://10.0.0.1/x",
        "https://2130706433/x",
        "https://0x7f.1/x",
    ],
)
def test_t05_inside_addresses_are_refused_unless_configured(location: str) -> None:
    refused = go(location)
    assert isinstance(refused, Refused)
    assert refused.trouble is Trouble.FORBIDDEN_ADDRESS
    if location.startswith("https://10.0.0.1"):
        assert isinstance(go(location, hosts=frozenset({"10.0.0.1"})), Hop)


@pytest.mark.parametrize(
    "location", ["ftp://cdn.example/x", "https://u:p@cdn.example/x", "https://[::1"]
)
def test_t05_anything_that_is_no_web_address_is_refused(location: str) -> None:
    assert isinstance(go(location), Refused)


def test_t05_a_chain_ends_after_five() -> None:
    assert isinstance(go("/x", hops=4), Hop)
    assert go("/x", hops=5) == Refused(Trouble.PROTOCOL, "redirects more than 5 times")


@given(st.text(max_size=100))
def test_t04_whatever_a_location_says_credentials_stay_at_home(location: str) -> None:
    hop = go(location)
    if isinstance(hop, Hop) and not hop.url.startswith("https://registry.example/"):
        assert not any(name in hop.headers for name in CREDENTIALS)
