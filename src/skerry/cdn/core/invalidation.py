"""What an unsafe request makes invalid (RFC 9111 section 4.4) and cache groups (RFC 9875).

Owns which URIs and groups, as values. Never removes or marks anything: a shell does.
"""

from __future__ import annotations

from urllib.parse import SplitResult, urljoin, urlsplit, urlunsplit

import http_sf

from skerry.wire.message import Headers

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
"""RFC 9110 section 9.2.1. A method that is not known is taken for unsafe (RFC 9111 section 4.4)."""

GROUPS_MAX = 128
GROUP_LETTERS_MAX = 256
"""RFC 9875 section 2 asks for at least 32 groups of 32 characters; longer fields are ignored."""

_PORTS = {"http": 80, "https": 443}


def invalidated_uris(method: str, status: int, target: str, headers: Headers) -> tuple[str, ...]:
    """Absolute URIs whose stored responses a response to `method` makes invalid.

    The target, and `Location` and `Content-Location` where they are of its origin: another
    origin's would be a way to empty its cache (RFC 9111 section 4.4). Nothing for safe methods
    and for errors. `target` is absolute; fragments are dropped.
    """
    if method in SAFE_METHODS or not 200 <= status <= 399:
        return ()
    found = {target: None}
    for name in ("Location", "Content-Location"):
        value = headers.get(name)
        uri = _same_origin(target, value.strip(" \t")) if value else None
        if uri is not None:
            found[uri] = None
    return tuple(found)


def invalidated_groups(method: str, status: int, headers: Headers) -> frozenset[str]:
    """Groups of the target's origin that a response makes invalid (RFC 9875 section 3).

    MUST be ignored for safe methods. Errors are left out as in RFC 9111 section 4.4. What is
    invalidated this way invalidates no further groups (section 2.2.1).
    """
    if method in SAFE_METHODS or not 200 <= status <= 399:
        return frozenset()
    return _strings(headers.joined("Cache-Group-Invalidation"))


def cache_groups(headers: Headers) -> frozenset[str]:
    """Groups that a response belongs to, within its origin (RFC 9875 section 2)."""
    return _strings(headers.joined("Cache-Groups"))


def _strings(value: str) -> frozenset[str]:
    """A List of Strings, parameters ignored; empty for anything else (RFC 9651 section 4.2)."""
    try:
        parsed = http_sf.parse(value.encode("latin-1"), tltype="list")
    except ValueError:
        return frozenset()
    if not isinstance(parsed, list) or len(parsed) > GROUPS_MAX:
        return frozenset()
    found: set[str] = set()
    for member in parsed:
        bare = member[0] if isinstance(member, tuple) else member
        if not isinstance(bare, str) or len(bare) > GROUP_LETTERS_MAX:
            return frozenset()
        found.add(bare)
    return frozenset(found)


def _same_origin(target: str, reference: str) -> str | None:
    """A reference as an absolute URI of the target's origin, None for another origin's."""
    try:
        uri = urlsplit(urljoin(target, reference))
        if _origin(uri) != _origin(urlsplit(target)):
            return None
    except ValueError:
        return None
    base = urlsplit(target)
    return urlunsplit((base.scheme, base.netloc, uri.path or "/", uri.query, ""))


def _origin(uri: SplitResult) -> tuple[str, str | None, int | None]:
    """Scheme, host and port (RFC 9110 section 4.3.1)."""
    scheme = uri.scheme.lower()
    return scheme, uri.hostname, uri.port or _PORTS.get(scheme)
