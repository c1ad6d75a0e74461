"""What a nearer tier holds is taken from there before the origin is asked: sibling, then vault.

Owns the order of the tiers, the rules by which a copy is taken in (this node's own class and
storing rules, its purges, the body's digest), and the fill that brings it. Never answers a client,
and never judges freshness: a copy is stored as what it is, with its age, and then decided upon
like anything stored. Requirements P1 and P4.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from skerry.base.clock import Clock
from skerry.cdn.core.key import CacheKey
from skerry.cdn.core.purge import surrogate_keys
from skerry.cdn.core.storing import refusal, stored_response
from skerry.cdn.core.strict import mistaken_type
from skerry.cdn.entries import Entries, Held
from skerry.cdn.ports import Copy, DataClass, Entry, RoutePolicy, Tier
from skerry.cdn.purges import Mark, Purges
from skerry.store.ports import Store
from skerry.upstream.fills import FillKey, Fills
from skerry.wire.message import Headers, Request


@dataclass(frozen=True, slots=True)
class Taken:
    """A copy that is stored here now, or whose body is on its way; `headers` as it came."""

    held: Held
    headers: Headers
    status: int
    tier: str


@dataclass(frozen=True, slots=True)
class NearerStatistics:
    """A snapshot; counts are since start, `taken` and `refused` by tier."""

    asked_count: int
    taken: dict[str, int]
    refused: dict[str, int]


class Nearer:
    """The tiers between this disk and the origin, nearest first."""

    def __init__(
        self,
        *,
        tiers: Sequence[Tier],
        fills: Fills,
        store: Store,
        entries: Entries,
        purges: Purges,
        clock: Clock,
        admits: Callable[[str, int], bool],
    ) -> None:
        self._tiers = tuple(tiers)
        self._fills = fills
        self._store = store
        self._entries = entries
        self._purges = purges
        self._clock = clock
        self._admits = admits
        self._asked = 0
        self._taken: Counter[str] = Counter()
        self._refused: Counter[str] = Counter()

    async def find(self, key: CacheKey, policy: RoutePolicy, request: Request) -> Taken | None:
        """A copy from the first tier that has one which may be stored here."""
        if not self._tiers or policy.data_class is not DataClass.PUBLIC:
            return None
        if self._purges.written(key):
            return None  # a client wrote through here: another node's copy may be from before
        self._asked += 1
        for tier in self._tiers:
            mark, asked_at = self._purges.mark(), self._clock.now()
            copy = await tier.find(key, request.headers)
            if copy is None:
                continue
            if copy.as_of is not None:
                mark = replace(mark, purges=copy.as_of)
            held = await self._take(key, policy, request, copy, mark, asked_at)
            if held is not None:
                self._taken[copy.tier] += 1
                return Taken(held, copy.headers, copy.status, copy.tier)
            self._refused[copy.tier] += 1
        return None

    def statistics(self) -> NearerStatistics:
        return NearerStatistics(self._asked, dict(self._taken), dict(self._refused))

    async def _take(
        self,
        key: CacheKey,
        policy: RoutePolicy,
        request: Request,
        copy: Copy,
        mark: Mark,
        asked_at: float,
    ) -> Held | None:
        """Stores the copy, by the same rules as an origin's answer."""
        getting = replace(request, method="GET")
        keys = surrogate_keys(copy.headers)
        lies = mistaken_type(key.path, copy.headers.get("Content-Type"))
        why = refusal(getting, copy.status, copy.headers, policy)
        if why is not None or keys is None or lies:
            return None
        # It tells how that answer was made; this node says for itself how its own are.
        fields = copy.headers.without("Cache-Status")
        stored = stored_response(
            getting,
            copy.status,
            fields,
            requested_at=asked_at,
            received_at=self._clock.now(),
            size_bytes=copy.size_bytes,
            surrogate_keys=keys,
        )
        stored = replace(stored, invalidated=copy.invalidated)
        entry = Entry(key, stored, None, mark.purges, last_used=stored.received_at)
        if self._entries.judged(Held(entry, mark)) is None:
            return None
        if copy.digest is None or copy.place is None:
            return None if copy.size_bytes else await self._entries.keep(entry, mark)
        if self._store.size_of(copy.digest) == copy.size_bytes:
            return await self._entries.keep(replace(entry, digest=copy.digest), mark)
        fill = self._fills.get(
            FillKey(copy.digest, copy.tier),
            (copy.place,),
            size_bytes=copy.size_bytes,
            keep=self._entries.has_room and self._admits(key.digest, copy.size_bytes),
        )
        return self._entries.begin(entry, mark, fill)
