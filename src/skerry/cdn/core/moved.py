"""A redirect that the node follows itself, so that what it leads to is stored under the first name.

Owns which redirects those are, what goes along to the other server, and what the answer's head is
made of. Never sends. RFC 9110 section 15.4, RFC 9111 section 4.

A name that leads elsewhere is as fresh as the redirect says, not as what lies there: a branch may
point to another file tomorrow, while the file under its own name never changes.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import urldefrag, urljoin, urlsplit

from skerry.cdn.core.key import PORTS, normal_authority
from skerry.wire.message import Headers

REDIRECTS = frozenset({301, 302, 303, 307, 308})
HOPS_MAX = 3
GOES_ALONG = (
    "Accept", "Accept-Encoding", "Accept-Language", "CDN-Loop", "If-Modified-Since",
    "If-None-Match", "If-Range", "Range", "User-Agent", "Via",
)  # fmt: skip
"""All that another server is told. A credential may have any name, so nothing else goes there."""
OF_THE_NAME = (
    "Age", "Cache-Control", "Cache-Groups", "Cache-Tag", "CDN-Cache-Control", "Date", "Expires",
    "Pragma", "Set-Cookie", "Skerry-Cache-Control", "Surrogate-Control", "Surrogate-Key",
)  # fmt: skip
"""What the redirect says of the name, in place of what the other server says of its own."""
EXPLICIT = ("Cache-Control", "CDN-Cache-Control", "Expires", "Skerry-Cache-Control")


@dataclass(frozen=True, slots=True)
class Hop:
    """Where a redirect leads: `origin` as in `origins`, and path and query there."""

    origin: str
    target: str


def origin_of(url: str) -> str | None:
    """`https://host[:port]` in normal form, or None for what is no such URL."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    if parts.scheme not in PORTS or "@" in parts.netloc:
        return None
    place = normal_authority(parts.netloc, parts.scheme)
    if place is None:
        return None
    host, port = place
    return f"{parts.scheme}://{host}{'' if port == PORTS[parts.scheme] else f':{port}'}"


def hop(status: int, location: str | None, *, base: str, origins: Collection[str]) -> Hop | None:
    """Where to go on, None when the redirect is the client's to follow.

    `base` is the URL that was asked for, "" when the first server said it: then only a whole URL is
    followed, since a path leads back to this site.
    """
    if status not in REDIRECTS or location is None:
        return None
    try:
        url = urldefrag(urljoin(base, location.strip())).url
        parts = urlsplit(url)
    except ValueError:
        return None
    origin = origin_of(url)
    if origin is None or origin not in origins or not url.isascii() or not url.isprintable():
        return None
    return Hop(origin, (parts.path or "/") + (f"?{parts.query}" if parts.query else ""))


def sent_along(headers: Headers) -> Headers:
    """The fields of a request as another server gets them."""
    kept = {name.lower() for name in GOES_ALONG}
    return Headers(field for field in headers if field[0].lower() in kept)


def joined(redirect: Headers, answer: Headers) -> Headers:
    """The head of the answer under the first name."""
    said = {name.lower() for name in OF_THE_NAME}
    fields = answer.without(*OF_THE_NAME, "Vary")
    if not any(name in redirect for name in EXPLICIT):
        # Nothing may be guessed from the age of what lies there (RFC 9111 section 4.2.2).
        fields = fields.without("Last-Modified")
    kept = [
        (name, value)
        for name, value in redirect
        if name.lower() in said or (name.lower().startswith("x-") and name not in fields)
    ]
    varies = ", ".join(filter(None, (redirect.joined("Vary"), answer.joined("Vary"))))
    return Headers((*fields, *kept, *((("Vary", varies),) if varies else ())))
