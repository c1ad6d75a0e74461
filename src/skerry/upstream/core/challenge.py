"""What a 401 asks for.

Owns the grammar of `WWW-Authenticate` (RFC 9110 section 11.6.1) and the choice among challenges.
Never decides who may be given a credential: that is `guard`. Malformed fields give fewer
challenges, never an error (known failures T9).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

FIELD_LENGTH_MAX = 8192
CHALLENGES_MAX = 16

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PARAM = re.compile(rf'\s*({_TOKEN})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|({_TOKEN}|[^\s,"]+))\s*')
_SCHEME = re.compile(rf"\s*({_TOKEN})(?:\s+|\s*(?=,)|\s*\Z)")
_TOKEN68 = re.compile(r"\s*[A-Za-z0-9._~+/-]+=*\s*(?=,|\Z)")
_QUOTED_PAIR = re.compile(r"\\(.)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Challenge:
    """One way in: a scheme in lower case and its parameters, names in lower case."""

    scheme: str
    params: tuple[tuple[str, str], ...] = ()

    def get(self, name: str) -> str:
        """A parameter's value, "" when absent."""
        return next((value for key, value in self.params if key == name), "")


def parse_challenges(fields: Iterable[str]) -> tuple[Challenge, ...]:
    """Every challenge of these field lines, in order; what cannot be read is passed over."""
    found: list[Challenge] = []
    for field in fields:
        found.extend(_parse_field(field[:FIELD_LENGTH_MAX]))
    return tuple(found[:CHALLENGES_MAX])


def choose(challenges: Iterable[Challenge]) -> Challenge | None:
    """The one to answer: Bearer with a realm, else Basic, else none that is understood."""
    usable = [c for c in challenges if c.scheme == "basic" or (_is_bearer(c) and c.get("realm"))]
    return next(iter(sorted(usable, key=lambda c: not _is_bearer(c))), None)


def _is_bearer(challenge: Challenge) -> bool:
    return challenge.scheme == "bearer"


def _parse_field(field: str) -> list[Challenge]:
    found: list[Challenge] = []
    params: list[tuple[str, str]] = []
    scheme = ""
    position = 0
    while position < len(field):
        if match := re.compile(r"[\s,]+").match(field, position):
            position = match.end()
            continue
        param = _PARAM.match(field, position)
        if param is not None and scheme:
            quoted = param[2]
            value = param[3] if quoted is None else _QUOTED_PAIR.sub(r"\1", quoted)
            params.append((param[1].lower(), value))
            position = param.end()
            continue
        start = _SCHEME.match(field, position)
        if start is None:
            position = _next_item(field, position)
            continue
        if scheme:
            found.append(Challenge(scheme, tuple(params)))
        scheme, params = start[1].lower(), []
        position = start.end()
        if (blob := _TOKEN68.match(field, position)) and not _PARAM.match(field, position):
            position = blob.end()
    if scheme:
        found.append(Challenge(scheme, tuple(params)))
    return found


def _next_item(field: str, position: int) -> int:
    comma = field.find(",", position)
    return len(field) if comma < 0 else comma + 1
