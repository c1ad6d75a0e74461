"""The edge's threshold: what a request must be before anything is looked up.

Owns the order of the first checks: shape, host and route, loops, expectations, hops, key. Each
refusal is an answer's code and one sentence that quotes nothing of the request.
"""

from __future__ import annotations

from dataclasses import dataclass

from skerry.cdn.core.forwarding import without_claims
from skerry.cdn.core.hops import Expectation, expectation, has_looped, max_forwards
from skerry.cdn.core.key import (
    CacheKey,
    NoKey,
    NoKeyReason,
    cache_key,
    normal_authority,
    normal_path,
)
from skerry.cdn.core.route import Matched, Route, RouteTable, Unrouted
from skerry.cdn.core.status import ProxyError
from skerry.cdn.core.strict import DEFAULT_LIMITS, Head, Reason, refuse
from skerry.wire.message import Headers, Request

REASONS = (
    *(each.value for each in Reason),
    *(f"key_{each.value}" for each in NoKeyReason),
    *("path_or_host", "unrouted", "loop", "expect", "max_forwards"),
)
"""Every `Refused.reason`."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a request goes no further.

    Attributes:
        reason: one of `REASONS`, a metric label.
        proxy: for Proxy-Status, where the fault is the way and not the request.
    """

    status: int
    reason: str
    sentence: str
    fields: tuple[tuple[str, str], ...] = ()
    proxy: ProxyError | None = None


@dataclass(frozen=True, slots=True)
class Admitted:
    """A sound request. `key` is None when it must pass by the cache.

    `request` has its Max-Forwards counted down and does not say who asked but in its own attributes
    (`core.forwarding`); `target` is what the origin is asked for.
    """

    request: Request
    route: Route
    key: CacheKey | None
    target: str

    @property
    def subject(self) -> str:
        """Site and path, for people; never the query, where secrets are put."""
        return f"{self.route.origin}{self.target.partition('?')[0]}"


def admit(request: Request, table: RouteTable, *, loop_id: str) -> Admitted | Refused:
    """Whether a request may go on."""
    host = request.headers.get("Host") or ""
    path = request.raw_path or request.path
    matched = _matched(request, table, host=host, path=path)
    limits = matched.route.limits if isinstance(matched, Matched) else DEFAULT_LIMITS
    shape = refuse(_head(request, path), limits)
    if shape is not None:
        return Refused(shape.status, shape.reason, shape.sentence, (("Connection", "close"),))
    if matched is None:
        return Refused(400, "path_or_host", "The host or the path cannot be read.")
    if isinstance(matched, Unrouted):
        allow = (("Allow", ", ".join(matched.allow)),) if matched.allow else ()
        return Refused(matched.status, "unrouted", matched.sentence, allow)
    if has_looped(request.headers, loop_id):
        loop = ProxyError.PROXY_LOOP_DETECTED
        return Refused(508, "loop", "This request has been here before.", proxy=loop)
    if expectation(request.headers) is Expectation.UNKNOWN:
        return Refused(417, "expect", "Only 100-continue can be expected here.")
    hops = max_forwards(request.method, request.headers)
    if hops.ours:
        return _ours(request, matched.route)
    return _keyed(request, hops.headers, matched.route, host=host, path=path)


def _matched(
    request: Request, table: RouteTable, *, host: str, path: str
) -> Matched | Unrouted | None:
    place = normal_authority(host, request.scheme)
    normal = normal_path(path)
    if place is None or isinstance(normal, NoKey):
        return None
    return table.match(host=place[0], path=normal, method=request.method)


def _head(request: Request, path: str) -> Head:
    target = f"{path}?{request.query}" if request.query else path
    # The door has already turned away every version but 1.0 and 1.1, and bad framing of these.
    return Head(
        request.method.encode("latin-1", "replace"),
        target.encode("latin-1", "replace"),
        b"1.1",
        [(n.encode("latin-1"), v.encode("latin-1")) for n, v in request.headers],
    )


def _ours(request: Request, route: Route) -> Refused:
    """Max-Forwards ended here (RFC 9110 section 7.6.2); TRACE would echo credentials."""
    if request.method == "OPTIONS":
        allow = ("Allow", ", ".join(sorted(route.methods)))
        return Refused(200, "max_forwards", "This is the edge.", (allow,))
    return Refused(405, "max_forwards", "TRACE is not answered here.", (("Allow", "OPTIONS"),))


def _keyed(
    request: Request, headers: Headers, route: Route, *, host: str, path: str
) -> Admitted | Refused:
    going = Request(
        request.method,
        request.path,
        without_claims(headers, of_proxy=bool(request.via)),
        request.query,
        request.raw_path,
        request.body,
        request.client,
        request.scheme,
        request.interim,
        request.client_port,
        via=request.via,
    )
    key = cache_key(
        scheme=request.scheme, authority=host, path=path, query=request.query, policy=route.policy
    )
    if isinstance(key, CacheKey):
        return Admitted(going, route, key, key.target)
    if key.passes:
        target = f"{path}?{request.query}" if request.query else path
        return Admitted(going, route, None, target)
    return Refused(400, f"key_{key.reason}", f"{key.sentence.capitalize()}.")
