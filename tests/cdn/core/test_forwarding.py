"""What an origin is told of who asked: by the node alone, whatever the client said."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.cdn.core.forwarding import TELL_THE_CLIENT, for_all, for_one, without_claims
from skerry.cdn.core.storing import Refusal, refusal
from skerry.cdn.ports import ClientAddress, DataClass, RoutePolicy
from skerry.wire.forwarded import of_forwarded, of_list
from skerry.wire.message import Headers, Request

SAID = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP")
CLAIMED = (
    *SAID, "X-Forwarded-Port", "X-Forwarded-Scheme", "X-Forwarded-Ssl", "True-Client-IP",
    "Client-IP", "X_Forwarded_For", "x_real_ip", "Forwarded-For", "X-URL-Scheme", "Front-End-Https",
    "X-Forwarded-User", "X_Forwarded_Email", "X-Forwarded-Path",
)  # fmt: skip
ADDRESSES = st.one_of(
    st.integers(0, 2**32 - 1).map(IPv4Address), st.integers(2**33, 2**120).map(IPv6Address)
).map(str)
LIES = st.lists(st.tuples(st.sampled_from(CLAIMED), st.text('lie,;=:[]"1.', min_size=3)))


def admitted(headers: Headers, client: str, *via: str, scheme: str = "https") -> Request:
    """A request as the threshold hands it on."""
    kept = without_claims(headers, of_proxy=bool(via))
    return Request("GET", "/", kept, client=client, scheme=scheme, via=via)


def test_an_origin_is_told_who_asked_how_and_for_which_host_rfc_7239_section_4() -> None:
    going = for_one(
        admitted(Headers((("Host", "www.example.org:8443"),)), "192.0.2.7"), RoutePolicy(), hop="r"
    )
    assert [going.get(name) for name in SAID] == [
        'for=192.0.2.7;proto=https;host="www.example.org:8443"',
        "192.0.2.7",
        "www.example.org:8443",
        "https",
        "192.0.2.7",
    ]


def test_the_chain_of_trusted_proxies_is_appended_to_rfc_7239_sections_4_and_6() -> None:
    asked = admitted(Headers((("Host", "a"),)), "2001:db8::7", "10.0.0.1", "fd00::2")
    going = for_one(asked, RoutePolicy(), hop="r")
    assert going.get("X-Forwarded-For") == "2001:db8::7, 10.0.0.1, fd00::2"
    wanted = 'for="[2001:db8::7]";proto=https;host=a, for=10.0.0.1, for="[fd00::2]"'
    assert going.get("Forwarded") == wanted
    assert going.get("X-Real-IP") == "2001:db8::7"


@given(client=ADDRESSES, via=st.lists(ADDRESSES, max_size=3), lies=LIES, shared=st.booleans())
def test_whatever_a_client_says_only_the_node_is_heard(
    client: str, via: list[str], lies: list[tuple[str, str]], shared: bool
) -> None:
    named = ("Connection", "close, X-Forwarded-For, Forwarded, X-Forwarded-Proto")
    request = admitted(Headers((("Host", "a"), named, *lies)), client, *via, scheme="http")
    policy = RoutePolicy(client_address=ClientAddress.ALWAYS)
    going = (
        for_all(request, policy, hop="r", authority="a")
        if shared
        else for_one(request, policy, hop="r")
    )
    assert all(len(going.all(name)) == 1 for name in SAID)
    assert [said.address for said in of_list(going)] == [client, *via]
    chain = of_forwarded(going)
    assert [said.address for said in chain] == [client, *via]
    assert chain[0].scheme == going.get("X-Forwarded-Proto") == "http"
    if shared or not via:
        others = {name.lower().replace("_", "-") for name, _ in going} - {n.lower() for n in SAID}
        assert not others & {name.lower().replace("_", "-") for name in CLAIMED}


@pytest.mark.parametrize(
    ("setting", "alone", "shared"),
    [
        (ClientAddress.UNSHARED, "192.0.2.7", None),
        (ClientAddress.ALWAYS, "192.0.2.7", "192.0.2.7"),
        (ClientAddress.NEVER, None, None),
    ],
)
def test_the_address_is_told_where_the_operator_wants_it(
    setting: ClientAddress, alone: str | None, shared: str | None
) -> None:
    request = admitted(Headers((("Host", "a"),)), "192.0.2.7", "10.0.0.1")
    policy = RoutePolicy(client_address=setting)
    ways = (
        (for_one(request, policy, hop="r"), alone),
        (for_all(request, policy, hop="r", authority="a"), shared),
    )
    for going, told in ways:
        assert going.get("X-Real-IP") == told
        said = str(tuple(going))
        assert {address in said for address in ("192.0.2.7", "10.0.0.1")} == {told is not None}
        assert going.get("X-Forwarded-Host") == "a"
        assert "proto=https;host=a" in going.joined("Forwarded")


def test_a_request_of_the_nodes_own_is_in_nobodys_name() -> None:
    policy = RoutePolicy(client_address=ClientAddress.ALWAYS)
    going = for_all(admitted(Headers(), ""), policy, hop="r", authority="a")
    assert going.get("Forwarded") == "proto=https;host=a"
    assert "X-Forwarded-For" not in going


@pytest.mark.parametrize("name", sorted(TELL_THE_CLIENT))
def test_an_answer_that_varies_with_the_client_is_for_one_client(name: str) -> None:
    policy = RoutePolicy(data_class=DataClass.PUBLIC)
    fields = Headers((("Cache-Control", "max-age=60"), ("Vary", f"Accept, {name.title()}")))
    assert refusal(Request("GET", "/"), 200, fields, policy) is Refusal.VARY_CLIENT
    kept = fields.with_fields(("Vary", "X-Forwarded-Proto, X-Forwarded-Host"))
    assert refusal(Request("GET", "/"), 200, kept, policy) is None  # the key holds both
