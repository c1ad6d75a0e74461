"""What this node holds, given to a sibling that asks by key.

Owns what may be given: whole public responses that are proven on this disk, by this node's own
routes, and that no purge speaks against. Never asks anybody: a question is answered from here or
not at all, so that no two nodes can ask in circles. An unknown class, or a host that no site here
has, is sensitive and gives nothing. Requirements P4.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from skerry.base.clock import Clock
from skerry.base.digest import Digest
from skerry.cdn.core.freshness import judge
from skerry.cdn.core.key import CacheKey
from skerry.cdn.core.letters import Found, Wanted
from skerry.cdn.core.reuse import select
from skerry.cdn.core.route import Matched, RouteTable
from skerry.cdn.core.status import CacheStatus, with_age, with_cache_status
from skerry.cdn.entries import Entries, Held
from skerry.cdn.ports import DataClass, RoutePolicy
from skerry.cdn.purges import Purges
from skerry.store.ports import BlobMissing, Store
from skerry.wire.message import Headers, Request, Segment


@dataclass(frozen=True, slots=True)
class GiverStatistics:
    """A snapshot; counts are since start."""

    asked_count: int
    found_count: int
    given_count: int


class SiblingGiver:
    """Answers the questions of siblings."""

    def __init__(
        self,
        *,
        entries: Entries,
        store: Store,
        purges: Purges,
        table: Callable[[], RouteTable],
        node_name: str,
        clock: Clock,
    ) -> None:
        self._entries = entries
        self._store = store
        self._purges = purges
        self._table = table
        self._node_name = node_name
        self._clock = clock
        self._asked = self._found = self._given = 0

    def find(self, wanted: Wanted, *, to: str) -> Found:
        """The response, or that there is none to give; the vector is of this very moment."""
        self._asked += 1
        vector, policy = self._purges.vector, self._policy(wanted.key)
        held = None if policy is None else self._held(wanted, policy)
        if held is None or policy is None:
            return Found(to, wanted.nonce, vector)
        self._found += 1
        stored, digest = held.stored, held.entry.digest
        view = judge(stored, self._clock.now(), policy)
        fields = with_age(stored.headers, view.age_seconds)
        status = CacheStatus(ttl_seconds=view.ttl_seconds)
        fields = with_cache_status(fields, self._node_name, status)
        size = stored.size_bytes or 0
        name = str(digest) if digest else ""
        return Found(to, wanted.nonce, vector, stored.status, tuple(fields), size, name)

    def body(self, wanted: Wanted) -> tuple[Segment, int] | None:
        """A body that was found, from its offset, and its whole length; None when it may not be
        given, or went."""
        policy = self._policy(wanted.key)
        if policy is None:
            return None
        for held in self._entries.find(wanted.key):
            digest = self._giveable(held)
            if digest is not None and str(digest) == wanted.digest:
                size = held.stored.size_bytes or 0
                if wanted.offset_bytes >= size:
                    return None
                self._given += 1
                try:
                    length = size - wanted.offset_bytes
                    return self._store.open(digest, wanted.offset_bytes, length), size
                except BlobMissing:
                    return None
        return None

    def statistics(self) -> GiverStatistics:
        return GiverStatistics(self._asked, self._found, self._given)

    def _policy(self, key: CacheKey) -> RoutePolicy | None:
        """The route's policy if what it stores is public."""
        matched = self._table().match(host=key.host, path=key.path, method="GET")
        if not isinstance(matched, Matched):
            return None
        policy = matched.route.policy
        return policy if policy.data_class is DataClass.PUBLIC else None

    def _held(self, wanted: Wanted, policy: RoutePolicy) -> Held | None:
        """The response that answers the question's fields, as it would one of our own clients."""
        asked = Request("GET", wanted.key.path, Headers(wanted.fields), wanted.key.query)
        found = [held for held in self._entries.find(wanted.key) if self._may_go(held)]
        stored = tuple(held.stored for held in found)
        chosen = select(stored, asked, self._clock.now(), policy)[:1]
        return next((held for held in found if held.stored in chosen), None)

    def _may_go(self, held: Held) -> bool:
        """Whole, proven, here, and in force: no part, no growing body, nothing to be validated."""
        if held.fill is not None or held.entry.slice_bytes or held.stored.invalidated:
            return False
        return held.stored.size_bytes == 0 or self._giveable(held) is not None

    def _giveable(self, held: Held) -> Digest | None:
        digest = held.entry.digest
        if held.fill is not None or digest is None or held.entry.slice_bytes:
            return None
        return digest if self._store.size_of(digest) == held.stored.size_bytes else None
