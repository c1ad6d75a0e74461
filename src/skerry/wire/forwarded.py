"""Who asked, and how, when proxies stand in between: X-Forwarded-For, -Proto and Forwarded.

Owns the reading of what a proxy said of the one before it (RFC 7239 sections 4 to 6, and the older
fields that it replaces). Nobody is believed but who is trusted, and of what these say only what
they have seen themselves: the chain is read from its end, and what stands before the first address
that is not trusted was written by whoever is there (section 8.1).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from skerry.base.address import plain_address
from skerry.wire.message import Headers, Request

FOR, PROTO, FORWARDED = "X-Forwarded-For", "X-Forwarded-Proto", "Forwarded"
CHAIN_MAX = 16
"""Proxies that are looked behind; the one after them counts as the client."""
FIELD_LENGTH_MAX = 8192
OWN_LENGTH_MAX, OWN_COMMAS_MAX = 1024, 4
"""What a proxy writes of the one before it, in characters and in commas within quotes."""

_PAIR = re.compile(
    r"[ \t]*([!#$%&'*+.^_`|~0-9A-Za-z-]+)=(?:\"((?:[^\"\\]|\\.)*)\"|([^\",;\s]*))[ \t]*([;,]|\Z)"
)
_PORT = re.compile(r"[0-9]{1,5}\Z")


class Trusted:
    """The networks whose addresses are proxies that tell the truth."""

    def __init__(self, networks: Iterable[str]) -> None:
        """Raises ValueError for what is no network."""
        self._networks = tuple(ip_network(each, strict=False) for each in networks)
        # A proxy opens few addresses, and each of its requests asks.
        self.trusts = lru_cache(1024)(self._trusts)

    def __bool__(self) -> bool:
        return bool(self._networks)

    @property
    def networks(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """As they were written, without the bits of a host."""
        return self._networks

    def _trusts(self, address: str) -> bool:
        plain = plain_address(address)
        return bool(plain) and any(ip_address(plain) in network for network in self._networks)


@dataclass(frozen=True, slots=True)
class Said:
    """What one proxy said of the one before it. `scheme` is "" where it did not say.

    Attributes:
        address: "" for `unknown`, a made-up name (RFC 7239 section 6), or what is no address.
        port: 0 where it did not say.
    """

    address: str
    port: int = 0
    scheme: str = ""


def as_asked(request: Request, trusted: Trusted) -> Request:
    """The request with the client and the scheme that its trusted proxies vouch for.

    `via` are the proxies that it came through, the nearest to the client first. Without a trusted
    peer it stays what it is.
    """
    peer = plain_address(request.client)
    if not trusted.trusts(peer):
        return request
    headers = request.headers
    older = FOR in headers or PROTO in headers
    chain = of_list(headers) if older else of_forwarded(headers)
    client = Said(peer, request.client_port)
    via: list[str] = []
    for said in reversed(chain[-CHAIN_MAX:]):
        if not said.address or not trusted.trusts(client.address):
            break
        via.insert(0, client.address)
        client = said
    scheme = _scheme(headers, len(via)) if older else client.scheme
    return replace(
        request,
        client=client.address,
        client_port=client.port or request.client_port,  # a proxy's connection tells them apart
        scheme=scheme or request.scheme,
        via=tuple(via),
        certificate=None if via else request.certificate,  # the proxy has shown its own
    )


def of_list(headers: Headers) -> tuple[Said, ...]:
    """The end of X-Forwarded-For, who came to us last: however much a client wrote before it."""
    text = headers.joined(FOR)
    members = text.rsplit(",", CHAIN_MAX)[-CHAIN_MAX:] if text else []
    return tuple(_node(member.strip(" \t")) for member in members)


def of_forwarded(headers: Headers) -> tuple[Said, ...]:
    """Forwarded (RFC 7239 section 4), the client first; of a list that cannot be read, or is too
    long, the last element, which the proxy before us wrote: nobody hides behind his own bad one."""
    text = headers.joined(FORWARDED)
    chain = _elements(text) if len(text) <= FIELD_LENGTH_MAX else ()
    return chain or _last(text[-OWN_LENGTH_MAX:])


def _last(text: str) -> tuple[Said, ...]:
    """The last element of a list, without what stands before it."""
    comma = len(text)
    for _ in range(OWN_COMMAS_MAX):
        comma = text.rfind(",", 0, comma)
        if comma < 0:
            break
        if found := _elements(text[comma + 1 :]):
            return found
    return ()


def _elements(text: str) -> tuple[Said, ...]:
    """All of them; none where one cannot be read."""
    chain: list[Said] = []
    element: dict[str, str] = {}
    position = 0
    while position < len(text):
        found = _PAIR.match(text, position)
        if found is None or found[1].lower() in element:  # each once (section 4)
            return ()
        quoted = found[2]
        value = found[3] if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
        element[found[1].lower()] = value
        position = found.end()
        if found[4] != ";":
            chain.append(_said(element))
            element = {}
    return () if element else tuple(chain)


def _said(element: dict[str, str]) -> Said:
    node = _node(element.get("for", ""))
    scheme = element.get("proto", "").lower()
    return replace(node, scheme=scheme if scheme in ("http", "https") else "")


def _node(text: str) -> Said:
    """An address with or without a port, an IPv6 one in brackets or bare (section 6)."""
    port = ""
    if text.startswith("["):
        address, _, port = text[1:].partition("]")
        port = port.removeprefix(":")
    elif text.count(":") == 1:
        address, _, port = text.partition(":")
    else:
        address = text
    number = int(port) if _PORT.match(port) else 0
    return Said(plain_address(address), number if number < 1 << 16 else 0)


def _scheme(headers: Headers, proxies: int) -> str:
    """What the proxy that the client came to says in X-Forwarded-Proto, "" for nothing.

    One value is the first proxy's, handed on; of several, each proxy added its own.
    """
    said: Sequence[str] = [each.strip(" \t").lower() for each in headers.joined(PROTO).split(",")]
    scheme = said[max(-len(said), -max(1, proxies))]
    return scheme if scheme in ("http", "https") else ""
