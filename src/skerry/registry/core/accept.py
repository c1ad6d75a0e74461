"""Which manifest media types a client takes, and which we ask for.

Owns `Accept` (RFC 9110 section 12.5.1) for manifests. Never chooses to trim or convert: a stored
manifest goes out as it is (known failures T21); this only says whether the client asked for it.
"""

from __future__ import annotations

from collections.abc import Sequence

from skerry.registry.core.manifests import MEDIA_TYPES

UPSTREAM_ACCEPT = MEDIA_TYPES
"""One `Accept` line each. Always the whole list, so that what one client warmed another reads."""

RANGES_MAX = 64
"""More media ranges than this in one request are not read; the client then takes everything."""

Preferences = tuple[tuple[str, float], ...]


def normalise(accept_lines: Sequence[str]) -> Preferences:
    """The media ranges a client sent, lower case, without repeats, sorted; () takes everything.

    Two requests that mean the same give the same value whatever their order, spaces, case,
    parameters or spread over lines (T19), so it may be part of a key.
    """
    wanted: dict[str, float] = {}
    for item in ",".join(accept_lines).split(","):
        media_range, *parameters = (part.strip().lower() for part in item.split(";"))
        if media_range.count("/") != 1:
            continue
        wanted[media_range] = max(wanted.get(media_range, 0.0), _quality(parameters))
    if len(wanted) > RANGES_MAX:
        return ()
    return tuple(sorted(wanted.items()))


def acceptable(media_type: str, accept_lines: Sequence[str]) -> bool:
    """Whether a client asked for this media type.

    No `Accept` takes everything. False is a remark, not a refusal: like distribution we answer
    with what is there, because the digest a client asked for has one form only.
    """
    wanted = dict(normalise(accept_lines))
    if not wanted:
        return True
    media_type = media_type.lower()
    kind = media_type.partition("/")[0]
    for media_range in (media_type, f"{kind}/*", "*/*"):  # the most specific decides
        if media_range in wanted:
            return wanted[media_range] > 0
    return False


def _quality(parameters: Sequence[str]) -> float:
    for parameter in parameters:
        name, equals, value = parameter.partition("=")
        if equals and name.strip() == "q":
            return _number(value.strip())
    return 1.0


def _number(text: str) -> float:
    """A qvalue; what is not one counts as 1, for a careless client is not a picky one."""
    whole, _, part = text.partition(".")
    if not (whole in ("0", "1") and len(part) <= 3 and (not part or part.isdecimal())):
        return 1.0
    return min(1.0, float(text)) if part.isascii() else 1.0
