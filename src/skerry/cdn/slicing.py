"""Large objects by slices: only what a range touches is fetched, once, and kept.

Owns the objects that are open in slices, their opening and their bodies. Never mixes two
representations: one strong validator and one length for all, and another one drops them together
(RFC 9110 section 14, RFC 9111 sections 3.3 and 3.4). The arithmetic is `core.slices`, the fetching
`slice_intake`.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from skerry.aio.single import SingleFlight
from skerry.aio.tasks import Nursery
from skerry.base.clock import Clock
from skerry.base.digest import Digest
from skerry.base.errors import SkerryError
from skerry.cdn.core.key import CacheKey
from skerry.cdn.core.parts import PartFlaw, Span, read_part
from skerry.cdn.core.purge import surrogate_keys
from skerry.cdn.core.reuse import ERRORS
from skerry.cdn.core.slices import (
    REQUEST_BYTES_MAX,
    Sliced,
    contained,
    first_request,
    plan_slices,
    slice_span,
    touched,
)
from skerry.cdn.core.storing import refusal, stored_response
from skerry.cdn.entries import Entries, Held
from skerry.cdn.fetches import ATTEMPTS, JOINS_MAX, Ask
from skerry.cdn.ports import DataClass, EdgeUnusable, Entry, Variants
from skerry.cdn.purges import Mark, Purges
from skerry.cdn.slice_intake import SliceIntake
from skerry.cdn.slice_recall import SliceRecall
from skerry.cdn.sliceable import Sliceable
from skerry.store.ports import Store
from skerry.upstream.misses import Spent
from skerry.upstream.ports import Cause, TransportError, Trouble, Unavailable
from skerry.wire.message import BodyAborted, Piece, Segment

OBJECTS_MAX = 256
"""Objects open in memory; a closed one is read from the index again."""
UNSLICEABLE_MAX = 10_000
UNSLICEABLE_SECONDS = 120.0
RETRY_SECONDS = 5

_Place = tuple[CacheKey, object]


@dataclass(frozen=True, slots=True)
class SlicingStatistics:
    """A snapshot; counts are since start."""

    open_count: int
    coming_count: int
    request_count: int
    fetched_bytes: int
    changed_count: int


class Slicing:
    """Every object of the edge that is stored in slices."""

    def __init__(
        self,
        *,
        store: Store,
        variants: Variants,
        entries: Entries,
        purges: Purges,
        clock: Clock,
        nursery: Nursery,
        hop: str,
        deep: SliceRecall | None = None,
    ) -> None:
        self._deep = deep
        self._store = store
        self._variants = variants
        self._entries = entries
        self._purges = purges
        self._clock = clock
        self._nursery = nursery
        self._intake = SliceIntake(
            store=store, variants=variants, hop=hop, alive=self._alive, drop=self._drop
        )
        self._objects: OrderedDict[_Place, Sliceable] = OrderedDict()
        self._opening: SingleFlight[object, Sliceable | None] = SingleFlight(
            nursery, name="edge.slices"
        )
        self._unsliceable: OrderedDict[CacheKey, float] = OrderedDict()
        self._changed = 0

    def known(self, held: Held) -> Sliceable | None:
        """The object of an entry in slices; None when that cannot be one any more."""
        place = _place(held.entry)
        known = self._objects.get(place)
        if known is None or not self._alive(known):
            known = self._from_index(held)
            if known is None:
                return None
            self._objects[place] = known
        known.held = held
        self._remember(place, known)
        return known

    async def recalled(self, ask: Ask) -> Held | None:
        """An object in slices that is not here, from the record of a deeper tier."""
        if self._deep is None or ask.policy.data_class is not DataClass.PUBLIC:
            return None
        found = self._deep.find(ask.key, ask.request.headers)
        if found is None or self._purges.written(ask.key):
            return None
        entry, slices = found
        mark = replace(self._purges.mark(), purges=entry.as_of)
        if self._entries.judged(Held(entry, mark)) is None:
            return None
        held = await self._entries.keep(entry, mark)
        with suppress(EdgeUnusable):
            for number, (digest, size) in slices.items():
                await self._variants.put_slice(held.entry, number, digest, size)
        return held

    async def begin(self, ask: Ask, wanted: Span | None, slice_bytes: int) -> Sliceable | None:
        """Asks the origin for the first slices of an object; None when it cannot be had so.

        Many at once share one request. Raises Unavailable.
        """
        if self._unsliceable.get(ask.key, 0.0) > self._clock.monotonic():
            return None
        for asked in range(JOINS_MAX + 1):
            place = (ask.key, self._purges.mark())
            joined = place in self._opening
            try:
                return await self._opening.run(
                    place, lambda: self._begin(ask, first_request(slice_bytes, wanted), slice_bytes)
                )
            except Spent:
                if not joined or asked == JOINS_MAX:
                    raise  # else it was another one's share that was used up
        return None

    def renew(self, ask: Ask, slice_bytes: int) -> None:
        """Asks for the head anew, behind an answer that was given stale."""
        place = (ask.key, self._purges.mark())
        asked = first_request(slice_bytes, None)
        self._opening.start(place, lambda: self._begin(ask, asked, slice_bytes))

    async def first(self, ask: Ask, known: Sliceable, span: Span) -> None:
        """Waits until the first slice of a span is here. Raises what the fetch raised."""
        await self._slice(ask, known, span.start // known.sliced.slice_bytes, span)

    async def body(
        self, ask: Ask, known: Sliceable, spans: Sequence[Span]
    ) -> AsyncGenerator[Piece, None]:
        """The bytes of spans, slice by slice, no further ahead than one request. Raises
        BodyAborted."""
        for span in spans:
            for number in touched(span, known.sliced.slice_bytes):
                try:
                    digest = await self._slice(ask, known, number, span)
                except SkerryError as error:
                    raise BodyAborted(str(error)) from error
                piece = slice_span(number, known.sliced.slice_bytes, known.sliced.total)
                start, stop = max(piece.start, span.start), min(piece.stop, span.stop)
                yield self._open(digest, start - piece.start, stop - start)

    def holds(self, digest: Digest) -> bool:
        """Whether an open object has this slice: the index hears of it a moment later."""
        return any(digest in known.digests() for known in self._objects.values())

    def statistics(self) -> SlicingStatistics:
        coming = sum(len(known.coming) for known in self._objects.values())
        return SlicingStatistics(
            len(self._objects),
            coming,
            self._intake.request_count,
            self._intake.fetched_bytes,
            self._changed,
        )

    def _open(self, digest: Digest, offset: int, size: int) -> Segment:
        try:
            return self._store.open(digest, offset, size)
        except SkerryError as error:
            raise BodyAborted(str(error)) from error

    def _remember(self, place: _Place, known: Sliceable) -> None:
        """Open until others have been used since; never closed while slices are on their way."""
        self._objects[place] = known
        self._objects.move_to_end(place)
        if len(self._objects) > OBJECTS_MAX:
            idle = (at for at, each in self._objects.items() if not each.coming and at != place)
            if (oldest := next(idle, None)) is not None:
                del self._objects[oldest]

    def _from_index(self, held: Held) -> Sliceable | None:
        entry = held.entry
        part = read_part(200, entry.stored.headers, asked=None)
        total = entry.stored.size_bytes
        if isinstance(part, PartFlaw) or part.validator is None or not total:
            return None
        here = {
            number: digest
            for number, (digest, _) in self._variants.slices(entry).items()
            if self._store.size_of(digest) is not None
        }
        sliced = Sliced(part.validator, total, entry.slice_bytes, frozenset(here))
        return Sliceable(held, sliced, here)

    async def _begin(self, ask: Ask, asked: Span, slice_bytes: int) -> Sliceable | None:
        mark, requested_at = self._purges.mark(), self._clock.now()
        exchange = await self._intake.send(ask, asked)
        try:
            if exchange.status in ERRORS:
                cause = Cause(ask.origin.name, Trouble.SERVER_ERROR, f"said {exchange.status}")
                raise Unavailable(ask.origin.name, (cause,), retry_after_seconds=RETRY_SECONDS)
            part = read_part(exchange.status, exchange.headers, asked=asked)
            keys = surrogate_keys(exchange.headers)
            why = refusal(ask.request, exchange.status, exchange.headers, ask.policy, parts=True)
            if (
                isinstance(part, PartFlaw)
                or (exchange.status, why) != (206, None)
                or part.validator is None
                or part.total is None
                or keys is None
            ):
                await exchange.close()
                self._note_unsliceable(ask.key)
                return None
            stored = stored_response(
                ask.request,
                206,
                exchange.headers,
                requested_at=requested_at,
                received_at=self._clock.now(),
                size_bytes=part.total,
                surrogate_keys=keys,
            )
            # The head of the whole, as a 200 would have said it.
            fields = stored.headers.without("Content-Range", "Content-Digest").with_fields(
                ("Content-Length", str(part.total))
            )
            entry = Entry(
                ask.key,
                replace(stored, headers=fields),
                None,
                mark.purges,
                stored.received_at,
                slice_bytes,
            )
            sliced = Sliced(part.validator, part.total, slice_bytes)
            numbers = contained(part.span, slice_bytes, part.total)
            known = await self._opened(entry, sliced, mark, numbers)
        except BaseException:
            await exchange.close()
            raise
        taking = self._intake.receive(known, exchange, part, numbers)
        self._nursery.start(taking, name="edge.slice")
        return known

    async def _opened(self, entry: Entry, sliced: Sliced, mark: Mark, numbers: range) -> Sliceable:
        """The object under its newest head, `numbers` of it on their way: its old slices stay if
        it is the same one."""
        place = _place(entry)
        before = self._objects.get(place)
        if before is not None and not self._alive(before):
            before = None
        elif before is None:
            for held in self._entries.find(entry.key):
                if held.entry.slice_bytes and _place(held.entry) == place:
                    before = self._from_index(held)
        same = before is not None and before.same(sliced)
        if before is not None and not same:
            await self._drop(before)
        known = before if before is not None and same else Sliceable(Held(entry, mark), sliced, {})
        # Before the index tells of it: who finds it there must not ask for the same slices.
        known.expect(numbers)
        self._remember(place, known)
        try:
            known.held = await self._entries.keep(entry, mark)
        except BaseException:
            known.fail(numbers, BodyAborted("the fetch was stopped"))
            raise
        return known

    def _alive(self, known: Sliceable) -> bool:
        """Whether no purge since has taken the object, slices on their way in included."""
        known.over = known.over or self._entries.judged(known.held) is None
        return not known.over

    async def _slice(self, ask: Ask, known: Sliceable, number: int, span: Span) -> Digest:
        """One slice, fetched with its missing neighbours in the span when it is not here."""
        digest = known.digest(number)
        if digest is not None and self._store.size_of(digest) is not None:
            return digest
        if digest is not None:
            known.evicted(number)
        if (recalled := await self._from_deeper(known, number)) is not None:
            return recalled
        for _ in range(ATTEMPTS - 1):
            try:
                return await asyncio.shield(self._coming(ask, known, number, span))
            except (TransportError, Spent):
                # Cut: what came before is kept, and the rest is asked for again. Or whoever asked
                # for it may ask for no more: this one asks itself.
                continue
        return await asyncio.shield(self._coming(ask, known, number, span))

    async def _from_deeper(self, known: Sliceable, number: int) -> Digest | None:
        """A slice that the index still knows and a deeper tier has."""
        if self._deep is None or number in known.coming:
            return None
        noted = self._variants.slices(known.held.entry).get(number)
        if noted is None or not await self._deep.fetch(*noted):
            return None
        if not known.over:
            known.arrived(number, noted[0])
        return noted[0]

    def _coming(
        self, ask: Ask, known: Sliceable, number: int, span: Span
    ) -> asyncio.Future[Digest]:
        """The slice on its way here, asked for now if nobody has."""
        if number not in known.coming:
            start = max(span.start, number * known.sliced.slice_bytes)
            near = Span(start, min(span.stop, start + REQUEST_BYTES_MAX))
            plan = plan_slices(known.sliced, [near], in_flight=known.coming.keys())
            for asking in plan.requests:
                known.expect(range(asking.first, asking.stop))
                fetching = self._intake.fetch(ask, known, asking)
                self._nursery.start(fetching, name="edge.slice")
        return known.coming[number]

    async def _drop(self, known: Sliceable) -> None:
        """Another representation: every slice of the old one goes at once."""
        known.over = True
        self._changed += 1
        self._objects.pop(_place(known.held.entry), None)
        await self._entries.remove((known.held,))

    def _note_unsliceable(self, key: CacheKey) -> None:
        self._unsliceable[key] = self._clock.monotonic() + UNSLICEABLE_SECONDS
        if len(self._unsliceable) > UNSLICEABLE_MAX:
            self._unsliceable.popitem(last=False)


def _place(entry: Entry) -> _Place:
    return entry.key, entry.stored.vary
