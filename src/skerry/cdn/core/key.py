"""The cache key: what two requests must share to share an answer.

Owns the normal form of scheme, host, path and query (RFC 9110 section 4.2.3, RFC 3986 section 6).
Never resolves what is ambiguous: a dot segment, a broken escape or a control character has no
key. Never holds a credential (requirements P4): a request that carries one in its target has no
key either and passes by the cache. What was dropped from the key must be dropped from the request
to the origin as well (`CacheKey.target`), or it could change the answer that others get.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import AddressValueError, IPv6Address
from urllib.parse import unquote_to_bytes

from skerry.cdn.ports import RoutePolicy

KEY_BYTES_MAX = 8192
"""Of the whole key; RFC 9112 section 3 wants request lines of 8000 octets to work."""
PARAMETERS_MAX = 128
"""More query parameters than this are an attack on whoever sorts them."""
DIGEST_HEX = 40
"""160 bits: nobody finds two URLs with one digest, and a file name stays short."""
PORTS = {"http": 80, "https": 443}

BEARER_PARAMETERS = frozenset(
    b"access_token refresh_token id_token token auth_token authtoken jwt bearer assertion apikey "
    b"api_key api-key secret client_secret password passwd pwd sig signature x-amz-signature "
    b"x-amz-security-token x-amz-credential x-goog-signature x-goog-credential session session_id "
    b"sessionid sid phpsessid jsessionid".split()
)
"""Query parameters that let in whoever holds them (RFC 6750 section 2.3 and common practice)."""

# What a browser sends unescaped (URL standard, path and query percent-encode sets) is let through;
# `[`, `]`, `|` and `^` stay as they are, since escaping a reserved character changes its meaning.
_PATH = re.compile(r"/[A-Za-z0-9\-._~!$&'()*+,;=:@/%\[\]|^]*\Z")
_QUERY = re.compile(r"[A-Za-z0-9\-._~!$&'()*+,;=:@/?%\[\]|^`{}\\]*\Z")
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
_BROKEN = re.compile(r"%(?![0-9A-Fa-f]{2})")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_CONTROL = re.compile(r"%(?:[01][0-9A-F]|7F)")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\Z")
_SESSION = re.compile(r";(?:jsessionid|phpsessid|sid|session_?id)=", re.IGNORECASE)


class NoKeyReason(StrEnum):
    """Bounded: a metric label."""

    SCHEME = "scheme"
    HOST = "host"
    PATH = "path"
    DOT_SEGMENT = "dot_segment"
    ESCAPE = "escape"
    QUERY = "query"
    TOO_LONG = "too_long"
    BEARER = "bearer"


@dataclass(frozen=True, slots=True)
class NoKey:
    """The request has no key. `sentence` names no part of the request."""

    reason: NoKeyReason
    sentence: str

    @property
    def passes(self) -> bool:
        """Whether the request is sound and only goes past the cache; otherwise answer 400."""
        return self.reason is NoKeyReason.BEARER


@dataclass(frozen=True, slots=True)
class CacheKey:
    """A request's normal form. `host` is in lower case, `query` without the question mark.

    The variants of one key (`Vary`) and the slices of its object all belong to it.
    """

    scheme: str
    host: str
    port: int
    path: str
    query: str = ""
    _digest: str = field(default="", init=False, repr=False, compare=False)

    @property
    def origin(self) -> str:
        """`https://example.org`, with the port where it is not the scheme's own."""
        port = "" if self.port == PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{self.host}{port}"

    @property
    def authority(self) -> str:
        """What `Host` says to the origin: as in `origin`, however the client spelled it."""
        return self.origin.partition("://")[2]

    @property
    def target(self) -> str:
        """The request target to ask the origin for, so that it sees no more than the key has."""
        return f"{self.path}?{self.query}" if self.query else self.path

    @property
    def text(self) -> str:
        """The whole key, unambiguous: neither host nor path can hold a question mark."""
        return self.origin + self.target

    @property
    def digest(self) -> str:
        """A stable name for storage: hexadecimal, `DIGEST_HEX` digits. Changing it is a format
        change: everything on disk would be lost to the cache."""
        if not self._digest:  # hashed once: a request asks for it at every step
            object.__setattr__(self, "_digest", key_digest(self.text))
        return self._digest


def key_digest(text: str) -> str:
    """`CacheKey.digest` of a key's whole text: its origin and its target."""
    return hashlib.sha256(text.encode("ascii")).hexdigest()[:DIGEST_HEX]


def cache_key(
    *, scheme: str, authority: str, path: str, query: str, policy: RoutePolicy
) -> CacheKey | NoKey:
    """The key of a request, or why it has none.

    `path` and `query` are as sent. A target without a query and one with an empty query share a
    key. Order of parameters is made canonical by name; equal names keep their order, because
    their order means something to most origins.
    """
    if scheme not in PORTS:
        return NoKey(NoKeyReason.SCHEME, "only http and https have a cache key")
    if len(path) + len(query) + len(authority) > KEY_BYTES_MAX:
        return NoKey(NoKeyReason.TOO_LONG, f"the key would be longer than {KEY_BYTES_MAX} bytes")
    place = normal_authority(authority, scheme)
    if place is None:
        return NoKey(NoKeyReason.HOST, "the host is not a name, an address or a port of one")
    proper = normal_path(path)
    if isinstance(proper, NoKey):
        return proper
    if ";" in proper and _SESSION.search(proper):
        return NoKey(NoKeyReason.BEARER, "the path carries a session")
    canonical = canonical_query(query, policy.query_allow)
    if isinstance(canonical, NoKey):
        return canonical
    return CacheKey(scheme, *place, proper, canonical)


def normal_authority(authority: str, scheme: str) -> tuple[str, int] | None:
    """Host in lower case without the root's dot, and port (RFC 3986 sections 3.2.2, 6.2.3).

    None for anything else, user information included (RFC 9110 section 4.2.4).
    """
    host, port_text = authority, ""
    if authority.startswith("["):
        host, bracket, rest = authority[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            return None
        port_text = rest[1:]
        try:
            host = f"[{IPv6Address(host).compressed}]" if "%" not in host else ""
        except AddressValueError:
            return None
    elif ":" in authority:
        host, _, port_text = authority.partition(":")
    if port_text and not (port_text.isascii() and port_text.isdigit() and len(port_text) <= 5):
        return None
    port = int(port_text) if port_text else PORTS[scheme]
    if not host.startswith("["):
        host = host.lower().removesuffix(".")
        if len(host) > 253 or not all(_LABEL.match(label) for label in host.split(".")):
            return None
    return (host, port) if 0 < port < 65536 else None


def normal_path(path: str) -> str | NoKey:
    """The path with escapes of unreserved characters undone and the rest in upper case.

    RFC 3986 sections 6.2.2.1 and 6.2.2.2: neither changes what is named. Section 6.2.2.3 would
    remove dot segments; they are refused instead, because what the origin makes of them, before
    or after decoding, cannot be known.
    """
    if not _PATH.match(path):
        return NoKey(NoKeyReason.PATH, "the path holds a character that no path may hold")
    if "%" in path:
        if _BROKEN.search(path):
            return NoKey(NoKeyReason.ESCAPE, "the path holds a broken percent escape")
        path = _ESCAPE.sub(_unescape, path)
        if _CONTROL.search(path):
            return NoKey(NoKeyReason.ESCAPE, "the path holds an escaped control character")
    if "/." in path and any(segment in (".", "..") for segment in path.split("/")):
        return NoKey(NoKeyReason.DOT_SEGMENT, "the path holds a dot segment")
    return path


def canonical_query(query: str, allow: Collection[str] | None) -> str | NoKey:
    """The parameters that count, sorted by decoded name, equal names in their order.

    `allow` names those that are part of the key, None for all. Only `&` separates (URL standard,
    application/x-www-form-urlencoded); whatever another separator hides stays inside one
    parameter and is kept or dropped with it.
    """
    if not query:
        return ""
    if not _QUERY.match(query):
        return NoKey(NoKeyReason.QUERY, "the query holds a character that no query may hold")
    if _BROKEN.search(query):
        return NoKey(NoKeyReason.ESCAPE, "the query holds a broken percent escape")
    pieces = [piece for piece in _ESCAPE.sub(_unescape, query).split("&") if piece]
    if len(pieces) > PARAMETERS_MAX:
        return NoKey(NoKeyReason.QUERY, f"the query has more than {PARAMETERS_MAX} parameters")
    if any("%00" in piece for piece in pieces):
        return NoKey(NoKeyReason.ESCAPE, "the query holds an escaped NUL")
    named = [(unquote_to_bytes(piece.partition("=")[0]), piece) for piece in pieces]
    if any(name.lower() in BEARER_PARAMETERS for name, _ in named):
        return NoKey(NoKeyReason.BEARER, "the query carries a credential")
    if allow is not None:
        wanted = {name.encode() for name in allow}
        named = [item for item in named if item[0] in wanted]
    return "&".join(piece for _, piece in sorted(named, key=lambda item: item[0]))


def _unescape(match: re.Match[str]) -> str:
    character = chr(int(match[1], 16))
    return character if character in _UNRESERVED else match[0].upper()
