"""What a `/v2` request asks for, and whose repository that is.

Owns the routes of distribution-spec 1.1 ("Endpoints") and the order in which a name is given to
an upstream. Never invents an upstream: only configured ones exist (known failures T7), and
nothing that failed its grammar becomes a path or a URL (T18).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from urllib.parse import parse_qsl

from skerry.base.digest import Digest, InvalidDigest
from skerry.base.errors import BadInput
from skerry.base.reference import HUB, NAME_LENGTH_MAX, is_name, is_tag, looks_like_host
from skerry.registry.core.errors import Code, RegistryError
from skerry.registry.ports import LOCAL, Repository

PATH_CHARS_MAX = 1024
QUERY_CHARS_MAX = 8192
QUERY_FIELDS_MAX = 64
UPLOAD_ID_CHARS_MAX = 128
HUB_ALIASES = ("registry-1.docker.io", "index.docker.io", "registry.hub.docker.com")
"""Hosts every Docker-lineage client means Hub by; they need no configuration."""

_UPLOAD_ID = re.compile(r"[0-9A-Za-z_-]+\Z")
_HIDDEN = ("%2f", "%5c", "%2e", "%25", "%00")
"""Encoded separators and dots: two readers of one path must never disagree (T18)."""


@dataclass(frozen=True, slots=True)
class BaseTarget:
    """`/v2/`"""


@dataclass(frozen=True, slots=True)
class CatalogTarget:
    """`/v2/_catalog`"""


@dataclass(frozen=True, slots=True)
class ManifestTarget:
    """`/v2/<name>/manifests/<reference>`; a reference is a Digest or a valid tag."""

    name: str
    reference: Digest | str


@dataclass(frozen=True, slots=True)
class BlobTarget:
    """`/v2/<name>/blobs/<digest>`"""

    name: str
    digest: Digest


@dataclass(frozen=True, slots=True)
class TagsTarget:
    """`/v2/<name>/tags/list`"""

    name: str


@dataclass(frozen=True, slots=True)
class ReferrersTarget:
    """`/v2/<name>/referrers/<digest>`"""

    name: str
    digest: Digest


@dataclass(frozen=True, slots=True)
class UploadsTarget:
    """`/v2/<name>/blobs/uploads/`"""

    name: str


@dataclass(frozen=True, slots=True)
class UploadTarget:
    """`/v2/<name>/blobs/uploads/<id>`"""

    name: str
    upload_id: str


NamedTarget = (
    ManifestTarget | BlobTarget | TagsTarget | ReferrersTarget | UploadsTarget | UploadTarget
)
Target = BaseTarget | CatalogTarget | NamedTarget

_METHODS: Mapping[type[Target], tuple[str, ...]] = {
    BaseTarget: ("GET", "HEAD"),
    CatalogTarget: ("GET", "HEAD"),
    ManifestTarget: ("GET", "HEAD", "PUT", "DELETE"),
    BlobTarget: ("GET", "HEAD", "DELETE"),
    TagsTarget: ("GET", "HEAD"),
    ReferrersTarget: ("GET", "HEAD"),
    UploadsTarget: ("POST",),
    UploadTarget: ("GET", "PATCH", "PUT", "DELETE"),
}


def parse_target(method: str, path: str, raw_path: str = "", query: str = "") -> Target:
    """What one request is about.

    `path` is percent-decoded, `raw_path` is as sent ("" when not known). Raises RegistryError:
    NAME_INVALID, DIGEST_INVALID, MANIFEST_UNKNOWN, MANIFEST_INVALID, UNSUPPORTED (404 for no such
    route, 405 with `Allow` for a method that the route has not).
    """
    _check_shape(path, raw_path, query)
    target = _route(method, path)
    allowed = _METHODS[type(target)]
    if method not in allowed:
        raise RegistryError(
            Code.UNSUPPORTED,
            f"{method[:16]} is not possible on {path[:80]}",
            headers=(("Allow", ", ".join(allowed)),),
        )
    return target


def namespace_of(query: str) -> str | None:
    """The `ns=` parameter with which containerd names the upstream, or None.

    Two different values are refused: a proxy before us may have read the other one.
    """
    if "ns=" not in query:
        return None
    pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=QUERY_FIELDS_MAX)
    values = {value for key, value in pairs if key == "ns"}
    if len(values) > 1:
        raise RegistryError(Code.NAME_INVALID, "the request names two namespaces", detail=query)
    return values.pop() if values else None


def _check_shape(path: str, raw_path: str, query: str) -> None:
    if len(path) > PATH_CHARS_MAX or len(raw_path) > 3 * PATH_CHARS_MAX:
        raise RegistryError(Code.NAME_INVALID, f"the path is over {PATH_CHARS_MAX} characters")
    if len(query) > QUERY_CHARS_MAX or query.count("&") >= QUERY_FIELDS_MAX:
        raise RegistryError(
            Code.UNSUPPORTED,
            f"the query is over {QUERY_CHARS_MAX} characters or {QUERY_FIELDS_MAX} fields",
            status=400,
        )
    lowered = raw_path.lower()
    if any(hidden in lowered for hidden in _HIDDEN):
        raise RegistryError(
            Code.NAME_INVALID, "the path hides a separator or a dot", detail=raw_path
        )


def _route(method: str, path: str) -> Target:
    if path in ("/v2", "/v2/"):
        return BaseTarget()
    if path == "/v2/_catalog":
        return CatalogTarget()
    if not path.startswith("/v2/"):
        raise RegistryError(Code.UNSUPPORTED, "there is no such route", status=404, detail=path)
    # Read from the end: `blobs`, `manifests` and `tags` are good parts of a name, too.
    *head, second, last = ["", *path.removeprefix("/v2/").split("/")]
    if head[-1:] == ["blobs"] and second == "uploads":
        name = _name(head[1:-1])
        return UploadTarget(name, _upload_id(last)) if last else UploadsTarget(name)
    if (second, last) == ("blobs", "uploads"):
        return UploadsTarget(_name(head[1:]))
    if (second, last) == ("tags", "list"):
        return TagsTarget(_name(head[1:]))
    if second == "manifests":
        return ManifestTarget(_name(head[1:]), _reference(method, last))
    if second == "blobs":
        return BlobTarget(_name(head[1:]), _digest(last))
    if second == "referrers":
        return ReferrersTarget(_name(head[1:]), _digest(last))
    raise RegistryError(Code.UNSUPPORTED, "there is no such route", status=404, detail=path)


def _name(parts: list[str]) -> str:
    """Valid as it is, or after a host (the path form)."""
    name = "/".join(parts)
    rest = "/".join(parts[1:])
    if is_name(name) or (
        len(name) <= NAME_LENGTH_MAX
        and name == name.lower()
        and looks_like_host(name.partition("/")[0])
        and is_name(rest)
    ):
        return name
    raise RegistryError(
        Code.NAME_INVALID,
        "that is not a repository name",
        detail=name,
        next_step="use lower-case letters, digits and single separators between slashes",
    )


def _digest(text: str) -> Digest:
    try:
        return Digest.parse(text)
    except InvalidDigest as error:
        raise RegistryError(Code.DIGEST_INVALID, "that is not a digest", detail=text) from error


def _reference(method: str, text: str) -> Digest | str:
    if ":" in text:
        return _digest(text)
    if is_tag(text):
        return text
    if method == "PUT":
        raise RegistryError(Code.MANIFEST_INVALID, "that is not a tag", detail=text)
    # A tag that cannot exist does not exist: 404, as the spec's conformance suite asks.
    raise RegistryError(Code.MANIFEST_UNKNOWN, "no tag can have that name", detail=text)


def _upload_id(text: str) -> str:
    if len(text) > UPLOAD_ID_CHARS_MAX or not _UPLOAD_ID.match(text):
        raise RegistryError(Code.BLOB_UPLOAD_UNKNOWN, "there is no such upload", detail=text)
    return text


@dataclass(frozen=True, slots=True)
class UpstreamName:
    """One configured upstream: its hosts, and whether names without a host mean it."""

    name: str
    aliases: tuple[str, ...] = ()
    bare_names: bool = False


@dataclass(frozen=True, slots=True)
class NameTable:
    """Every name this node answers to.

    Attributes:
        upstreams: the configured ones; Hub's well-known aliases come with `docker.io`.
        local_namespaces: fnmatch patterns of repositories that are pushed here; () when local
            repositories are off.
        own: authorities of this very node, which never mean an upstream.
    """

    upstreams: tuple[UpstreamName, ...]
    local_namespaces: tuple[str, ...] = ()
    own: frozenset[str] = frozenset()
    _hosts: Mapping[str, str] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        hosts: dict[str, str] = {}
        for upstream in self.upstreams:
            aliases = (*upstream.aliases, *(HUB_ALIASES if upstream.name == HUB else ()))
            for host in dict.fromkeys(text.lower() for text in (upstream.name, *aliases)):
                if host in hosts:
                    raise BadInput(f"{host} names two upstreams", next_step="remove one of them")
                hosts[host] = upstream.name
        object.__setattr__(self, "_hosts", hosts)

    def upstream_for(self, host: str) -> str | None:
        """The configured upstream that a host or alias means."""
        return self._hosts.get(host.lower())

    def is_local(self, name: str) -> bool:
        """Whether a bare name belongs to a repository that is pushed here."""
        return any(fnmatchcase(name, pattern) for pattern in self.local_namespaces)

    @property
    def bare(self) -> str | None:
        """The upstream that bare names mean."""
        return next((u.name for u in self.upstreams if u.bare_names), None)


def resolve(name: str, ns: str | None, table: NameTable, *, authority: str = "") -> Repository:
    """Whose repository a request means.

    In order: `ns=`, a host that leads the name, a local namespace, the upstream of bare names.
    `authority` is what the client called this node; `ns=` naming it is passed over. With `ns=`
    the path is taken literally. Raises RegistryError (NAME_UNKNOWN, NAME_INVALID).
    """
    if ns and ns.lower() != authority.lower() and ns.lower() not in table.own:
        upstream = table.upstream_for(ns)
        if upstream is None:
            raise _unconfigured(ns)
        return _at(upstream, name)
    head, slash, rest = name.partition("/")
    if slash and looks_like_host(head):
        upstream = table.upstream_for(head)
        if upstream is not None:
            return _at(upstream, rest)
        if not table.is_local(name):
            raise _unconfigured(head)
    if table.is_local(name):
        return Repository(LOCAL, _literal(name))
    if table.bare is None:
        raise RegistryError(
            Code.NAME_UNKNOWN,
            "no upstream is configured for names without a host",
            detail=name,
            next_step="put the registry's host before the name or set bare_names on one upstream",
        )
    return _at(table.bare, name)


def _at(upstream: str, name: str) -> Repository:
    literal = _literal(name)
    if upstream == HUB and "/" not in literal:
        literal = f"library/{literal}"
    return Repository(upstream, literal)


def _literal(name: str) -> str:
    if not is_name(name):
        raise RegistryError(Code.NAME_INVALID, "that is not a repository name", detail=name)
    return name


def _unconfigured(host: str) -> RegistryError:
    return RegistryError(
        Code.NAME_UNKNOWN,
        f"{host[:80]!r} is not configured as an upstream of this node",
        detail=host,
        next_step="add an [[upstream]] of that name, or an alias, to the node's settings",
    )
