"""What an origin is told of who asked, through which scheme, and for which host.

Owns X-Forwarded-For, -Proto and -Host, X-Real-IP and Forwarded as they go on (RFC 7239). What a
client says of itself in these fields, or in their kin, never goes on: an origin that trusts the
node would be lied to. A proxy that the operator trusts is believed in what it has seen
(`wire.forwarded`), and its chain is appended to (RFC 7239 section 4).

Where an answer may be given to others it is asked for in nobody's name, unless the operator says
otherwise: what one client brings about must not be everybody's, and an address is personal data
(RFC 7239 section 8.3). Scheme and host are told always, for the key holds both.
"""

from __future__ import annotations

from skerry.base.address import plain_address
from skerry.cdn.core.hops import as_cgi_reads, forwarded_request, shareable_request
from skerry.cdn.ports import ClientAddress, RoutePolicy
from skerry.wire.message import Headers, Request

TELL_THE_CLIENT = frozenset({
    "cf-connecting-ip", "client-ip", "fastly-client-ip", "forwarded", "forwarded-for",
    "true-client-ip", "x-client-ip", "x-cluster-client-ip", "x-forwarded", "x-forwarded-for",
    "x-original-forwarded-for", "x-originating-ip", "x-real-ip", "x-remote-addr", "x-remote-ip",
})  # fmt: skip
"""Fields in which origins look for the client's address. An answer that varies with one of them is
for one client (RFC 9111 section 4.1)."""

_OURS = frozenset({
    "forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip",
})  # fmt: skip
"""What is said anew at each node, whoever said it before."""

_CLAIMS = TELL_THE_CLIENT | _OURS | {"front-end-https", "x-scheme", "x-url-scheme"}
_CLAIMING = "x-forwarded-"
"""And those that name a scheme, a port, a place or a person (`X-Forwarded-User`), for which every
proxy has its own: with `http` in one of them a client has an origin redirect everybody to where
they are."""

_TOKEN = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")


def without_claims(headers: Headers, *, of_proxy: bool) -> Headers:
    """A request's fields without what they say of who asked.

    Args:
        of_proxy: they come from a trusted proxy; only what is said anew is left out.
    """
    named = [(name, as_cgi_reads(name)) for name, _ in headers]
    gone = [name for name, read in named if read in _OURS or (not of_proxy and _is_claim(read))]
    return headers.without(*gone) if gone else headers


def _is_claim(name: str) -> bool:
    return name in _CLAIMS or name.startswith(_CLAIMING)


def for_one(request: Request, policy: RoutePolicy, *, hop: str) -> Headers:
    """An admitted request's fields as they go on, for an answer that only its client gets."""
    told = policy.client_address is not ClientAddress.NEVER
    going = forwarded_request(request.headers, hop)
    return _said(going, request, request.headers.get("Host") or "", told=told)


def for_all(request: Request, policy: RoutePolicy, *, hop: str, authority: str) -> Headers:
    """An admitted request's fields as they go on, for an answer that others may get."""
    told = policy.client_address is ClientAddress.ALWAYS
    headers = without_claims(request.headers, of_proxy=False)
    return _said(shareable_request(headers, hop, authority), request, authority, told=told)


def _said(headers: Headers, request: Request, authority: str, *, told: bool) -> Headers:
    """With what this node says: last of all, so that no field names it away (RFC 9110 7.6.1)."""
    client = plain_address(request.client) if told else ""
    chain = (client, *request.via) if client else ()
    fields = [("X-Forwarded-Proto", request.scheme), ("X-Forwarded-Host", authority)]
    if chain:
        fields += [("X-Forwarded-For", ", ".join(chain)), ("X-Real-IP", client)]
    return headers.with_fields(*fields, ("Forwarded", _forwarded(chain, request.scheme, authority)))


def _forwarded(chain: tuple[str, ...], scheme: str, authority: str) -> str:
    """Forwarded (RFC 7239 section 4): what the client asked, then each proxy. Never `by`: the
    inside of the operator's network is nobody's business (section 8.2)."""
    first = [f"for={_node(chain[0])}"] if chain else []
    asked = ";".join([*first, f"proto={scheme}", f"host={_value(authority)}"])
    return ", ".join([asked, *(f"for={_node(proxy)}" for proxy in chain[1:])])


def _node(address: str) -> str:
    """A node identifier: IPv6 in brackets, which takes quotes (section 6)."""
    return f'"[{address}]"' if ":" in address else address


def _value(text: str) -> str:
    """A token, or a quoted string (RFC 9110 section 5.6.4)."""
    if text and _TOKEN.issuperset(text):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
