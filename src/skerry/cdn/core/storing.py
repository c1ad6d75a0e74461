"""May a shared cache store this response, and which of its fields.

Owns RFC 9111 section 3 and the order in which refusals are named. Never stores: a shell does.
Parts (206) are judged here only when the caller handles parts.
"""

from __future__ import annotations

from enum import StrEnum

from skerry.cdn.core.dates import format_date, parse_date
from skerry.cdn.core.directives import Directives, request_directives
from skerry.cdn.core.forwarding import TELL_THE_CLIENT
from skerry.cdn.core.freshness import HEURISTICALLY_CACHEABLE, lifetime, windows
from skerry.cdn.core.hops import end_to_end
from skerry.cdn.core.invalidation import cache_groups
from skerry.cdn.core.targeted import Control, control_of
from skerry.cdn.core.validation import selected
from skerry.cdn.core.vary import secondary_key, vary_names
from skerry.cdn.ports import DataClass, RoutePolicy, Stored
from skerry.wire.message import Headers, Request

_UNDERSTOOD = frozenset({
    200, 201, 202, 203, 204, 205, 300, 301, 302, 303, 307, 308, 400, 401, 402, 403, 404, 405, 406,
    408, 409, 410, 411, 413, 414, 415, 421, 422, 425, 426, 451, 500, 501, 502, 503, 504, 505,
})  # fmt: skip
"""Final statuses whose caching rules are all kept here (for must-understand, section 5.2.2.3)."""

_NEVER_STORED = frozenset({428, 429, 431, 511})
"""RFC 6585 sections 3 to 6: "MUST NOT be stored by a cache"."""

_OF_THE_REQUEST = frozenset({304, 407, 412, 416, 417})
"""Answers to this request's own conditions, ranges, credentials: not to the next one's."""

_INDISPENSABLE = frozenset({
    "age", "cache-control", "cdn-cache-control", "content-encoding", "content-length",
    "content-range", "content-type", "date", "expires", "skerry-cache-control", "vary",
})  # fmt: skip
"""Without one of these the rest of a response means something else, so it is not kept at all."""

_COOKIES = ("Set-Cookie", "Set-Cookie2")
_NEVER_KEPT = ("Proxy-Authenticate", "Proxy-Authentication-Info", "Proxy-Authorization", "Trailer")


class Refusal(StrEnum):
    """Why a response is not stored; goes into the `detail` of Cache-Status."""

    SENSITIVE = "sensitive"
    METHOD = "method"
    STATUS = "status"
    PARTIAL = "partial"
    NO_STORE = "no-store"
    REQUEST_NO_STORE = "request-no-store"
    NOT_UNDERSTOOD = "must-understand"
    PRIVATE = "private"
    AUTHORIZATION = "authorization"
    SET_COOKIE = "set-cookie"
    COOKIE = "cookie"
    VARY_STAR = "vary-star"
    VARY_CLIENT = "vary-client"
    NOT_CACHEABLE = "not-cacheable"
    NO_USE = "no-use"


def refusal(
    request: Request, status: int, headers: Headers, policy: RoutePolicy, *, parts: bool = False
) -> Refusal | None:
    """Why this response may not be stored, None when it may (RFC 9111 section 3).

    Args:
        request: as the client sent it.
        headers: the response's fields as received, before anything is removed.
        parts: the caller stores 206 responses by their range and validator.
    """
    if policy.data_class is not DataClass.PUBLIC:
        return Refusal.SENSITIVE  # requirements P4; a class we do not know is sensitive too
    if request.method != "GET":
        return Refusal.METHOD
    if not 200 <= status <= 599 or status in _NEVER_STORED or status in _OF_THE_REQUEST:
        return Refusal.STATUS
    if status == 206 and not parts:
        return Refusal.PARTIAL
    control = control_of(headers)
    return (
        _forbidden(request, status, control.directives)
        or _personal(request, headers, control, policy)
        or _pointless(status, headers, control, policy)
    )


def _forbidden(request: Request, status: int, directives: Directives) -> Refusal | None:
    """What either side forbids outright (sections 3, 5.2.1.5, 5.2.2.3, 5.2.2.5)."""
    if "no-store" in request_directives(request.headers):
        return Refusal.REQUEST_NO_STORE
    if "must-understand" in directives:
        # no-store beside it is for caches that know neither the directive nor the status.
        known = status in _UNDERSTOOD or status == 206
        return None if known else Refusal.NOT_UNDERSTOOD
    return Refusal.NO_STORE if "no-store" in directives else None


def _personal(
    request: Request, headers: Headers, control: Control, policy: RoutePolicy
) -> Refusal | None:
    """What belongs to one user (sections 3.5, 5.2.2.7, 7.3)."""
    directives = control.directives
    withheld = withheld_fields(directives)
    if directives.fields("private") == frozenset() or withheld & _INDISPENSABLE:
        return Refusal.PRIVATE
    permits = ("must-revalidate", "public", "s-maxage")
    if "Authorization" in request.headers and not any(name in directives for name in permits):
        return Refusal.AUTHORIZATION
    if policy.store_cookies:
        return None
    if any(name in headers and name.lower() not in withheld for name in _COOKIES):
        return Refusal.SET_COOKIE
    # Stricter than the standard: what came for a cookie and does not say that it is for all may
    # be one user's page, and would be everyone's once the origin is gone.
    silent = not _explicit(control) and policy.fresh_seconds is None
    return Refusal.COOKIE if silent and "Cookie" in request.headers else None


def _pointless(
    status: int, headers: Headers, control: Control, policy: RoutePolicy
) -> Refusal | None:
    """What may not be stored for want of permission, or could never be used (sections 3, 4.1)."""
    if not _explicit(control) and status not in HEURISTICALLY_CACHEABLE:
        return Refusal.NOT_CACHEABLE
    names = vary_names(headers)
    if names is None:
        return Refusal.VARY_STAR
    if not TELL_THE_CLIENT.isdisjoint(names):
        return Refusal.VARY_CLIENT  # one for each client, and asked for in one's name or nobody's
    validators = selected(headers)
    if validators.etag is not None or validators.modified is not None:
        return None
    if control.directives.fields("no-cache") == frozenset():
        return Refusal.NO_USE
    # 0 stands for the time received: only Expires without a Date would see the difference.
    date = parse_date(headers.get("Date")) or 0.0
    kept = windows(control.directives, policy)
    lasts = max(
        lifetime(status, headers, date, policy).seconds,
        kept.while_revalidate_seconds,
        kept.if_error_seconds,
        kept.disconnected_seconds if status < 400 else 0.0,  # an error is no help in an outage
    )
    return None if lasts > 0 else Refusal.NO_USE


def _explicit(control: Control) -> bool:
    """Whether the origin says itself that the response may be stored (section 3)."""
    named = any(name in control.directives for name in ("public", "max-age", "s-maxage"))
    return named or control.expires is not None


def withheld_fields(directives: Directives) -> frozenset[str]:
    """Fields that may not be reused: named by `private` or `no-cache` (5.2.2.4, 5.2.2.7)."""
    private = directives.fields("private") or frozenset()
    return private | (directives.fields("no-cache") or frozenset())


def stored_fields(headers: Headers, *, received_at: float) -> Headers:
    """The fields that are kept (RFC 9111 section 3.1), every other and unknown one among them.

    Without: those of the connection, a proxy's, cookies, the announcement of trailers (which are
    not kept), and the ones that `private` and `no-cache` name. With a Date, since a response
    needs one to grow old by (RFC 9110 section 6.6.1).
    """
    withheld = withheld_fields(control_of(headers).directives)
    kept = end_to_end(headers).without(*_NEVER_KEPT, *_COOKIES, *withheld)
    if parse_date(headers.get("Date")) is None:
        kept = kept.with_fields(("Date", format_date(received_at)))
    return kept


def stored_response(
    request: Request,
    status: int,
    headers: Headers,
    *,
    requested_at: float,
    received_at: float,
    size_bytes: int | None = None,
    surrogate_keys: frozenset[str] = frozenset(),
) -> Stored:
    """What is stored of a response that nothing refuses; times in seconds since the epoch."""
    kept = stored_fields(headers, received_at=received_at)
    return Stored(
        status=status,
        headers=kept,
        requested_at=requested_at,
        received_at=received_at,
        vary=secondary_key(vary_names(kept) or (), request.headers),
        size_bytes=size_bytes,
        groups=cache_groups(kept),
        surrogate_keys=surrogate_keys,
    )
