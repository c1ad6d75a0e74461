"""Who is believed to have asked: the chain of trusted proxies, and nobody before it."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from skerry.wire.forwarded import CHAIN_MAX, Said, Trusted, as_asked, of_forwarded, of_list
from skerry.wire.message import Headers, PeerCertificate, Request

OURS = Trusted(["10.0.0.0/8", "fd00::/8"])
FIELDS = ("X-Forwarded-For", "X-Forwarded-Proto", "Forwarded")
JUNK = st.text(st.sampled_from('for=proto;,"[]:. 10.0.0.1\\x'), max_size=40)


def asked(peer: str, *fields: str, trusted: Trusted = OURS) -> tuple[str, str, tuple[str, ...]]:
    parts = (field.partition(": ") for field in fields)
    headers = Headers((name, value) for name, _, value in parts)
    seen = as_asked(Request("GET", "/", headers, client=peer, client_port=9), trusted)
    return seen.client, seen.scheme, seen.via


@given(fields=st.lists(st.tuples(st.sampled_from(FIELDS), JUNK), max_size=5))
def test_nobody_is_believed_but_who_is_trusted(fields: list[tuple[str, str]]) -> None:
    request = Request("GET", "/", Headers(fields), client="192.0.2.9", client_port=9)
    assert as_asked(request, OURS) is request
    assert as_asked(Request("GET", "/", Headers(fields)), OURS).client == ""  # a socket's file


@given(
    claim=st.lists(st.one_of(JUNK, st.just("10.9.9.9"), st.just("198.51.100.66")), max_size=4),
    proxies=st.lists(st.sampled_from(["10.0.0.1", "10.0.0.2", "fd00::3"]), min_size=1, max_size=4),
    client=st.sampled_from(["192.0.2.7", "2001:db8::7"]),
)
def test_what_a_client_wrote_before_honest_proxies_did_is_not_read(
    claim: list[str], proxies: list[str], client: str
) -> None:
    """Each proxy appends who came to it (RFC 7239 section 7.1); the client began with lies."""
    field = ", ".join([*claim, client, *proxies[:-1]])
    assert asked(proxies[-1], f"X-Forwarded-For: {field}") == (client, "http", tuple(proxies))


@given(text=JUNK)
@example(text='for="')
@example(text="x" * 9000)
def test_nobody_hides_behind_a_list_that_cannot_be_read(text: str) -> None:
    """A proxy that appends to what a client wrote is heard, whatever that was."""
    for own in ("for=192.0.2.7", 'for="192.0.2.7";host="a, b"'):
        for headers in (
            Headers([("Forwarded", text), ("Forwarded", own)]),
            Headers([("Forwarded", f"{text}, {own}")]),
        ):
            assert of_forwarded(headers)[-1:] == (Said("192.0.2.7"),)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("for=192.0.2.60;proto=HTTPS;by=203.0.113.43", [Said("192.0.2.60", scheme="https")]),
        ('For="[2001:db8:cafe::17]:4711"', [Said("2001:db8:cafe::17", 4711)]),
        ("for=192.0.2.43, for=198.51.100.17", [Said("192.0.2.43"), Said("198.51.100.17")]),
        ('for="_gazonk"', [Said("")]),
        ("for=unknown;proto=http", [Said("", scheme="http")]),
        ('for="192.0.2.43:_x" ;host="a,b;c\\"d"', [Said("192.0.2.43")]),
        ("for=192.0.2.43;for=10.0.0.1", []),
        ("for=192.0.2.43;", []),
        ('for="192.0.2.43', []),
        ("for", []),
    ],
)
def test_the_examples_of_rfc_7239_sections_4_and_6(text: str, said: list[Said]) -> None:
    assert list(of_forwarded(Headers([("Forwarded", text)]))) == said


@pytest.mark.parametrize(
    ("member", "said"),
    [
        ("192.0.2.1:443", Said("192.0.2.1", 443)),
        ("[2001:db8::1]:443", Said("2001:db8::1", 443)),
        ("2001:DB8:0::1", Said("2001:db8::1")),
        ("::ffff:192.0.2.1", Said("192.0.2.1")),
        ("fe80::1%eth0", Said("fe80::1")),
        ("192.0.2.1:99999", Said("192.0.2.1")),
        ("unknown", Said("")),
        ("", Said("")),
    ],
)
def test_an_address_is_read_however_a_proxy_writes_it(member: str, said: Said) -> None:
    assert of_list(Headers([("X-Forwarded-For", member)])) == ((said,) if member else ())


def test_the_scheme_is_what_the_first_trusted_proxy_was_asked_by() -> None:
    chain = "X-Forwarded-For: 192.0.2.7"
    assert asked("10.0.0.1", chain, "X-Forwarded-Proto: https")[1] == "https"
    assert asked("10.0.0.1", chain, "X-Forwarded-Proto: http, https")[1] == "https"
    two = "X-Forwarded-For: 192.0.2.7, 10.0.0.2"
    assert asked("10.0.0.1", two, "X-Forwarded-Proto: lie, https, http")[1] == "https"
    assert asked("10.0.0.1", two, "X-Forwarded-Proto: https")[1] == "https"
    assert asked("10.0.0.1", chain, "X-Forwarded-Proto: gopher")[1] == "http"
    assert asked("10.0.0.1", "Forwarded: for=192.0.2.7;proto=https")[1] == "https"
    both = ("X-Forwarded-For: 192.0.2.7", "Forwarded: for=198.51.100.1;proto=https")
    assert asked("10.0.0.1", *both) == ("192.0.2.7", "http", ("10.0.0.1",))


def test_a_chain_ends_at_what_is_no_address_and_at_its_bound() -> None:
    assert asked("10.0.0.1", "X-Forwarded-For: 192.0.2.7, unknown") == ("10.0.0.1", "http", ())
    hidden = asked("10.0.0.1", "X-Forwarded-For: 192.0.2.7, _x, 10.0.0.2")
    assert hidden == ("10.0.0.2", "http", ("10.0.0.1",))
    long = asked("10.0.0.1", "X-Forwarded-For: " + ", ".join(["10.0.0.2"] * 400))
    assert len(long[2]) == CHAIN_MAX
    # Who writes more than anybody needs is no proxy for that.
    more = "X-Forwarded-For: " + ", ".join([*["10.0.0.2"] * 4000, "192.0.2.7"])
    assert asked("10.0.0.1", more) == ("192.0.2.7", "http", ("10.0.0.1",))


def test_a_certificate_that_a_proxy_has_shown_is_nobodys_who_came_through_it() -> None:
    shown = PeerCertificate(("cn:proxy",), 0.0)
    for field, kept in (("192.0.2.7", None), ("unknown", shown)):
        headers = Headers([("X-Forwarded-For", field)])
        request = Request("GET", "/", headers, client="10.0.0.1", certificate=shown)
        assert as_asked(request, OURS).certificate is kept


def test_a_proxys_connection_tells_clients_of_one_address_apart() -> None:
    headers = Headers([("X-Forwarded-For", "192.0.2.7")])
    assert (
        as_asked(Request("GET", "/", headers, client="10.0.0.1", client_port=9), OURS).client_port
        == 9
    )
    headers = Headers([("X-Forwarded-For", "192.0.2.7:5123")])
    assert (
        as_asked(Request("GET", "/", headers, client="10.0.0.1", client_port=9), OURS).client_port
        == 5123
    )
