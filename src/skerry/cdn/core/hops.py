"""What one hop keeps from the next: connection fields, Via, loops, Max-Forwards, Expect.

Owns RFC 9110 sections 7.6, 7.8 and 10.1.1 and RFC 8586. Never decides what is stored.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from skerry.cdn.core.directives import delta_seconds, split_list
from skerry.wire.message import Headers

HOP_BY_HOP = ("Connection", "Keep-Alive", "Proxy-Connection", "TE", "Transfer-Encoding", "Upgrade")
"""Fields of one connection (RFC 9110 section 7.6.1)."""

_NEVER_A_CONNECTION_OPTION = {
    "age", "authorization", "cache-control", "cdn-cache-control", "cdn-loop", "content-encoding",
    "content-length", "content-range", "content-type", "cookie", "date", "etag", "expires", "host",
    "last-modified", "range", "set-cookie", "skerry-cache-control", "vary", "via",
}  # fmt: skip
"""Fields meant for every recipient. RFC 9110 section 7.6.1 forbids to name them in Connection;
taken at its word there, a client strips a credential, or an origin's no-store, on its way."""


_NAMES_ANOTHER = {
    "x-http-method", "x-http-method-override", "x-host", "x-method-override", "x-original-host",
    "x-original-url", "x-rewrite-url",
}  # fmt: skip
"""Fields by which many origins let a request name another host, path or method than it has. No
key holds them, so what they bring about would be everybody's (`cdn.core.key`). Those that say who
asked and how are `cdn.core.forwarding`'s."""


class Expectation(Enum):
    """What `Expect` asks (RFC 9110 section 10.1.1); UNKNOWN may be answered with 417."""

    NONE = "none"
    CONTINUE = "100-continue"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Hops:
    """How far a TRACE or OPTIONS may go.

    Attributes:
        ours: this node is the last recipient and answers itself.
        headers: the request's fields with Max-Forwards counted down.
    """

    ours: bool
    headers: Headers


def connection_options(headers: Headers) -> frozenset[str]:
    """Lower-case names that Connection lists."""
    listed = headers.joined("Connection").split(",")
    return frozenset(name.strip(" \t").lower() for name in listed) - {""}


def wanted_protocols(headers: Headers, allowed: frozenset[str]) -> str:
    """The protocols that Upgrade offers and the route allows, as they go on; "" for none.

    Without its option in Connection the field is not meant for us (RFC 9110 section 7.8).
    """
    if not allowed or "upgrade" not in connection_options(headers):
        return ""
    offered, _ = split_list(headers.joined("Upgrade"))
    return ", ".join(name for name in offered if name.lower() in allowed)


def end_to_end(headers: Headers) -> Headers:
    """The fields without those of this connection (RFC 9110 section 7.6.1)."""
    named = connection_options(headers) - _NEVER_A_CONNECTION_OPTION
    return headers.without(*HOP_BY_HOP, *named)


def with_via(headers: Headers, name: str, *, protocol: str = "1.1") -> Headers:
    """Via with this node appended (section 7.6.3); `name` is a pseudonym, a token."""
    came = [line for line in headers.all("Via") if line.strip(" \t")]
    return headers.with_fields(("Via", ", ".join([*came, f"{protocol} {name}"])))


def forwarded_request(headers: Headers, name: str, *, protocol: str = "1.1") -> Headers:
    """A client's fields as they go on to the origin: end-to-end, with Via and CDN-Loop.

    Credentials for a proxy are ours to consume (RFC 9110 section 11.7.2) and go no further.
    """
    kept = end_to_end(headers).without("Proxy-Authorization")
    via = with_via(kept, name, protocol=protocol)
    came = [line for line in headers.all("CDN-Loop") if line.strip(" \t")]
    return via.with_fields(("CDN-Loop", ", ".join([*came, name])))


def shareable_request(headers: Headers, name: str, authority: str) -> Headers:
    """A client's fields as they go on for an answer that others may get: as `forwarded_request`,
    without what names something else than the key, and with the key's spelling of the host.
    """
    kept = forwarded_request(headers, name)
    named = [each for each, _ in kept if as_cgi_reads(each) in _NAMES_ANOTHER]
    return kept.without(*named).with_fields(("Host", authority))


def as_cgi_reads(name: str) -> str:
    """A field's name in the spelling that stands for all that are one name to a CGI origin:
    `X_Real_IP` is `X-Real-IP` (RFC 3875 section 4.1.18)."""
    return name.lower().replace("_", "-")


def has_looped(headers: Headers, name: str) -> bool:
    """Whether this request already passed a node of this name (RFC 8586 section 2)."""
    members, _ = split_list(headers.joined("CDN-Loop"))
    return any(member.partition(";")[0].rstrip(" \t").lower() == name.lower() for member in members)


def max_forwards(method: str, headers: Headers) -> Hops:
    """Max-Forwards of TRACE and OPTIONS (RFC 9110 section 7.6.2).

    For other methods and for values that are no number it is ignored and passed on.
    """
    left = delta_seconds((headers.get("Max-Forwards") or "").strip(" \t"))
    if method not in ("TRACE", "OPTIONS") or left is None:
        return Hops(ours=False, headers=headers)
    if left == 0:
        return Hops(ours=True, headers=headers)
    return Hops(ours=False, headers=headers.with_fields(("Max-Forwards", str(left - 1))))


def expectation(headers: Headers) -> Expectation:
    """What the client waits for before it sends its body."""
    members, _ = split_list(headers.joined("Expect"))
    if not members:
        return Expectation.NONE
    known = all(member.lower() == "100-continue" for member in members)
    return Expectation.CONTINUE if known else Expectation.UNKNOWN
