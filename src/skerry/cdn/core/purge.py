"""What a purge names, and which stored objects bear that name.

Owns the targets (URL, prefix, host, group, surrogate key), the rule that decides whether one names
an object, and an index of who bears which name. Never decides when a purge is in force: that is
`purge_log`. Names are compared whole, case and all, so that overlapping ones never purge too much:
`/a` is not `/ab`, `item-1` is not `item-10`, and a group means nothing to another origin (RFC 9875
section 2.1).
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeVar

from skerry.base.errors import BadInput
from skerry.cdn.core.key import PORTS, CacheKey, NoKey, normal_authority, normal_path
from skerry.wire.message import Headers

SURROGATE_KEYS_MAX = 1000
SURROGATE_KEY_BYTES_MAX = 1024
SURROGATE_FIELD_BYTES_MAX = 16 * 1024
"""What the large public caches accept. More is not cut off: see `surrogate_keys`."""

_K = TypeVar("_K")


class Kind(StrEnum):
    """What a purge goes by."""

    URL = "url"
    PREFIX = "prefix"
    HOST = "host"
    GROUP = "group"
    KEY = "key"


class Mode(StrEnum):
    """SOFT: stale from now on, to be revalidated. HARD: gone."""

    SOFT = "soft"
    HARD = "hard"


@dataclass(frozen=True, slots=True)
class Target:
    """One thing to purge; made by the functions below, which normalise.

    Attributes:
        scope: an origin (URL, PREFIX, GROUP), "" (HOST), a host or "" for any (KEY).
        value: path and query, path, host, group, key.
    """

    kind: Kind
    scope: str
    value: str


@dataclass(frozen=True, slots=True)
class Names:
    """All names one stored object bears. Its variants, slices and copies bear the same."""

    key: CacheKey
    groups: frozenset[str] = field(default_factory=frozenset)
    surrogate_keys: frozenset[str] = field(default_factory=frozenset)


@dataclass(frozen=True, slots=True)
class IndexStatistics:
    """A snapshot of the index: objects, and distinct surrogate keys and groups."""

    object_count: int
    key_count: int
    group_count: int


def by_url(key: CacheKey) -> Target:
    """One URL, with its query in the form its route gives the key."""
    return Target(Kind.URL, key.origin, key.target)


def by_prefix(*, scheme: str, authority: str, path: str) -> Target:
    """A path and all below it, by whole segments, whatever the query.

    `/a` is `/a` and `/a/b`; `/a/` is not `/a`; `/` is the whole origin. Raises BadInput.
    """
    origin = _origin(scheme, authority)
    normal = normal_path(path)
    if isinstance(normal, NoKey):
        raise BadInput(f"{path[:200]!r} is no path: {normal.sentence}", next_step="purge a path")
    return Target(Kind.PREFIX, origin, normal)


def by_host(authority: str) -> Target:
    """Everything of a host, on every scheme and port. Raises BadInput."""
    place = normal_authority(authority, "http")
    if place is None:
        raise BadInput(f"{authority[:200]!r} is no host", next_step="write a name or an address")
    return Target(Kind.HOST, "", place[0])


def by_group(*, scheme: str, authority: str, group: str) -> Target:
    """A group of one origin (RFC 9875 section 2.1). Raises BadInput."""
    return Target(Kind.GROUP, _origin(scheme, authority), group)


def by_surrogate_key(key: str, *, host: str = "") -> Target:
    """A surrogate key on one host, or on all of them when the operator says so with "".

    Raises BadInput.
    """
    if not key or len(key) > SURROGATE_KEY_BYTES_MAX or not key.isprintable():
        raise BadInput(f"{key[:200]!r} is no surrogate key", next_step="purge one key at a time")
    return Target(Kind.KEY, by_host(host).value if host else "", key)


def surrogate_keys(headers: Headers) -> frozenset[str] | None:
    """The keys of `Surrogate-Key` (separated by spaces) and `Cache-Tag` (by commas).

    None when there are more or longer ones than the limits: such an answer must not be stored,
    because what cannot be purged by a name it bears must not be kept.
    """
    spaced, tagged = headers.all("Surrogate-Key"), headers.all("Cache-Tag")
    if sum(map(len, spaced)) + sum(map(len, tagged)) > SURROGATE_FIELD_BYTES_MAX:
        return None
    found = {key for line in spaced for key in line.split()}
    found |= {key.strip() for line in tagged for key in line.split(",")} - {""}
    too_long = any(len(key) > SURROGATE_KEY_BYTES_MAX for key in found)
    return None if too_long or len(found) > SURROGATE_KEYS_MAX else frozenset(found)


def names_it(target: Target, names: Names) -> bool:
    """Whether a purge of `target` means an object with these names: the rule itself."""
    key = names.key
    match target.kind:
        case Kind.URL:
            return (target.scope, target.value) == (key.origin, key.target)
        case Kind.PREFIX:
            return target.scope == key.origin and is_below(target.value, key.path)
        case Kind.HOST:
            return target.value == key.host
        case Kind.GROUP:
            return target.scope == key.origin and target.value in names.groups
        case Kind.KEY:
            return target.scope in ("", key.host) and target.value in names.surrogate_keys


def is_below(prefix: str, path: str) -> bool:
    """Whether `path` is `prefix` or below it, by whole segments."""
    if not path.startswith(prefix):
        return False
    return prefix.endswith("/") or len(path) == len(prefix) or path[len(prefix)] == "/"


class PurgeIndex:
    """Who bears which name. An object is any string the shell knows it by, its storage digest say.

    For counting and removing; whether an object may be served does not depend on it. Memory is that
    of the names: a shell with more objects than it wants to hold asks its database the same.
    """

    def __init__(self) -> None:
        self._names: dict[str, Names] = {}
        self._hosts: dict[str, dict[str, dict[str, set[str]]]] = {}  # host, origin, path, objects
        self._paths: dict[str, list[str]] = {}  # origin, its paths in order
        self._keys: dict[str, dict[str, set[str]]] = {}  # key, host, objects
        self._groups: dict[tuple[str, str], set[str]] = {}

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, ident: str) -> bool:
        return ident in self._names

    def add(self, ident: str, names: Names) -> None:
        """Takes an object in; its earlier names are forgotten."""
        self.discard(ident)
        self._names[ident] = names
        key = names.key
        paths = self._hosts.setdefault(key.host, {}).setdefault(key.origin, {})
        if key.path not in paths:
            insort(self._paths.setdefault(key.origin, []), key.path)
        paths.setdefault(key.path, set()).add(ident)
        for surrogate in names.surrogate_keys:
            self._keys.setdefault(surrogate, {}).setdefault(key.host, set()).add(ident)
        for group in names.groups:
            self._groups.setdefault((key.origin, group), set()).add(ident)

    def discard(self, ident: str) -> None:
        """Forgets an object, if it was there."""
        names = self._names.pop(ident, None)
        if names is None:
            return
        key = names.key
        origins = self._hosts[key.host]
        paths = origins[key.origin]
        if _drop(paths, key.path, ident):
            order = self._paths[key.origin]
            del order[bisect_left(order, key.path)]
            if not paths:
                del origins[key.origin], self._paths[key.origin]
            if not origins:
                del self._hosts[key.host]
        for surrogate in names.surrogate_keys:
            hosts = self._keys[surrogate]
            if _drop(hosts, key.host, ident) and not hosts:
                del self._keys[surrogate]
        for group in names.groups:
            _drop(self._groups, (key.origin, group), ident)

    def find(self, target: Target) -> frozenset[str]:
        """The objects a purge of `target` means, exactly those for which `names_it` holds."""
        return frozenset(self._find(target))

    def statistics(self) -> IndexStatistics:
        """A snapshot."""
        return IndexStatistics(len(self._names), len(self._keys), len(self._groups))

    def _find(self, target: Target) -> Iterator[str]:
        match target.kind:
            case Kind.URL:
                path = target.value.partition("?")[0]
                for ident in self._at(target.scope, path):
                    if self._names[ident].key.target == target.value:
                        yield ident
            case Kind.PREFIX:
                if not target.value.endswith("/"):
                    yield from self._at(target.scope, target.value)
                below = target.value.removesuffix("/") + "/"
                order = self._paths.get(target.scope, [])
                for position in range(bisect_left(order, below), len(order)):
                    if not order[position].startswith(below):
                        break
                    yield from self._at(target.scope, order[position])
            case Kind.HOST:
                for paths in self._hosts.get(target.value, {}).values():
                    for idents in paths.values():
                        yield from idents
            case Kind.GROUP:
                yield from self._groups.get((target.scope, target.value), ())
            case Kind.KEY:
                for host, idents in self._keys.get(target.value, {}).items():
                    if target.scope in ("", host):
                        yield from idents

    def _at(self, origin: str, path: str) -> set[str]:
        host = _host_of(origin)
        return self._hosts.get(host, {}).get(origin, {}).get(path, set())


def _drop(table: dict[_K, set[str]], name: _K, ident: str) -> bool:
    """Whether `name` went with its last object."""
    idents = table[name]
    idents.discard(ident)
    if not idents:
        del table[name]
    return not idents


def _host_of(origin: str) -> str:
    authority = origin.partition("://")[2]
    if authority.startswith("["):
        return authority[: authority.index("]") + 1]
    return authority.partition(":")[0]


def _origin(scheme: str, authority: str) -> str:
    place = normal_authority(authority, scheme) if scheme in PORTS else None
    if place is None:
        raise BadInput(
            f"{scheme[:20]}://{authority[:200]} is no origin",
            next_step="write http(s)://host[:port]",
        )
    return CacheKey(scheme, *place, "/").origin
