"""Large objects by slices: only what a range touches is fetched, once, and kept.

Owns the objects that are open in slices, who waits for which slice, and the splitting of an
origin's part into them. Never mixes two representations: one strong validator and one length for
all, and another one drops them together (RFC 9110 section 14, RFC 9111 sections 3.3 and 3.4). The
arithmetic is `core.slices`.
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
from skerry.base.errors import Party, SkerryError
from skerry.cdn.answers import read_chunks
from skerry.cdn.core.hops import forwarded_request
from skerry.cdn.core.key import CacheKey
from skerry.cdn.core.parts import Part, PartFlaw, Span, read_part
from skerry.cdn.core.purge import surrogate_keys
from skerry.cdn.core.reuse import ERRORS
from skerry.cdn.core.slices import (
    REQUEST_BYTES_MAX,
    Asking,
    Sliced,
    accept,
    contained,
    first_request,
    plan_slices,
    slice_span,
    touched,
)
from skerry.cdn.core.storing import refusal, stored_response
from skerry.cdn.core.validation import CONDITIONS
from skerry.cdn.entries import Entries, Held
from skerry.cdn.fetches import ATTEMPTS, Ask
from skerry.cdn.passing import Pieces
from skerry.cdn.ports import EdgeUnusable, Entry, Variants
from skerry.cdn.purges import Mark, Purges
from skerry.store.ports import Store
from skerry.upstream.ports import Cause, Exchange, TransportError, Trouble, Unavailable
from skerry.wire.message import BodyAborted, Headers

OBJECTS_MAX = 256
"""Objects open in memory; a closed one is read from the index again."""
UNSLICEABLE_MAX = 10_000
UNSLICEABLE_SECONDS = 120.0
RETRY_SECONDS = 5


class Changed(SkerryError):
    """The origin has another representation by now; what was here of the old one is dropped."""

    party = Party.UPSTREAM


class Sliceable:
    """One object in slices, while somebody reads or fills it."""

    def __init__(self, held: Held, sliced: Sliced, digests: dict[int, Digest]) -> None:
        self.held = held
        self.sliced = sliced
        self.digests = digests
        self.coming: dict[int, asyncio.Future[Digest]] = {}
        self.over = False


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
    ) -> None:
        self._store = store
        self._variants = variants
        self._entries = entries
        self._purges = purges
        self._clock = clock
        self._nursery = nursery
        self._hop = hop
        self._objects: OrderedDict[tuple[CacheKey, object], Sliceable] = OrderedDict()
        self._opening: SingleFlight[object, Sliceable | None] = SingleFlight(
            nursery, name="edge.slices"
        )
        self._unsliceable: OrderedDict[CacheKey, float] = OrderedDict()
        self._requests = self._fetched_bytes = self._changed = 0

    def known(self, held: Held) -> Sliceable | None:
        """The object of an entry in slices; None when that cannot be one any more."""
        place = _place(held.entry)
        known = self._objects.get(place)
        if known is None or not self._alive(known):
            known = self._from_index(held)
            if known is None:
                return None
            self._objects[place] = known
        self._objects.move_to_end(place)
        if len(self._objects) > OBJECTS_MAX:
            self._objects.popitem(last=False)
        known.held = held
        return known

    async def begin(self, ask: Ask, wanted: Span | None, slice_bytes: int) -> Sliceable | None:
        """Asks the origin for the first slices of an object; None when it cannot be had so.

        Many at once share one request. Raises Unavailable.
        """
        if self._unsliceable.get(ask.key, 0.0) > self._clock.monotonic():
            return None
        place = (ask.key, self._purges.mark())
        return await self._opening.run(
            place, lambda: self._begin(ask, first_request(slice_bytes, wanted), slice_bytes)
        )

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
    ) -> AsyncGenerator[bytes, None]:
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
                segment = self._store.open(digest, start - piece.start, stop - start)
                async for chunk in read_chunks(segment):
                    yield chunk

    def holds(self, digest: Digest) -> bool:
        """Whether an open object has this slice: the index hears of it a moment later."""
        return any(digest in known.digests.values() for known in self._objects.values())

    def statistics(self) -> SlicingStatistics:
        coming = sum(len(known.coming) for known in self._objects.values())
        return SlicingStatistics(
            len(self._objects), coming, self._requests, self._fetched_bytes, self._changed
        )

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
        headers = self._headers(ask).with_fields(("Range", asked.range_header))
        mark, requested_at = self._purges.mark(), self._clock.now()
        self._requests += 1
        exchange = await ask.origin.send("GET", ask.key.target, headers)
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
            fields = stored.headers.without("Content-Range").with_fields(
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
            known = await self._opened(entry, sliced, mark)
        except BaseException:
            await exchange.close()
            raise
        numbers = contained(part.span, slice_bytes, part.total)
        self._expect(known, numbers)
        self._nursery.start(self._receive(known, exchange, part, numbers), name="edge.slice")
        return known

    async def _opened(self, entry: Entry, sliced: Sliced, mark: Mark) -> Sliceable:
        """The object under its newest head: its old slices stay if it is the same one."""
        place = _place(entry)
        before = self._objects.get(place)
        if before is not None and not self._alive(before):
            before = None
        elif before is None:
            for held in self._entries.find(entry.key):
                if held.entry.slice_bytes and _place(held.entry) == place:
                    before = self._from_index(held)
        same = before is not None and (
            (before.sliced.validator, before.sliced.total, before.sliced.slice_bytes)
            == (sliced.validator, sliced.total, sliced.slice_bytes)
        )  # fmt: skip
        if before is not None and not same:
            await self._drop(before)
        held = await self._entries.keep(entry, mark)
        if before is not None and same:
            before.held = held
            self._objects[place] = before
            return before
        known = Sliceable(held, sliced, {})
        self._objects[place] = known
        return known

    def _alive(self, known: Sliceable) -> bool:
        """Whether no purge since has taken the object, slices on their way in included."""
        known.over = known.over or self._entries.judged(known.held) is None
        return not known.over

    def _headers(self, ask: Ask) -> Headers:
        return forwarded_request(ask.request.headers, self._hop).without(*CONDITIONS, "Range")

    async def _slice(self, ask: Ask, known: Sliceable, number: int, span: Span) -> Digest:
        """One slice, fetched with its missing neighbours in the span when it is not here."""
        digest = known.digests.get(number)
        if digest is not None and self._store.size_of(digest) is not None:
            return digest
        if digest is not None:  # evicted since
            del known.digests[number]
            present = known.sliced.present - {number}
            known.sliced = replace(known.sliced, present=present)
        for _ in range(ATTEMPTS - 1):
            try:
                return await asyncio.shield(self._coming(ask, known, number, span))
            except TransportError:
                continue  # cut: what came before is kept, and the rest is asked for again
        return await asyncio.shield(self._coming(ask, known, number, span))

    def _coming(
        self, ask: Ask, known: Sliceable, number: int, span: Span
    ) -> asyncio.Future[Digest]:
        """The slice on its way here, asked for now if nobody has."""
        if number not in known.coming:
            start = max(span.start, number * known.sliced.slice_bytes)
            near = Span(start, min(span.stop, start + REQUEST_BYTES_MAX))
            plan = plan_slices(known.sliced, [near], in_flight=known.coming.keys())
            for asking in plan.requests:
                self._expect(known, range(asking.first, asking.stop))
                self._nursery.start(self._fetch(ask, known, asking), name="edge.slice")
        return known.coming[number]

    def _expect(self, known: Sliceable, numbers: range) -> None:
        for number in numbers:
            if number not in known.coming and number not in known.digests:
                future: asyncio.Future[Digest] = asyncio.get_running_loop().create_future()
                future.add_done_callback(_retrieve)
                known.coming[number] = future

    async def _fetch(self, ask: Ask, known: Sliceable, asking: Asking) -> None:
        numbers = range(asking.first, asking.stop)
        headers = self._headers(ask).with_fields(
            ("Range", asking.span.range_header), ("If-Range", known.sliced.validator.value)
        )
        self._requests += 1
        try:
            exchange = await ask.origin.send("GET", ask.key.target, headers)
            part = read_part(exchange.status, exchange.headers, asked=asking.span)
            if isinstance(part, PartFlaw) or not _same(known.sliced, part):
                await exchange.close()
                await self._drop(known)
                raise Changed("the origin has something else there by now")
        except SkerryError as error:
            self._fail(known, numbers, error)
            return
        await self._receive(known, exchange, part, numbers)

    async def _receive(
        self, known: Sliceable, exchange: Exchange, part: Part, numbers: range
    ) -> None:
        """Splits a part into slices, each proven by its length and kept by its own digest."""
        chunks = Pieces(exchange)
        try:
            await chunks.skip(numbers.start * known.sliced.slice_bytes - part.span.start)
            for number in numbers:
                piece = slice_span(number, known.sliced.slice_bytes, known.sliced.total)
                await self._keep(known, number, piece, chunks)
        except SkerryError as error:
            self._fail(known, numbers, error)
        finally:
            stopped = BodyAborted("the fetch was stopped")
            self._fail(known, numbers, stopped)
            await exchange.close()

    async def _keep(self, known: Sliceable, number: int, piece: Span, chunks: Pieces) -> None:
        spool = await self._store.begin(size_bytes=piece.size, named=False)
        try:
            while spool.received_bytes < piece.size:
                chunk = await chunks.take(piece.size - spool.received_bytes)
                self._fetched_bytes += len(chunk)
                await spool.write(chunk)
        except BaseException as error:
            await spool.abort(error if isinstance(error, Exception) else BodyAborted())
            raise
        digest = await spool.commit(None)
        known.digests[number] = digest
        part = Part(known.sliced.validator, piece, known.sliced.total)
        accepted = accept(known.sliced, part, slice_bytes=known.sliced.slice_bytes)
        known.sliced = accepted.sliced or known.sliced
        future = known.coming.pop(number, None)
        if future is not None and not future.done():
            future.set_result(digest)
        if self._alive(known):
            with suppress(EdgeUnusable):
                await self._variants.put_slice(known.held.entry, number, digest, piece.size)

    async def _drop(self, known: Sliceable) -> None:
        """Another representation: every slice of the old one goes at once."""
        known.over = True
        self._changed += 1
        self._objects.pop(_place(known.held.entry), None)
        await self._entries.remove((known.held,))

    def _fail(self, known: Sliceable, numbers: range, error: Exception) -> None:
        for number in numbers:
            future = known.coming.pop(number, None)
            if future is not None and not future.done():
                future.set_exception(error)

    def _note_unsliceable(self, key: CacheKey) -> None:
        self._unsliceable[key] = self._clock.monotonic() + UNSLICEABLE_SECONDS
        if len(self._unsliceable) > UNSLICEABLE_MAX:
            self._unsliceable.popitem(last=False)


def _same(sliced: Sliced, part: Part) -> bool:
    return (part.validator, part.total) == (sliced.validator, sliced.total)


def _place(entry: Entry) -> tuple[CacheKey, object]:
    return entry.key, entry.stored.vary


def _retrieve(future: asyncio.Future[Digest]) -> None:
    if not future.cancelled():
        future.exception()
