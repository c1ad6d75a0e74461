"""Slices on their way in: one request for missing neighbours, split into slices as it arrives.

Owns the reading of an origin's part into the store, each slice proven by its length and kept under
its own digest. Never decides which slices are wanted, and never joins two representations (RFC 9110
section 14, RFC 9111 sections 3.3 and 3.4).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from skerry.base.digest import Digest, new_hasher
from skerry.base.errors import SkerryError
from skerry.cdn.core.digests import of_the_part, of_the_whole
from skerry.cdn.core.forwarding import for_all
from skerry.cdn.core.parts import Part, PartFlaw, Span, read_part
from skerry.cdn.core.slices import Asking, slice_span
from skerry.cdn.core.validation import CONDITIONS
from skerry.cdn.fetches import Ask
from skerry.cdn.passing import Pieces, broke_its_promise
from skerry.cdn.ports import EdgeUnusable, Variants
from skerry.cdn.sliceable import Changed, Sliceable
from skerry.cdn.taking import whole
from skerry.store.ports import Store
from skerry.upstream.ports import Exchange
from skerry.wire.message import BodyAborted

Alive = Callable[[Sliceable], bool]
Drop = Callable[[Sliceable], Awaitable[None]]


class SliceIntake:
    """Every request of the edge for slices.

    Args:
        alive: whether no purge has taken an object since.
        drop: forgets an object whose representation has changed.
    """

    def __init__(
        self, *, store: Store, variants: Variants, hop: str, alive: Alive, drop: Drop
    ) -> None:
        self._store = store
        self._variants = variants
        self._hop = hop
        self._alive = alive
        self._drop = drop
        self.request_count = self.fetched_bytes = 0

    async def send(self, ask: Ask, span: Span, *fields: tuple[str, str]) -> Exchange:
        """Asks the origin for a span, without the client's own conditions. Raises Unavailable."""
        self.request_count += 1
        headers = for_all(ask.request, ask.policy, hop=self._hop, authority=ask.key.authority)
        headers = headers.without(*CONDITIONS, "Range")
        headers = headers.with_fields(("Range", span.range_header), *fields)
        return await ask.origin.send("GET", ask.key.target, headers)

    async def fetch(self, ask: Ask, known: Sliceable, asking: Asking) -> None:
        """Brings missing slices; whoever waits for one of them learns of it."""
        numbers = range(asking.first, asking.stop)
        validator = ("If-Range", known.sliced.validator.value)
        try:
            exchange = await self.send(ask, asking.span, validator)
            part = read_part(exchange.status, exchange.headers, asked=asking.span)
            if isinstance(part, PartFlaw) or not known.fits(part):
                await exchange.close()
                await self._drop(known)
                raise Changed("the origin has something else there by now")
        except SkerryError as error:
            known.fail(numbers, error)
            return
        await self.receive(known, exchange, part, numbers)

    async def receive(
        self, known: Sliceable, exchange: Exchange, part: Part, numbers: range
    ) -> None:
        """Splits a part into slices; one with a digest of its own is shown once that agrees."""
        promise = of_the_part(exchange.headers)
        hasher = new_hasher("sha256") if promise is not None else None
        chunks = Pieces(exchange, hasher)
        unproven: list[tuple[int, Digest]] = []
        try:
            await chunks.skip(numbers.start * known.sliced.slice_bytes - part.span.start)
            for number in numbers:
                digest = await self._stored(known, number, chunks)
                if hasher is None:
                    await self._arrived(known, number, digest)
                else:
                    unproven.append((number, digest))
            if promise is not None and hasher is not None and hasher.hexdigest() != promise.hex:
                raise broke_its_promise(known.held.entry.key.origin)
            for number, digest in unproven:
                await self._arrived(known, number, digest)
            await self._prove_whole(known)
        except SkerryError as error:
            known.fail(numbers, error)
        finally:
            known.fail(numbers, BodyAborted("the fetch was stopped"))
            await exchange.close()

    async def _stored(self, known: Sliceable, number: int, chunks: Pieces) -> Digest:
        piece = slice_span(number, known.sliced.slice_bytes, known.sliced.total)
        spool = await self._store.begin(size_bytes=piece.size, named=False)
        try:
            while spool.received_bytes < piece.size:
                chunk = await chunks.take(piece.size - spool.received_bytes)
                self.fetched_bytes += len(chunk)
                await spool.write(chunk)
        except BaseException as error:
            await spool.abort(error if isinstance(error, Exception) else BodyAborted())
            raise
        return await spool.commit(None)

    async def _arrived(self, known: Sliceable, number: int, digest: Digest) -> None:
        piece = slice_span(number, known.sliced.slice_bytes, known.sliced.total)
        known.arrived(number, digest)
        if self._alive(known):
            with suppress(EdgeUnusable):
                await self._variants.put_slice(known.held.entry, number, digest, piece.size)

    async def _prove_whole(self, known: Sliceable) -> None:
        """All slices together against what the origin says of the whole: else none is kept."""
        promise = of_the_whole(known.held.stored.headers)
        if promise is None or not known.sliced.whole or known.over:
            return
        hasher = new_hasher("sha256")
        for number in range(known.sliced.count):
            digest = known.digest(number)
            if digest is None or self._store.size_of(digest) is None:
                return  # evicted meanwhile: it is proven when it is whole again
            data = await whole(self._store.open(digest), bytes_max=known.sliced.slice_bytes)
            await asyncio.to_thread(hasher.update, data)
        if hasher.hexdigest() != promise.hex:
            await self._drop(known)
