"""Which directives govern a response here: targeted fields, then Cache-Control (RFC 9213).

Owns the target list and the choice. Never removes a field: targeted ones are passed on.
"""

from __future__ import annotations

from dataclasses import dataclass

import http_sf

from skerry.cdn.core.directives import BAD, Directives, delta_seconds, response_directives
from skerry.wire.message import Headers

TARGETS = ("Skerry-Cache-Control", "CDN-Cache-Control")
"""From most to least applicable (RFC 9213 section 2.2)."""

_IN_SECONDS = {"max-age", "s-maxage", "stale-while-revalidate", "stale-if-error"}
_NAMING_FIELDS = {"private", "no-cache"}


@dataclass(frozen=True, slots=True)
class Control:
    """What governs a response.

    Attributes:
        directives: of the chosen field.
        expires: the first Expires line, None when absent or when a targeted field governs.
        source: name of the chosen field.
    """

    directives: Directives
    expires: str | None
    source: str


def control_of(headers: Headers) -> Control:
    """The first valid, non-empty targeted field; otherwise Cache-Control and Expires.

    When a targeted field governs, Cache-Control and Expires count for nothing (RFC 9213
    section 2.2).
    """
    for name in TARGETS:
        directives = _dictionary(headers.joined(name))
        if directives is not None:
            return Control(directives, None, name)
    return Control(response_directives(headers), headers.get("Expires"), "Cache-Control")


def _dictionary(value: str) -> Directives | None:
    """A targeted field as directives; None when empty or not a dictionary (section 2.1)."""
    if not value:
        return None
    try:
        parsed = http_sf.parse(value.encode("latin-1"), tltype="dictionary")
    except ValueError:  # StructuredFieldError and UnicodeEncodeError are both
        return None
    if not isinstance(parsed, dict) or not parsed:
        return None
    members: list[tuple[str, str | None]] = []
    for name, member in parsed.items():
        bare = member[0] if isinstance(member, tuple) else member  # parameters are ignored
        members.append((name, _argument(name, bare)))
    return Directives(tuple(members))


def _argument(name: str, bare: object) -> str | None:
    """A member's value as a directive's argument; BAD for a type that section 2.1 does not infer.

    A bad type spoils the argument and keeps the directive: a `max-age` that is no Integer is
    stale at once, a `no-store=?0` still forbids storing.
    """
    if bare is True:
        return None
    if name in _IN_SECONDS:
        text = str(bare) if isinstance(bare, int) and not isinstance(bare, bool) else BAD
        return text if delta_seconds(text) is not None else BAD
    if name in _NAMING_FIELDS and isinstance(bare, (str, http_sf.Token)):
        return str(bare)
    return BAD
