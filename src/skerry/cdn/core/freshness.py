"""How old a stored response is, how long it is fresh, and how long it may be used after that.

Owns RFC 9111 section 4.2, the windows of RFC 5861 and what overrides them (requirements section
7, decision 2). Never chooses between responses and never looks at a request.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from skerry.cdn.core.dates import parse_date
from skerry.cdn.core.directives import DELTA_SECONDS_MAX, Directives, delta_seconds
from skerry.cdn.core.targeted import Control, control_of
from skerry.cdn.ports import RoutePolicy, Stored
from skerry.wire.message import Headers

HEURISTICALLY_CACHEABLE = frozenset({200, 203, 204, 206, 300, 301, 308, 404, 405, 410, 414, 501})
"""RFC 9110 section 15.1."""

HEURISTIC_SECONDS_MAX = 24 * 3600.0
"""A guess is believed no longer (RFC 9111 section 4.2.2 leaves the limit to the cache)."""

CLOCK_STEP_SECONDS_MAX = 60.0
"""A response received this far in the future is a clock put right; further, no age is known."""


class Source(StrEnum):
    """Where a freshness lifetime comes from (RFC 9111 section 4.2.1), or the route that set it."""

    ROUTE = "route"
    S_MAXAGE = "s-maxage"
    MAX_AGE = "max-age"
    EXPIRES = "expires"
    HEURISTIC = "heuristic"
    BUDGET = "budget"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Lifetime:
    """A freshness lifetime and where it comes from."""

    seconds: float
    source: Source


@dataclass(frozen=True, slots=True)
class Windows:
    """How long a response may be served after it became stale.

    Attributes:
        while_revalidate_seconds: with a validation behind it (RFC 5861 section 3).
        if_error_seconds: when the origin answers with an error (section 4).
        disconnected_seconds: when the origin does not answer (RFC 9111 section 4.2.4); may be inf.
        on_request: whether a client's `max-stale` or `stale-if-error` may widen them.
        forbidden_by: the directive that forbids stale responses, "" for none. A window that is
            open all the same was opened by the route, and whoever uses it has to say so.
    """

    while_revalidate_seconds: float
    if_error_seconds: float
    disconnected_seconds: float
    on_request: bool
    forbidden_by: str = ""


@dataclass(frozen=True, slots=True)
class Judgement:
    """A stored response at one moment.

    Attributes:
        age_seconds: `current_age` of RFC 9111 section 4.2.3; 2^31 when it cannot be known.
        lifetime: `freshness_lifetime` of section 4.2.1.
        windows: what may be done once it is stale.
        must_validate: it may not be used, fresh or stale, before the origin said so: an
            unqualified no-cache (5.2.2.4) or an invalidation (4.4).
        immutable: no reload needs to ask while it is fresh (RFC 8246).
    """

    age_seconds: float
    lifetime: Lifetime
    windows: Windows
    must_validate: bool
    immutable: bool

    @property
    def ttl_seconds(self) -> float:
        """Remaining freshness; negative once stale."""
        return self.lifetime.seconds - self.age_seconds

    @property
    def fresh(self) -> bool:
        """RFC 9111 section 4.2: the lifetime is greater than the age, not equal."""
        return self.ttl_seconds > 0


def judge(stored: Stored, now: float, policy: RoutePolicy) -> Judgement:
    """What holds of a stored response at `now`, in seconds since the epoch."""
    control = control_of(stored.headers)
    return Judgement(
        age_seconds=current_age(stored, now),
        lifetime=lifetime(stored.status, stored.headers, stored.received_at, policy),
        windows=windows(control.directives, policy),
        must_validate=stored.invalidated or control.directives.fields("no-cache") == frozenset(),
        immutable="immutable" in control.directives,
    )


def age_value(headers: Headers) -> int:
    """Seconds that `Age` says; 0 when absent or invalid.

    The first member of the first line counts, and what is no number is ignored (RFC 9111
    section 5.1).
    """
    first = (headers.get("Age") or "").partition(",")[0].strip(" \t")
    return delta_seconds(first) or 0


def date_value(headers: Headers, received_at: float) -> float:
    """The origin's time of the response, or when we got it (RFC 9110 section 6.6.1)."""
    date = parse_date(headers.get("Date"))
    return received_at if date is None else date


def current_age(stored: Stored, now: float) -> float:
    """RFC 9111 section 4.2.3, in seconds, 0 to 2^31."""
    if now + CLOCK_STEP_SECONDS_MAX < stored.received_at:
        # The clock went back. Without one nothing is reused unvalidated (RFC 9111 section 4),
        # and what expired must not come to life again (requirements section 7, decision 6).
        return float(DELTA_SECONDS_MAX)
    apparent_age = max(0.0, stored.received_at - date_value(stored.headers, stored.received_at))
    response_delay = max(0.0, stored.received_at - stored.requested_at)
    corrected_age_value = age_value(stored.headers) + response_delay
    corrected_initial_age = max(apparent_age, corrected_age_value)
    resident_time = max(0.0, now - stored.received_at)
    return min(corrected_initial_age + resident_time, float(DELTA_SECONDS_MAX))


def lifetime(status: int, headers: Headers, received_at: float, policy: RoutePolicy) -> Lifetime:
    """RFC 9111 section 4.2.1 for a shared cache; a value that cannot be read counts as stale.

    While the node's budget is short it may be longer, but for errors and for what must not be
    served stale: what the origin allows nobody, a lack of money does not either.
    """
    found = _stated(status, headers, received_at, policy)
    if policy.stretch == 1 or status >= 400 or not found.seconds:
        return found
    forbidden = windows(control_of(headers).directives, policy).forbidden_by
    if forbidden and found.source is not Source.ROUTE:
        return found
    return Lifetime(found.seconds * policy.stretch, Source.BUDGET)


def _stated(status: int, headers: Headers, received_at: float, policy: RoutePolicy) -> Lifetime:
    if policy.fresh_seconds is not None and status < 400:
        # An error is never kept longer than the origin said, whatever the route says.
        return Lifetime(policy.fresh_seconds, Source.ROUTE)
    control = control_of(headers)
    if control.directives.malformed:
        return Lifetime(0.0, Source.NONE)
    for source in (Source.S_MAXAGE, Source.MAX_AGE):
        if source.value in control.directives:
            return Lifetime(float(control.directives.seconds(source.value) or 0), source)
    date = date_value(headers, received_at)
    if control.expires is not None:
        # Invalid dates, "0" above all, mean already expired (section 5.3).
        expires = parse_date(control.expires)
        return Lifetime(0.0 if expires is None else max(0.0, expires - date), Source.EXPIRES)
    return _heuristic(status, headers, control, date, policy.heuristic_share)


def _heuristic(
    status: int, headers: Headers, control: Control, date: float, share: float
) -> Lifetime:
    """Section 4.2.2: a share of the time since Last-Modified, where the status allows a guess."""
    modified = parse_date(headers.get("Last-Modified"))
    allowed = status in HEURISTICALLY_CACHEABLE or "public" in control.directives
    if modified is None or modified > date or not allowed:
        return Lifetime(0.0, Source.NONE)
    return Lifetime(min((date - modified) * share, HEURISTIC_SECONDS_MAX), Source.HEURISTIC)


def windows(directives: Directives, policy: RoutePolicy) -> Windows:
    """How far a response with these directives may be served stale on this route.

    `must-revalidate`, `proxy-revalidate` and `s-maxage` (which includes the latter, section
    5.2.2.10) close every window of RFC 5861; an unqualified no-cache needs a validation anyway.
    Only a route that names a window of its own opens it again, and only that one.
    """
    forbidding = [
        name for name in ("must-revalidate", "proxy-revalidate", "s-maxage") if name in directives
    ]
    while_revalidate = if_error = disconnected = 0.0
    if not forbidding:
        while_revalidate = float(directives.seconds("stale-while-revalidate") or 0)
        # The origin that names a window means it for every failure; the one that names none
        # leaves us what section 4.2.4 allows a cache that is disconnected.
        stated = "stale-if-error" in directives
        if_error = float(directives.seconds("stale-if-error") or 0)
        disconnected = if_error if stated else math.inf
    if policy.stale_while_revalidate_seconds is not None:
        while_revalidate = policy.stale_while_revalidate_seconds
    if policy.stale_if_error_seconds is not None:
        if_error = disconnected = policy.stale_if_error_seconds
    return Windows(
        while_revalidate,
        if_error,
        disconnected,
        on_request=not forbidding,
        forbidden_by=forbidding[0] if forbidding else "",
    )
