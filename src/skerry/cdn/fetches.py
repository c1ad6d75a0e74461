"""Asking an origin once for what many want.

Owns the sharing (one request in the air per key and what its answers vary on), the judgement of the
head that comes back, and the fill of a body that may be kept. Never answers a client. RFC 9111
sections 3, 4 and 4.3; design section 4.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from skerry.aio.single import SingleFlight
from skerry.aio.tasks import Nursery
from skerry.base.clock import Clock
from skerry.cdn.core.digests import promised
from skerry.cdn.core.directives import request_directives
from skerry.cdn.core.forwarding import for_all
from skerry.cdn.core.hops import end_to_end
from skerry.cdn.core.key import CacheKey
from skerry.cdn.core.purge import surrogate_keys
from skerry.cdn.core.reuse import ERRORS, PassError, Validate, after_failure
from skerry.cdn.core.storing import Refusal, refusal, stored_response
from skerry.cdn.core.strict import mistaken_type
from skerry.cdn.core.update import (
    Answered,
    ForClient,
    Freshened,
    Unusable,
    after_not_modified,
    to_freshen,
)
from skerry.cdn.core.validation import CONDITIONS
from skerry.cdn.core.vary import secondary_key, vary_names
from skerry.cdn.entries import Entries, Held
from skerry.cdn.nearer import Nearer
from skerry.cdn.passing import hints
from skerry.cdn.ports import Entry, Origin, RoutePolicy
from skerry.cdn.purges import Mark, Purges
from skerry.cdn.resumption import Answering, ResumedPlace
from skerry.upstream.core.fill import SIZE_BYTES_MAX
from skerry.upstream.core.limits import streams_events
from skerry.upstream.fills import FillKey, Fills
from skerry.upstream.misses import Spent
from skerry.upstream.ports import Exchange
from skerry.wire.message import NO_HEADERS, Headers, Request

UNSTORABLE_MAX = 10_000
UNSTORABLE_SECONDS = 120.0
"""For so long nobody waits for another's answer that will not be shared anyway."""
JOINS_MAX = 3
"""So many refusals of others a request waits for before it asks alone."""
ATTEMPTS = 3
"""How often one body is asked for; each goes on where the last was cut."""

_FOR_THE_REQUEST = {Refusal.REQUEST_NO_STORE, Refusal.AUTHORIZATION, Refusal.COOKIE}


@dataclass(frozen=True, slots=True)
class Ask:
    """One request that stored responses did not answer.

    Attributes:
        found: the stored responses of its key, as they were when it was decided.
        validate: the conditions to send, None when nothing stored could be confirmed.
        shared: others may be answered with what comes for this one, and the other way round.
        near: nothing of the key is here, and a nearer tier may have it.
    """

    key: CacheKey
    policy: RoutePolicy
    origin: Origin
    request: Request
    found: tuple[Held, ...] = ()
    validate: Validate | None = None
    shared: bool = True
    near: bool = False


@dataclass(frozen=True, slots=True)
class Kept:
    """The answer is stored, or its body is on the way into the store; `tier` it came from, ""
    for the origin: what a tier gives may be stale."""

    held: Held
    received: Headers
    status: int
    tier: str = ""


@dataclass(frozen=True, slots=True)
class Confirmed:
    """A 304 confirmed what is stored."""

    held: Held


@dataclass(frozen=True, slots=True)
class Erred:
    """The origin answered with an error, and a stored response may stand in for it."""

    status: int


class Passed:
    """An answer that is not kept: for the one who asked, and for nobody else."""

    def __init__(self, exchange: Exchange, refused: Refusal | None) -> None:
        self.refused = refused
        self._exchange: Exchange | None = exchange

    def claim(self) -> Exchange | None:
        """The answer, to the first who asks."""
        exchange, self._exchange = self._exchange, None
        return exchange


Landed = Kept | Confirmed | Erred | Passed


@dataclass(frozen=True, slots=True)
class FetchesStatistics:
    """A snapshot; counts are since start."""

    flying_count: int
    asked_count: int
    joined_count: int
    stored_count: int
    confirmed_count: int


class Fetches:
    """Every request of the edge to an origin that may end in the store."""

    def __init__(
        self,
        *,
        fills: Fills,
        entries: Entries,
        nearer: Nearer,
        purges: Purges,
        clock: Clock,
        nursery: Nursery,
        hop: str,
        admits: Callable[[str, int], bool],
    ) -> None:
        self._fills = fills
        self._entries = entries
        self._nearer = nearer
        self._purges = purges
        self._clock = clock
        self._nursery = nursery
        self._hop = hop
        self._admits = admits
        self._flights: SingleFlight[object, Landed] = SingleFlight(nursery, name="edge.fetch")
        self._unstorable: OrderedDict[CacheKey, float] = OrderedDict()
        self._numbers = itertools.count(1)
        self._asked = self._joined = self._stored = self._confirmed = 0

    async def fetch(self, ask: Ask) -> tuple[Landed, bool]:
        """The origin's answer, and whether somebody else had asked for it. Raises Unavailable.

        Whoever leaves stops nothing: a body that may be kept is kept.
        """
        for asked in itertools.count(1):
            place = self._place(ask)
            joined = place in self._flights
            self._joined += joined
            future = self._flights.start(place, partial(self._fly, ask))
            try:
                return await asyncio.shield(future), joined
            except asyncio.CancelledError:
                if not joined:
                    future.add_done_callback(self._close_unclaimed)
                raise
            except Spent:
                if not joined:  # another one's share was used up, not this one's
                    raise
                if asked == JOINS_MAX:
                    ask = replace(ask, shared=False)
        raise AssertionError("an endless count has no end")

    def refresh(self, ask: Ask) -> None:
        """Validates behind an answer that was given stale; not twice at once."""
        if self._place(ask) not in self._flights:
            future = self._flights.start(self._place(ask), lambda: self._fly(ask))
            future.add_done_callback(self._close_unclaimed)

    def statistics(self) -> FetchesStatistics:
        return FetchesStatistics(
            len(self._flights), self._asked, self._joined, self._stored, self._confirmed
        )

    def _place(self, ask: Ask) -> object:
        """What makes two requests one flight; a value of its own for one that is not shared."""
        until = self._unstorable.get(ask.key, 0.0)
        if not ask.shared or until > self._clock.monotonic():
            return next(self._numbers)
        names = {name for held in ask.found for name in vary_names(held.stored.headers) or ()}
        mark = self._purges.mark()  # what was asked for before a purge answers nobody after it
        return ask.key, secondary_key(tuple(sorted(names)), ask.request.headers), mark

    async def _fly(self, ask: Ask, *, conditional: bool = True) -> Landed:
        if ask.near and ask.shared and conditional:
            taken = await self._nearer.find(ask.key, ask.policy, ask.request)
            if taken is not None:
                return Kept(taken.held, taken.headers, taken.status, taken.tier)
        self._asked += 1
        validate = ask.validate if conditional else None
        going = for_all(ask.request, ask.policy, hop=self._hop, authority=ask.key.authority)
        headers = going.without(*CONDITIONS, "Range")
        asked = Headers((*headers, *(validate.conditions if validate else NO_HEADERS)))
        mark, requested_at = self._purges.mark(), self._clock.now()
        exchange = await ask.origin.send("GET", ask.key.target, asked, interim=hints(ask.request))
        answer = Answered(exchange.headers, requested_at, self._clock.now())
        try:
            if exchange.status == 304 and validate is not None:
                return await self._not_modified(ask, validate, exchange, answer, mark)
            if exchange.status in ERRORS and self._can_stand_in(ask, exchange.status):
                await exchange.close()
                return Erred(exchange.status)
            return await self._judge(ask, exchange, answer, headers, mark)
        except BaseException:
            await exchange.close()
            raise

    async def _not_modified(
        self, ask: Ask, validate: Validate, exchange: Exchange, answer: Answered, mark: Mark
    ) -> Landed:
        outcome = after_not_modified(validate.candidates, ask.request, answer, ask.policy)
        if isinstance(outcome, ForClient):
            return Passed(exchange, None)
        await exchange.close()
        if isinstance(outcome, Unusable):
            return await self._fly(ask, conditional=False)
        self._confirmed += 1
        return Confirmed(await self._freshen(ask, validate, outcome, answer, mark))

    async def _freshen(
        self, ask: Ask, validate: Validate, outcome: Freshened, answer: Answered, mark: Mark
    ) -> Held:
        """Stores what a 304 updated; the one to answer with."""
        olds = to_freshen(validate.candidates, ask.request, answer.headers)
        updated: list[Held] = []
        for old, stored in zip(olds, (outcome.chosen, *outcome.others), strict=True):
            before = next(held for held in ask.found if held.stored is old)
            held = replace(before, entry=replace(before.entry, stored=stored), mark=mark)
            if outcome.forget:
                await self._entries.remove((before,))
            elif outcome.refused is None:
                held = await self._entries.updated(held)
            updated.append(held)
        return updated[0]

    def _can_stand_in(self, ask: Ask, status: int) -> bool:
        stored = [held.stored for held in ask.found]
        now = self._clock.now()
        decided = after_failure(stored, ask.request, now, ask.policy, status=status)
        return not isinstance(decided, PassError)

    async def _judge(
        self, ask: Ask, exchange: Exchange, answer: Answered, headers: Headers, mark: Mark
    ) -> Landed:
        """Stores a whole answer, or says that it is only for the one who asked."""
        request, received = ask.request, end_to_end(exchange.headers)
        if request.method != "GET":
            request = replace(request, method="GET")
        keys = surrogate_keys(received)
        kind = received.get("Content-Type")
        why = refusal(request, exchange.status, exchange.headers, ask.policy)
        size = _length(exchange)
        lies = mistaken_type(ask.key.path, kind)
        # A stream of events has no end: who waits for its body waits for ever.
        lies = lies or streams_events(received)
        if why is None and (keys is None or lies or (size or 0) > SIZE_BYTES_MAX):
            why = Refusal.NOT_CACHEABLE
        if why is not None or keys is None:
            await self._not_kept(ask, exchange.status, why)
            return Passed(exchange, why)
        stored = stored_response(
            request,
            exchange.status,
            exchange.headers,
            requested_at=answer.requested_at,
            received_at=answer.received_at,
            size_bytes=size,
            surrogate_keys=keys,
        )
        self._unstorable.pop(ask.key, None)
        self._stored += 1
        entry = Entry(ask.key, stored, None, mark.purges, last_used=answer.received_at)
        if stored.size_bytes == 0:
            await exchange.close()
            held = await self._entries.keep(entry, mark)
        else:
            held = await self._fill(ask, entry, exchange, headers, mark)
        return Kept(held, received, exchange.status)

    async def _fill(
        self, ask: Ask, entry: Entry, exchange: Exchange, headers: Headers, mark: Mark
    ) -> Held:
        answering = Answering(ask.origin, ask.key.target, headers, exchange)
        place = ResumedPlace(answering)
        name = f"{ask.key.digest} {next(self._numbers)}"
        size = entry.stored.size_bytes
        # A digest that the origin promises proves the body; the scope keeps it one's own fetch.
        digest = promised(exchange.status, exchange.headers)
        scope, name = (name, "") if digest is not None else ("", name)
        fill = self._fills.get(
            FillKey(digest, ask.origin.name, scope, name=name),
            (place,) * ATTEMPTS,
            size_bytes=size,
            keep=self._entries.has_room and self._admits(ask.key.digest, size or 0),
        )
        return self._entries.begin(entry, mark, fill)

    async def _not_kept(self, ask: Ask, status: int, why: Refusal | None) -> None:
        if why in _FOR_THE_REQUEST:
            return
        self._unstorable[ask.key] = self._clock.monotonic() + UNSTORABLE_SECONDS
        if len(self._unstorable) > UNSTORABLE_MAX:
            self._unstorable.popitem(last=False)
        if ask.validate is not None and status < 500:
            # The origin has something else now that may not be kept: what was kept is over.
            over = ask.validate.candidates
            await self._entries.remove(tuple(h for h in ask.found if h.stored in over))

    def _close_unclaimed(self, future: asyncio.Future[Landed]) -> None:
        if future.cancelled() or future.exception() is not None:
            return
        landed = future.result()
        if isinstance(landed, Passed) and (exchange := landed.claim()) is not None:
            self._nursery.start(exchange.close(), name="edge.unclaimed")


def _length(exchange: Exchange) -> int | None:
    """The body's length as its head says; 0 where there is none (RFC 9112 section 6.3)."""
    if exchange.status in (204, 205, 304):
        return 0
    lengths = exchange.headers.all("Content-Length")
    coded = "Transfer-Encoding" in exchange.headers
    said = lengths[0].strip() if len(lengths) == 1 and not coded else ""
    return int(said) if said.isascii() and said.isdigit() and len(said) < 20 else None


def may_share(request: Request) -> bool:
    """Whether another one's answer, asked for a moment ago, may do for this request."""
    headers, wishes = request.headers, request_directives(request.headers)
    streams = "text/event-stream" in headers.joined("Accept").lower()
    return not streams and "Authorization" not in headers and "no-cache" not in wishes
