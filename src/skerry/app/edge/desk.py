"""What an operator can have the edge do, in one place for the admin door.

Owns the translation between what is asked and purge targets, and the plain values of the answers.
Decides nothing about what a purge means: that is `cdn.core.purge`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

import msgspec

from skerry.base.errors import BadInput
from skerry.cdn.core.key import CacheKey, NoKey, cache_key
from skerry.cdn.core.purge import (
    Mode,
    Target,
    by_group,
    by_host,
    by_prefix,
    by_surrogate_key,
    by_url,
)
from skerry.cdn.core.receipt import Receipt
from skerry.cdn.core.route import Matched, RouteTable
from skerry.cdn.ports import PurgeBook, RoutePolicy
from skerry.cdn.purges import Ordered
from skerry.registry.desk import source_status
from skerry.registry.operations import UpstreamStatus
from skerry.upstream.gate import SourceStatistics
from skerry.upstream.misses import Spending

if TYPE_CHECKING:
    from skerry.app.prewarm_desk import PrewarmDesk
    from skerry.app.trust.node_key import NodeKey

EXAMPLE = "https://www.example.org/media/film.mp4"


class PurgeRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of POST /api/v1/purge: one thing, `key` also on one `host`, `group` of an `origin`."""

    url: str | None = None
    prefix: str | None = None
    host: str | None = None
    key: str | None = None
    group: str | None = None
    origin: str | None = None
    soft: bool = False


class Purging(Protocol):
    """`cdn.purges.Purges`, as far as it is needed here."""

    async def purge(self, target: Target, mode: Mode) -> Ordered:
        """In force, durable and on record when this returns. Raises EdgeUnusable."""


@dataclass(frozen=True, slots=True)
class Purged:
    """A purge's receipt, and which siblings have confirmed it."""

    receipt: Receipt
    siblings: Mapping[str, bool]


Confirm = Callable[[int], Awaitable[Mapping[str, bool]]]
"""Tells siblings of a purge, by its number; which of them have it in force within a second."""
Servers = Callable[[], Mapping[str, Sequence[SourceStatistics]]]
"""How the servers of each site are, by the site's name."""


class EdgeDesk:
    """The edge of one node, to its operator."""

    def __init__(
        self,
        *,
        table: Callable[[], RouteTable],
        purges: Purging,
        book: PurgeBook,
        servers: Servers,
        spending: Callable[[], tuple[Spending, ...]],
        key: NodeKey,
        prewarm: PrewarmDesk,
        confirm: Confirm,
    ) -> None:
        self._table = table
        self._purges = purges
        self._book = book
        self.servers = servers
        self.spending = spending
        self._key = key
        self.prewarm = prewarm
        self._confirm = confirm

    @property
    def public_key(self) -> str:
        """What receipts are checked with, as PEM."""
        return self._key.public_pem

    async def purge(self, wanted: PurgeRequest) -> Purged:
        """Purges; in force here when this returns, and told to the siblings. Raises BadInput,
        EdgeUnusable."""
        target = target_of(wanted, self._table())
        ordered = await self._purges.purge(target, Mode.SOFT if wanted.soft else Mode.HARD)
        return Purged(ordered.receipt, await self._confirm(ordered.sequence))

    def receipts(self, after: int) -> list[bytes]:
        """The receipts after a sequence number, one canonical line each, at most 1,000."""
        return self._book.receipts(after)

    def sites(self) -> tuple[UpstreamStatus, ...]:
        """Each site with its origins' breakers."""
        return tuple(
            UpstreamStatus(name, tuple(map(source_status, sources)))
            for name, sources in self.servers().items()
        )


def target_of(wanted: PurgeRequest, table: RouteTable) -> Target:
    """What is to be purged; a URL gets the query that its route gives the key. Raises BadInput."""
    named = [
        name for name in ("url", "prefix", "group", "key") if getattr(wanted, name) is not None
    ]
    if wanted.host is not None and named != ["key"]:
        named.append("host")
    if len(named) != 1 or (wanted.origin is not None) != (named == ["group"]):
        raise BadInput(
            "a purge names one thing",
            next_step="send one of url, prefix, host, key (with host for that host alone) "
            "and group (with its origin)",
        )
    if wanted.url is not None:
        return _url(wanted.url, table)
    if wanted.prefix is not None:
        scheme, authority, path, query = _split(wanted.prefix)
        if query:
            raise BadInput("a prefix has no query", next_step="purge the URL, or leave it out")
        return by_prefix(scheme=scheme, authority=authority, path=path)
    if wanted.key is not None:
        return by_surrogate_key(wanted.key, host=wanted.host or "")
    if wanted.group is not None and wanted.origin is not None:
        scheme, authority, path, query = _split(wanted.origin)
        if path != "/" or query:
            raise BadInput("an origin has no path", next_step="write https://www.example.org")
        return by_group(scheme=scheme, authority=authority, group=wanted.group)
    return by_host(wanted.host or "")


def _url(url: str, table: RouteTable) -> Target:
    key = _key(url, RoutePolicy())
    found = table.match(host=key.host, path=key.path, method="GET")
    # The route is found by host and path, and says what the query counts for.
    return by_url(_key(url, found.route.policy) if isinstance(found, Matched) else key)


def _key(url: str, policy: RoutePolicy) -> CacheKey:
    scheme, authority, path, query = _split(url)
    key = cache_key(scheme=scheme, authority=authority, path=path, query=query, policy=policy)
    if isinstance(key, NoKey):
        step = "purge one that can be stored"
        raise BadInput(f"{url[:200]} is never stored: {key.sentence}", next_step=step)
    return key


def _split(url: str) -> tuple[str, str, str, str]:
    """Scheme, authority, path and query as written. Raises BadInput."""
    try:
        parts = urlsplit(url)
        right = parts.scheme in ("http", "https") and bool(parts.netloc) and not parts.fragment
    except ValueError:
        right = False
    if not right or not url.isascii() or not url.isprintable() or " " in url:
        raise BadInput(
            f"{url[:200]!r} is no whole URL",
            next_step=f"write it as clients ask for it, with escapes, e.g. {EXAMPLE}",
        )
    return parts.scheme, parts.netloc, parts.path or "/", parts.query
