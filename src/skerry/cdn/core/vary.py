"""The secondary key: which request fields a response varies on, and when two requests agree.

Owns RFC 9111 section 4.1 and the normalisation it permits. Never reads a stored response's body.
"""

from __future__ import annotations

import hashlib
import json
import re

from skerry.cdn.core.directives import split_list
from skerry.wire.message import Headers

_QVALUE = re.compile(r"(?:0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)\Z")  # RFC 9110 section 12.4.2
_ENCODING_ALIASES = {"x-gzip": "gzip", "x-compress": "compress"}  # RFC 9110 section 8.4.1

SecondaryKey = tuple[tuple[str, str], ...]


def vary_names(headers: Headers) -> tuple[str, ...] | None:
    """Field names that `Vary` lists, lower case, each once, sorted; None for `*` anywhere.

    A list that contains `*` never matches, whatever else it names (RFC 9111 section 4.1).
    """
    names = {part.strip(" \t").lower() for part in headers.joined("Vary").split(",")}
    return None if "*" in names else tuple(sorted(names - {""}))


def secondary_key(names: tuple[str, ...], request: Headers) -> SecondaryKey:
    """Normalised values of these request fields, sorted by name.

    A field that the request lacks is left out, so that absence only equals absence.
    """
    return tuple((name, normalised(name, request.all(name))) for name in names if name in request)


def normalised(name: str, lines: tuple[str, ...]) -> str:
    """A request field's value in the one form that all values of the same meaning share.

    Lines are combined (RFC 9110 section 5.3). Accept, Accept-Encoding and Accept-Language lose
    what means nothing: white space, case, `q=1`, repeats and order. For languages of equal weight
    order is kept, since some origins read it as preference (RFC 9110 section 12.5.4). A list that
    cannot be read stays as it is: too many variants are safer than a wrong one.
    """
    combined = ", ".join(line.strip(" \t") for line in lines)
    if name not in ("accept", "accept-encoding", "accept-language"):
        return combined
    members, broken = split_list(combined)
    weighted = [_weighted(name, member) for member in members]
    read = [pair for pair in weighted if pair is not None]
    if broken or len(read) < len(weighted):
        return combined
    unique = list(dict.fromkeys(read))
    if name == "accept-language":
        unique.sort(key=lambda pair: -pair[1])
    else:
        unique.sort(key=lambda pair: (-pair[1], pair[0]))
    return ",".join(text if q == 1000 else f"{text};q={q / 1000:g}" for text, q in unique)


def _weighted(name: str, member: str) -> tuple[str, int] | None:
    """A list member without its weight, and the weight in thousandths; None when unreadable."""
    head, *parameters = split_list(member, ";")[0] or [""]
    head = head.lower()
    if not head or " " in head or "\t" in head:
        return None
    if name == "accept-encoding":
        head = _ENCODING_ALIASES.get(head, head)
    weight, kept = 1000, [head]
    for parameter in parameters:
        key, equals, value = parameter.partition("=")
        if not equals:
            return None
        if key.lower() != "q":
            kept.append(f"{key.lower()}={value}")  # a parameter's value may have case
        elif _QVALUE.match(value):
            weight = round(float(value) * 1000)
        else:
            return None
    return ";".join(kept), weight


def matches(stored_vary: SecondaryKey, stored: Headers, request: Headers) -> bool:
    """Whether a stored response was selected by the same request fields (section 4.1)."""
    names = vary_names(stored)
    return names is not None and secondary_key(names, request) == stored_vary


def variant_name(stored: Headers, stored_vary: SecondaryKey, in_slices: bool) -> str:
    """What makes two stored responses of one key the same variant: 32 hexadecimal digits.

    Changing it is a format change: what is on disk and in vaults is named by it.
    """
    text = json.dumps([vary_names(stored), stored_vary, in_slices])
    return hashlib.sha256(text.encode()).hexdigest()[:32]
