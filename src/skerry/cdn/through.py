"""Requests that go through to the origin for one client alone, and what they teach.

Owns the passing of methods, conditions, ranges and bodies as the client sent them, the update of
stored responses by HEAD (RFC 9111 section 4.3.5) and their invalidation by unsafe methods (section
4.4, RFC 9875 section 3). Never stores a body.
"""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import urlsplit

from skerry.base.clock import Clock
from skerry.cdn.admission import Admitted
from skerry.cdn.core.forwarding import for_all, for_one
from skerry.cdn.core.invalidation import invalidated_groups, invalidated_uris
from skerry.cdn.core.key import CacheKey, cache_key, normal_authority
from skerry.cdn.core.purge import Target, by_group, by_url
from skerry.cdn.core.reuse import select
from skerry.cdn.core.route import READING, Matched, RouteTable
from skerry.cdn.core.update import Answered, after_head
from skerry.cdn.entries import Entries, Held
from skerry.cdn.passing import has_body, hints, passed
from skerry.cdn.ports import DataClass, Origin
from skerry.cdn.purges import Mark, Purges
from skerry.upstream.ports import Exchange
from skerry.wire.message import Answer, Headers


class Through:
    """Passes requests on."""

    def __init__(self, *, entries: Entries, purges: Purges, clock: Clock, hop: str) -> None:
        self._entries = entries
        self._purges = purges
        self._clock = clock
        self._hop = hop

    async def forward(
        self, admitted: Admitted, origin: Origin, found: tuple[Held, ...], table: RouteTable
    ) -> tuple[Answer, Exchange]:
        """The origin's answer, after what it makes invalid is. Raises Unavailable."""
        request = admitted.request
        headers = self._fields(admitted).without("Expect")
        body = request.body if has_body(request.headers) else None
        mark, asked_at = self._purges.mark(), self._clock.now()
        exchange = await origin.send(request.method, admitted.target, headers, body, hints(request))
        try:
            if request.method == "HEAD":
                answered = Answered(exchange.headers, asked_at, self._clock.now())
                await self._learn(admitted, exchange.status, answered, found, mark)
            await self._purges.invalidate(_invalid(admitted, exchange, table))
        except BaseException:
            await exchange.close()
            raise
        return await passed(request, exchange), exchange

    def _fields(self, admitted: Admitted) -> Headers:
        """What a HEAD tells of a public route is learnt from, so it is asked as a GET would be."""
        request, key, policy = admitted.request, admitted.key, admitted.route.policy
        public = policy.data_class is DataClass.PUBLIC
        if key is not None and public and request.method in READING:
            return for_all(request, policy, hop=self._hop, authority=key.authority)
        return for_one(request, policy, hop=self._hop)

    async def _learn(
        self,
        admitted: Admitted,
        status: int,
        answered: Answered,
        found: tuple[Held, ...],
        mark: Mark,
    ) -> None:
        policy = admitted.route.policy
        if policy.data_class is not DataClass.PUBLIC:
            return
        stored = tuple(held.stored for held in found)
        for old in select(stored, admitted.request, self._clock.now(), policy)[:1]:
            new = after_head(old, admitted.request, status, answered)
            if new is not old:
                held = next(held for held in found if held.stored is old)
                entry = replace(held.entry, stored=new)
                await self._entries.updated(replace(held, entry=entry, mark=mark))


def _invalid(admitted: Admitted, exchange: Exchange, table: RouteTable) -> tuple[Target, ...]:
    key, method = admitted.key, admitted.request.method
    if key is None:
        return ()
    uris = invalidated_uris(method, exchange.status, key.text, exchange.headers)
    keys = [key if uri == key.text else _key_of(uri, table) for uri in uris]
    urls = [by_url(each) for each in keys if each is not None]
    groups = invalidated_groups(method, exchange.status, exchange.headers)
    authority = key.origin.partition("://")[2]
    named = [by_group(scheme=key.scheme, authority=authority, group=group) for group in groups]
    return (*urls, *named)


def _key_of(uri: str, table: RouteTable) -> CacheKey | None:
    """The key that a GET of a URI of this node would have, by its own route's policy."""
    parts = urlsplit(uri)
    place = normal_authority(parts.netloc, parts.scheme)
    matched = table.match(host=place[0], path=parts.path, method="GET") if place else None
    if not isinstance(matched, Matched):
        return None
    key = cache_key(
        scheme=parts.scheme,
        authority=parts.netloc,
        path=parts.path,
        query=parts.query,
        policy=matched.route.policy,
    )
    return key if isinstance(key, CacheKey) else None
