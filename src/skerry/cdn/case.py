"""One request that may be answered from what is stored, and what may be done about it.

Owns the values a round of decisions is made on, and which requests may end in the store at all.
Performs nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from skerry.cdn.core import reuse
from skerry.cdn.core.directives import request_directives
from skerry.cdn.core.key import CacheKey
from skerry.cdn.core.status import Fwd
from skerry.cdn.entries import Held
from skerry.cdn.fetches import Ask, may_share
from skerry.cdn.ports import DataClass, Origin, RoutePolicy, Stored
from skerry.wire.message import Request

NOT_HERE = (Fwd.URI_MISS, Fwd.VARY_MISS, Fwd.MISS)
_NOT_WHOLE = (*NOT_HERE, Fwd.PARTIAL)
_FROM_START = re.compile(r"[ \t]*bytes[ \t]*=[ \t]*0+-[^,]*\Z", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Case:
    """One request that may be answered from what is stored."""

    request: Request
    key: CacheKey
    policy: RoutePolicy
    origin: Origin
    found: tuple[Held, ...] = ()

    @property
    def stored(self) -> tuple[Stored, ...]:
        return tuple(held.stored for held in self.found)


def held_of(case: Case, stored: Stored) -> Held:
    """Where a stored response came from."""
    return next(held for held in case.found if held.stored is stored)


def ask_of(
    case: Case, validate: reuse.Validate | None, *, shared: bool = True, near: bool = False
) -> Ask:
    """What to ask the origin for."""
    found = case.found
    return Ask(case.key, case.policy, case.origin, case.request, found, validate, shared, near)


def _keepable(case: Case) -> bool:
    """Whether an answer to this request may end in the store at all."""
    headers = case.request.headers
    if case.request.method != "GET" or case.policy.data_class is not DataClass.PUBLIC:
        return False
    if "If-Match" in headers or "If-Unmodified-Since" in headers:
        return False  # the origin's to judge (RFC 9111 section 4.3.2)
    return "no-store" not in request_directives(headers)


def for_slices(case: Case, why: Fwd) -> bool:
    """Whether what is not here as one body may be answered from slices."""
    ranged = "Range" in case.request.headers or why is Fwd.PARTIAL
    return ranged and why in _NOT_WHOLE and may_share(case.request) and _keepable(case)


def fetchable(case: Case, why: Fwd) -> bool:
    """Whether the whole is fetched for this request; else it goes on as it is."""
    asked = case.request.headers.get("Range")
    begins_later = asked is not None and not _FROM_START.match(asked)
    return _keepable(case) and not (begins_later and why in _NOT_WHOLE)
