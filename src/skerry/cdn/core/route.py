"""Virtual hosts and their routes: what the operator decided for a request.

Owns the table and its two rules: the exact host before the nearest wildcard, and the longest prefix
by whole path segments. Never changes once built; a new configuration is a new table. A host that
is not in it gets 421 (RFC 9110 sections 7.4 and 15.5.20), so that no name pointed here by somebody
else can fill the cache.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from skerry.base.errors import BadInput, Party
from skerry.cdn.core.key import NoKey, normal_authority, normal_path
from skerry.cdn.core.slices import SLICE_BYTES_DEFAULT, SLICE_BYTES_MAX, SLICE_BYTES_MIN
from skerry.cdn.core.strict import Limits
from skerry.cdn.ports import DataClass, RoutePolicy

UPGRADE_IDLE_SECONDS = 600.0
READING = frozenset({"GET", "HEAD"})
_SLASHES = re.compile(r"/{2,}")
_PARAMETERS = re.compile(r"(?:;|%3B)[^/]*")
_METHOD = re.compile(r"[A-Z][A-Z-]{0,31}\Z")


@dataclass(frozen=True, slots=True)
class Route:
    """What the operator said of everything under `prefix`.

    Attributes:
        prefix: a path, matched by whole segments: `/a` is `/a` and `/a/b`, never `/ab`.
        origin: the name of the origin to ask.
        slice_bytes: objects longer than one slice are stored in slices; None stores wholes.
        methods: what may be asked; HEAD goes with GET.
        request_bytes_max: of a request's body.
        tells_key: Cache-Status tells the cache key to whoever asks (RFC 9211 section 2.7).
        vaulted: what is public here gets a copy in the vault, if there is one.
        vault_seconds: how long such a copy is kept; None as long as the vault's settings say.
        upgrades: protocols that a client may switch to, in lower case.
        upgrade_idle_seconds: a switched connection without a byte for so long is ended.
    """

    prefix: str
    origin: str
    policy: RoutePolicy = field(default_factory=RoutePolicy)
    slice_bytes: int | None = SLICE_BYTES_DEFAULT
    methods: frozenset[str] = READING
    request_bytes_max: int = 1 << 20
    tells_key: bool = False
    vaulted: bool = True
    vault_seconds: float | None = None
    upgrades: frozenset[str] = frozenset()
    upgrade_idle_seconds: float = UPGRADE_IDLE_SECONDS
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, slots=True)
class Site:
    """A virtual host. `hosts` are names, `*.name` for all below a name, or `*` for any host."""

    name: str
    hosts: tuple[str, ...]
    routes: tuple[Route, ...]


@dataclass(frozen=True, slots=True)
class Matched:
    """The site and the route of a request."""

    site: Site
    route: Route


@dataclass(frozen=True, slots=True)
class Unrouted:
    """Why there is no route: 421 unknown host, 404 no prefix, 405 method with its `Allow`."""

    status: int
    sentence: str
    allow: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Paths:
    """One site's routes by normal prefix; `depth_max` is that of the longest, in segments."""

    site: Site
    routes: Mapping[str, Route]
    depth_max: int


@dataclass(frozen=True, slots=True)
class RouteTable:
    """Every site, ready to look up: a look-up costs no more than the deepest prefix."""

    exact: Mapping[str, _Paths]
    below: Mapping[str, _Paths]
    any_host: _Paths | None

    def match(self, *, host: str, path: str, method: str) -> Matched | Unrouted:
        """The route for a host without its port and a path, both in normal form (`CacheKey`).

        Empty segments are passed over here, and only here: an origin that reads `//admin` as
        `/admin` must not get it under the policy of `/`. Nor must one that reads `/admin;x` or
        `/Admin` so: where such a reading leads to a sensitive route, that one counts.
        """
        paths = self._site(host)
        if paths is None:
            return Unrouted(421, "This host is not served here.")
        route = _strictest(paths, path)
        if route is None:
            return Unrouted(404, "Nothing is configured at this path.")
        if method not in route.methods and not (method == "HEAD" and "GET" in route.methods):
            allowed = route.methods | ({"HEAD"} if "GET" in route.methods else set())
            return Unrouted(405, "The method is not allowed here.", tuple(sorted(allowed)))
        return Matched(paths.site, route)

    def _site(self, host: str) -> _Paths | None:
        found = self.exact.get(host)
        rest = host
        while found is None and "." in rest:
            rest = rest.partition(".")[2]
            found = self.below.get(rest)
        return found or self.any_host


def build(sites: Iterable[Site]) -> RouteTable:
    """The table of these sites. Raises BadInput, naming site and value, for a contradiction."""
    exact: dict[str, _Paths] = {}
    below: dict[str, _Paths] = {}
    any_host: dict[str, _Paths] = {}
    for site in sites:
        paths = _paths(site)
        if not site.hosts:
            raise _bad(site, "has no hosts", "list at least one")
        for written in site.hosts:
            wild = written.startswith("*.")
            name = written if written == "*" else _host(site, written[2:] if wild else written)
            place = any_host if written == "*" else below if wild else exact
            if name in place:
                other = place[name].site.name
                raise _bad(site, f"has host {written!r}, as site {other!r} has", "keep it in one")
            place[name] = paths
    return RouteTable(MappingProxyType(exact), MappingProxyType(below), any_host.get("*"))


def _paths(site: Site) -> _Paths:
    routes: dict[str, Route] = {}
    for route in site.routes:
        normal = normal_path(route.prefix)
        if isinstance(normal, NoKey):
            raise _bad(site, f"has prefix {route.prefix!r}: {normal.sentence}", "write a path")
        prefix = _SLASHES.sub("/", normal).rstrip("/")
        if prefix in routes:
            raise _bad(site, f"has prefix {route.prefix!r} twice", "keep one")
        if not route.methods or not all(_METHOD.match(method) for method in route.methods):
            raise _bad(site, f"has bad methods at {route.prefix!r}", "write them in upper case")
        size = route.slice_bytes
        if size is not None and not SLICE_BYTES_MIN <= size <= SLICE_BYTES_MAX:
            raise _bad(site, f"has slices of {size} bytes at {route.prefix!r}", "64KiB to 64MiB")
        routes[prefix] = route
    depth = max((prefix.count("/") for prefix in routes), default=0)
    return _Paths(site, MappingProxyType(routes), depth)


def _strictest(paths: _Paths, path: str) -> Route | None:
    """The longest prefix's route, or a sensitive one that another reading of the path leads to.

    Many origins drop what follows a `;` in a segment (RFC 3986 section 3.3 lets them), or read
    both cases alike. A route is left for another of its own spelling, never for a less strict one.
    """
    route = _longest(paths, path)
    if route is None or route.policy.data_class is DataClass.SENSITIVE:
        return route
    bare = _PARAMETERS.sub("", path)
    for reading in dict.fromkeys((bare, path.lower(), bare.lower())):
        other = _longest(paths, reading) if reading != path else None
        if (
            other is not None
            and other.policy.data_class is DataClass.SENSITIVE
            and other.prefix.lower() != route.prefix.lower()
        ):
            return other
    return route


def _longest(paths: _Paths, path: str) -> Route | None:
    """Prefixes are tried from the longest; `""` is the root."""
    if "//" in path:
        path = _SLASHES.sub("/", path)
    segments = path.split("/", paths.depth_max + 1)[: paths.depth_max + 1]
    while segments:
        route = paths.routes.get("/".join(segments))
        if route is not None:
            return route
        segments.pop()
    return None


def _host(site: Site, written: str) -> str:
    place = normal_authority(written, "http")
    if place is None or place[1] != 80 or ":" in written.rpartition("]")[2]:
        raise _bad(site, f"has host {written!r}", "write a name or address without a port")
    return place[0]


def _bad(site: Site, what: str, step: str) -> BadInput:
    return BadInput(f"site {site.name!r} {what}", next_step=step, party=Party.OPERATOR)
