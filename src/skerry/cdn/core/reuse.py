"""One request, the stored responses of its key, a time: what to do.

Owns RFC 9111 section 4 (constructing responses), 4.2.4 (stale ones), the request directives of
5.2.1, RFC 5861 and RFC 8246. Never performs anything. The client's If-None-Match and
If-Modified-Since are judged afterwards, on what is served (`validation.evaluate_cached`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from skerry.cdn.core.directives import DELTA_SECONDS_MAX, Directives, request_directives
from skerry.cdn.core.freshness import Judgement, Source, date_value, judge
from skerry.cdn.core.status import Fwd
from skerry.cdn.core.validation import conditions_for, origin_conditions_hold, selected
from skerry.cdn.core.vary import matches, vary_names
from skerry.cdn.ports import DataClass, RoutePolicy, Stored
from skerry.wire.message import Headers, Request

ERRORS = frozenset({500, 502, 503, 504})
"""Answers that stale-if-error is for (RFC 5861 section 4)."""


class Reason(StrEnum):
    """What permits a stale response; goes into the `detail` of Cache-Status."""

    MAX_STALE = "max-stale"
    WHILE_REVALIDATE = "stale-while-revalidate"
    IF_ERROR = "stale-if-error"
    DISCONNECTED = "disconnected"


@dataclass(frozen=True, slots=True)
class Forward:
    """Nothing stored helps: send the request on."""

    why: Fwd


@dataclass(frozen=True, slots=True)
class Validate:
    """Send the request on with these conditions in place of the client's (section 4.3.1).

    Attributes:
        candidates: the stored responses that a 304 may confirm, most recent first.
        conditions: empty when nothing stored has a validator: then it is a plain request.
    """

    candidates: tuple[Stored, ...]
    conditions: Headers
    why: Fwd


@dataclass(frozen=True, slots=True)
class Serve:
    """Answer with a fresh stored response. `detail` names what a route overrode, or is ""."""

    stored: Stored
    age_seconds: float
    ttl_seconds: float
    detail: str = ""


@dataclass(frozen=True, slots=True)
class ServeStale:
    """Answer with a stale stored response.

    Attributes:
        behind: what to send to the origin behind the answer, None after it was just asked.
        overrides: the origin's directive that the route sets aside, "" for none.
    """

    stored: Stored
    age_seconds: float
    ttl_seconds: float
    reason: Reason
    behind: Validate | None = None
    overrides: str = ""

    @property
    def detail(self) -> str:
        """For Cache-Status: the reason, and an override spelled out."""
        if not self.overrides:
            return self.reason.value
        return f"{self.reason.value}; route overrides {self.overrides}"


@dataclass(frozen=True, slots=True)
class OnlyIfCachedMiss:
    """Answer 504: the client wants nothing that is not stored (section 5.2.1.7)."""


@dataclass(frozen=True, slots=True)
class PassError:
    """Answer with the origin's error, or with our own when there was no answer."""


@dataclass(frozen=True, slots=True)
class MustRevalidate:
    """Answer 504: the origin is out of reach and `directive` forbids stale (5.2.2.2, 5.2.2.8)."""

    directive: str


Decision = Forward | Validate | Serve | ServeStale | OnlyIfCachedMiss
AfterFailure = Serve | ServeStale | PassError | MustRevalidate


def decide(stored: Sequence[Stored], request: Request, now: float, policy: RoutePolicy) -> Decision:
    """What to do with a request, given all stored responses of its primary key.

    `now` is in seconds since the epoch. A stored 206 answers nothing here: parts are another
    core's.
    """
    if request.method not in ("GET", "HEAD"):
        return Forward(Fwd.METHOD)  # written through, section 4
    wishes = request_directives(request.headers)
    decision = _decide(stored, request, wishes, now, policy)
    if "only-if-cached" in wishes and isinstance(decision, (Forward, Validate)):
        return OnlyIfCachedMiss()
    return decision


def _decide(
    stored: Sequence[Stored],
    request: Request,
    wishes: Directives,
    now: float,
    policy: RoutePolicy,
) -> Decision:
    if policy.data_class is not DataClass.PUBLIC:
        return Forward(Fwd.BYPASS)  # also what was stored before the route became sensitive
    found = select(stored, request, now, policy)
    if not found:
        return Forward(_why_none(stored, request))
    best = found[0]
    view = judge(best, now, policy)
    if not origin_conditions_hold(request.headers, selected(best.headers)):
        return Forward(Fwd.REQUEST)
    why = Fwd.REQUEST if view.fresh and not view.must_validate else Fwd.STALE
    validate = Validate(found, conditions_for(found, request.headers), why)
    if view.must_validate or "no-cache" in wishes:
        return validate
    if view.fresh:
        if not _fresh_enough(view, wishes):
            return validate
        return Serve(best, view.age_seconds, view.ttl_seconds, _route_detail(view))
    reason = _stale_now(view, wishes)
    if reason is None:
        return validate
    return ServeStale(
        best,
        view.age_seconds,
        view.ttl_seconds,
        reason,
        behind=validate,
        overrides=view.windows.forbidden_by,
    )


def after_failure(
    stored: Sequence[Stored],
    request: Request,
    now: float,
    policy: RoutePolicy,
    *,
    status: int | None,
) -> AfterFailure:
    """What to answer when forwarding failed.

    `status` is the origin's answer; None when it gave none (refused, silent, cut off). What the
    client wished for with no-cache, max-age or min-fresh is a preference (section 5.2.1) and does
    not turn a stored answer into an error page.
    """
    usable = request.method in ("GET", "HEAD") and policy.data_class is DataClass.PUBLIC
    failed = status is None or status in ERRORS
    found = select(stored, request, now, policy) if usable and failed else ()
    if not found or not origin_conditions_hold(request.headers, selected(found[0].headers)):
        return PassError()
    best = found[0]
    view = judge(best, now, policy)
    if view.must_validate:
        return PassError()
    if view.fresh:
        return Serve(best, view.age_seconds, view.ttl_seconds, _route_detail(view))
    windows = view.windows
    wished = request_directives(request.headers).seconds("stale-if-error") or 0
    window = windows.if_error_seconds if status is not None else windows.disconnected_seconds
    if windows.on_request:
        window = max(window, float(wished))
    if -view.ttl_seconds <= window > 0:
        reason = Reason.IF_ERROR if status is not None else Reason.DISCONNECTED
        overrides = windows.forbidden_by
        return ServeStale(best, view.age_seconds, view.ttl_seconds, reason, overrides=overrides)
    if status is None and windows.forbidden_by:
        return MustRevalidate(windows.forbidden_by)
    return PassError()


def select(
    stored: Sequence[Stored], request: Request, now: float, policy: RoutePolicy
) -> tuple[Stored, ...]:
    """The stored responses that the request's fields select, most recent first (section 4.1).

    Where some responses name Vary and others do not, the ones without are passed over as long as
    one that names it is fresh: the origin forgets the field now and then, and what it was
    selected by is not known.
    """
    whole = [response for response in stored if response.status != 206]
    varying = [response for response in whole if vary_names(response.headers)]
    if len(varying) < len(whole) and any(judge(one, now, policy).fresh for one in varying):
        whole = varying
    found = [one for one in whole if matches(one.vary, one.headers, request.headers)]
    found.sort(
        key=lambda one: (date_value(one.headers, one.received_at), one.received_at), reverse=True
    )
    return tuple(found)


def _why_none(stored: Sequence[Stored], request: Request) -> Fwd:
    """Why nothing was selected, from most specific to least (RFC 9211 section 2.2)."""
    if not stored:
        return Fwd.URI_MISS
    if any(one.status == 206 and matches(one.vary, one.headers, request.headers) for one in stored):
        return Fwd.PARTIAL
    return Fwd.VARY_MISS


def _fresh_enough(view: Judgement, wishes: Directives) -> bool:
    """Whether a fresh response is what the client wishes (sections 5.2.1.1 and 5.2.1.3).

    While an immutable one is fresh, a reload's max-age is not worth a validation; no-cache is
    (RFC 8246 section 2.1). Values that cannot be read are no wish.
    """
    age_max = wishes.seconds("max-age")
    young = age_max is None or view.immutable or view.age_seconds <= age_max
    return young and view.ttl_seconds >= (wishes.seconds("min-fresh") or 0)


def _stale_now(view: Judgement, wishes: Directives) -> Reason | None:
    """What permits a stale response before the origin is asked, None for nothing.

    A client that says max-age or min-fresh wants no stale one, unless it says max-stale too
    (sections 5.2.1.1 to 5.2.1.3).
    """
    stale_seconds = -view.ttl_seconds
    age_max = wishes.seconds("max-age")
    if wishes.seconds("min-fresh") or (age_max is not None and view.age_seconds > age_max):
        return None
    if "max-stale" in wishes and view.windows.on_request:
        bare = ("max-stale", None) in wishes.members
        accepted = float(DELTA_SECONDS_MAX) if bare else wishes.seconds("max-stale")
        if accepted is not None and stale_seconds <= accepted:
            return Reason.MAX_STALE
    if age_max is None and stale_seconds <= view.windows.while_revalidate_seconds > 0:
        return Reason.WHILE_REVALIDATE
    return None


def _route_detail(view: Judgement) -> str:
    source = view.lifetime.source
    return f"fresh by {source}" if source in (Source.ROUTE, Source.BUDGET) else ""
