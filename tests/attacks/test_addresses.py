"""No upstream leads the node to a place inside, however its address is written."""

from __future__ import annotations

import ipaddress

import pytest

from skerry.upstream.core.guard import is_inside, may_dial
from skerry.upstream.core.redirect import Refused, follow
from skerry.wire.message import Headers


@pytest.mark.parametrize(
    "address",
    [
        "::127.0.0.1", "::10.0.0.1", "::ffff:0:127.0.0.1", "64:ff9b:1::a00:1", "64:ff9b::7f00:1",
        "fec0::1", "192.0.0.8", "100.64.0.1", "169.254.169.254", "fd00:ec2::254", "::ffff:a00:1",
        "2002:7f00:1::", "0.0.0.0", "::", "ff02::1", "240.0.0.1",
    ],
)  # fmt: skip
def test_every_way_to_write_an_inside_address_is_inside(address: str) -> None:
    assert is_inside(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1", "64:ff9b::808:808"])
def test_addresses_of_the_internet_are_not(address: str) -> None:
    assert not is_inside(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "location",
    [
        "https://localhost/", "https://LOCALHOST./", "https://admin.localhost/",
        "https://[::127.0.0.1]/", "https://127.1/", "https://0x7f000001/", "https://2130706433/",
        "http://cdn.example/", "https://user@cdn.example/", "https://cdn.example\\@127.0.0.1/",
        "file:///etc/passwd", "gopher://cdn.example/", "//127.0.0.1/x", "https://127.0.0.1.:443/",
    ],
)  # fmt: skip
def test_no_redirect_leads_inside(location: str) -> None:
    url = "https://up.test/v2/a/blobs/b"
    found = follow(url, location, Headers(), private_hosts=frozenset({"up.test"}), hops=0)
    assert isinstance(found, Refused)


def test_a_configured_host_may_be_this_very_machine() -> None:
    assert may_dial(
        "localhost", ipaddress.ip_address("127.0.0.1"), frozenset({"localhost"}), port=80
    )
    assert may_dial(
        "127.0.0.1", ipaddress.ip_address("127.0.0.1"), frozenset({"127.0.0.1"}), port=80
    )
