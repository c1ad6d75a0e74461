"""Cache-Control as values: parsing without raising, conflicts settled to the safe side.

Owns the grammar (RFC 9111 section 5.2, RFC 9110 section 5.6) and what to make of values that do
not keep to it. Never decides whether something is stored or fresh.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from skerry.wire.message import Headers

DELTA_SECONDS_MAX = 1 << 31
"""What a larger or overflowing delta-seconds counts as (RFC 9111 section 1.2.2)."""

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")  # RFC 9110 section 5.6.2
_DIGITS = re.compile(r"[0-9]+\Z")  # int() would take other scripts' digits and underscores
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"\Z', re.DOTALL)  # RFC 9110 section 5.6.4
_MEMBERS_MAX = 256
_REMEMBERED_LENGTH_MAX = 256
BAD = ""
"""The argument of a directive whose argument cannot be read; no valid argument is empty."""


@dataclass(frozen=True, slots=True)
class Directives:
    """The directives of one message.

    Attributes:
        members: lower-case name and argument (unquoted, None when absent, BAD when unreadable),
            in the order received.
        malformed: a quote was opened and never closed, so that no freshness can be believed.
    """

    members: tuple[tuple[str, str | None], ...] = ()
    malformed: bool = False

    def __contains__(self, name: str) -> bool:
        return name in dict(self.members)  # some thirty times a request: no generator

    def seconds(self, name: str) -> int | None:
        """The delta-seconds of a directive; None when it is absent, has no argument or a bad one.

        The first occurrence counts (RFC 9111 section 4.2.1). Whoever has to tell a bad value from
        none asks `in` as well.
        """
        for member, argument in self.members:
            if member == name:
                return delta_seconds(argument)
        return None

    def fields(self, name: str) -> frozenset[str] | None:
        """Lower-case field names of a `private` or `no-cache`; None when the directive is absent.

        Empty for the unqualified form, and for a list that cannot be read: where directives
        conflict the most restrictive counts (RFC 9111 sections 4.2.1, 5.2.2.4 and 5.2.2.7).
        """
        named: set[str] = set()
        arguments = [argument for member, argument in self.members if member == name]
        for argument in arguments:
            names = [part.strip(" \t").lower() for part in (argument or BAD).split(",")]
            names = [part for part in names if part]
            if not names or not all(_TOKEN.match(part) for part in names):
                return frozenset()
            named.update(names)
        return frozenset(named) if arguments else None


NO_DIRECTIVES = Directives()


def delta_seconds(text: str | None) -> int | None:
    """A non-negative number of seconds, at most 2^31 (RFC 9111 section 1.2.2); None for others."""
    if text is None or not _DIGITS.match(text):
        return None
    digits = text.lstrip("0")
    return DELTA_SECONDS_MAX if len(digits) > 10 else min(int(digits or "0"), DELTA_SECONDS_MAX)


def split_list(value: str, separator: str = ",") -> tuple[list[str], bool]:
    """Members of a list field, outside quotes (RFC 9110 section 5.6.1); empty ones are left out.

    The second value tells whether a quote was left open; then quotes protect nothing from there
    on, lest an open quote hides a `no-store` behind it.
    """
    members: list[str] = []
    start, position, quoted, opened = 0, 0, False, 0
    broken = False
    while position <= len(value):
        letter = value[position] if position < len(value) else ""
        if quoted and not letter:
            broken, quoted = True, False
            position = opened + 1  # read it again, the quote taken as a letter
            continue
        if quoted and letter == "\\":
            position += 2 if position + 1 < len(value) else 1
            continue
        if letter == '"' and not broken:
            quoted = not quoted
            opened = position
        elif not quoted and (letter == separator or not letter):
            members.append(value[start:position].strip(" \t"))
            start = position + 1
        position += 1
    return [member for member in members if member], broken


def unquote(text: str) -> str | None:
    """The content of a quoted-string, None when it is none (RFC 9110 section 5.6.4)."""
    match = _QUOTED.match(text)
    return re.sub(r"\\(.)", r"\1", match[1], flags=re.DOTALL) if match else None


def parse_directives(lines: Iterable[str]) -> Directives:
    """Cache-Control field lines as directives; never raises (RFC 9111 section 5.2).

    Names compare without case. Token and quoted-string arguments mean the same. A member whose
    name is no token is left out as unknown (section 5.2.3); white space around "=" spoils the
    argument, not the directive.
    """
    text = ", ".join(lines)
    return _remembered(text) if len(text) <= _REMEMBERED_LENGTH_MAX else _read(text)


def _read(text: str) -> Directives:
    members, malformed = split_list(text)
    read: list[tuple[str, str | None]] = []
    for member in members[:_MEMBERS_MAX]:
        name, equals, argument = member.partition("=")
        if not _TOKEN.match(name.rstrip(" \t")):
            continue
        value: str | None = None
        if equals:
            quoted = unquote(argument)
            spaced = name.endswith((" ", "\t"))
            value = quoted if quoted is not None else argument if _TOKEN.match(argument) else BAD
            value = BAD if spaced else value
        read.append((name.rstrip(" \t").lower(), value))
    # More members than anybody means is an attack on whoever reads them: believe no freshness.
    return Directives(tuple(read), malformed or len(members) > _MEMBERS_MAX)


_remembered = lru_cache(maxsize=1024)(_read)  # an origin says the same few things all day


def response_directives(headers: Headers) -> Directives:
    """Cache-Control of a response. `Pragma` means nothing there (RFC 9111 section 5.4)."""
    return parse_directives(headers.all("Cache-Control"))


def request_directives(headers: Headers) -> Directives:
    """Cache-Control of a request, or `Pragma: no-cache` where it has none (section 5.4)."""
    lines = headers.all("Cache-Control")
    if lines:
        return parse_directives(lines)
    if "no-cache" in parse_directives(headers.all("Pragma")):
        return Directives((("no-cache", None),))
    return NO_DIRECTIVES
