"""What the cache keeps and decides on, as values.

Owns the shapes shared by the cores and the shell. Times are seconds since the epoch.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from skerry.wire.message import Headers


class DataClass(StrEnum):
    """Whose business a response is (requirements P4). Unknown means sensitive."""

    PUBLIC = "public"
    SENSITIVE = "sensitive"


@dataclass(frozen=True, slots=True)
class RoutePolicy:
    """What the operator decided for a route; every override is explicit and visible.

    Attributes:
        data_class: SENSITIVE is never stored.
        fresh_seconds: overrides the origin's freshness; None leaves it to the origin.
        stale_if_error_seconds: serve stale so long when the origin fails, whatever the origin
            said of `must-revalidate`, `proxy-revalidate` and `s-maxage`; None keeps to the
            standard (requirements section 7, decision 2).
        stale_while_revalidate_seconds: the same for revalidation behind the answer.
        store_cookies: responses with Set-Cookie may be stored, without that field.
        heuristic_share: of the time since Last-Modified (RFC 9111 section 4.2.2).
        query_allow: query parameters that are part of the key; None for all of them.
    """

    data_class: DataClass = DataClass.SENSITIVE
    fresh_seconds: float | None = None
    stale_if_error_seconds: float | None = None
    stale_while_revalidate_seconds: float | None = None
    store_cookies: bool = False
    heuristic_share: float = 0.1
    query_allow: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Stored:
    """One stored response (RFC 9111 section 3), without its body.

    Attributes:
        status: its status code; 206 only for parts.
        headers: end-to-end fields as stored, section 3.1 applied.
        requested_at, received_at: for the age arithmetic of section 4.2.3.
        vary: normalised values of the request fields that `Vary` names, () for none.
        size_bytes: length of the whole representation, None while it is not known.
        invalidated: marked invalid or soft-purged: must be validated before it is used.
    """

    status: int
    headers: Headers
    requested_at: float
    received_at: float
    vary: tuple[tuple[str, str], ...] = ()
    size_bytes: int | None = None
    invalidated: bool = False
    groups: frozenset[str] = field(default_factory=frozenset)
    surrogate_keys: frozenset[str] = field(default_factory=frozenset)
