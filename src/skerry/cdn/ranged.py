"""Ranges of large objects, answered from slices.

Owns the order of things for one range: the stored head, its freshness, the first slice, the answer.
Never fetches: `slicing` does; never judges: `core.reuse` does, on the head as that of a whole.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import replace

from skerry.base.clock import Clock
from skerry.base.errors import SkerryError
from skerry.base.ranges import Unsatisfiable, parse_range
from skerry.cdn.answers import Answers
from skerry.cdn.core import reuse
from skerry.cdn.core.parts import Span
from skerry.cdn.core.slices import plan_slices
from skerry.cdn.core.status import CacheStatus, Fwd
from skerry.cdn.core.validation import if_range_holds, selected
from skerry.cdn.entries import Held
from skerry.cdn.fetches import Ask
from skerry.cdn.measures import Served
from skerry.cdn.sliceable import Changed, Sliceable
from skerry.cdn.slicing import Slicing
from skerry.upstream.ports import Unavailable
from skerry.wire.message import Answer, Piece, Request

TRIES = 2
"""A representation that changes between two slices is begun anew once."""

FAR_BYTES = 8 << 20
"""A seek further than this beyond a growing body's end goes to the origin."""

Outcome = tuple[Answer, Served]
_FIRST_BYTE = re.compile(r"[ \t]*bytes[ \t]*=[ \t]*([0-9]{1,19})-", re.IGNORECASE)


class Ranged:
    """Answers requests with a Range on routes that have slices."""

    def __init__(self, *, slicing: Slicing, answers: Answers, clock: Clock) -> None:
        self._slicing = slicing
        self._answers = answers
        self._clock = clock

    async def answer(self, ask: Ask, slice_bytes: int, why: Fwd) -> Outcome | None:
        """206, 416 or 304 from slices; None when this object, or this request, is not for slices.

        Raises Unavailable.
        """
        for _ in range(TRIES):
            try:
                return await self._try(ask, slice_bytes, why)
            except Changed:
                continue
            except Unavailable:
                raise
            except SkerryError:
                return None  # no room, say: the client gets its range from the origin
        return None

    async def _try(self, ask: Ask, slice_bytes: int, why: Fwd) -> Outcome | None:
        here = [held for held in ask.found if held.entry.slice_bytes == slice_bytes]
        if not here and (recalled := await self._slicing.recalled(ask)) is not None:
            here = [recalled] if recalled.entry.slice_bytes == slice_bytes else []
        wholes = {id(whole): (held, whole) for held in here for whole in [_as_whole(held)]}
        stored = [whole.stored for _, whole in wholes.values()]
        now = self._clock.now()
        decision = reuse.decide(stored, ask.request, now, ask.policy)
        known: Sliceable | None = None
        serve: reuse.Serve | reuse.ServeStale | None = None
        if isinstance(decision, reuse.Serve | reuse.ServeStale):
            serve = decision
            chosen = next(h for h, whole in wholes.values() if whole.stored is decision.stored)
            known = self._slicing.known(chosen)
        if "Range" not in ask.request.headers and (known is None or not known.sliced.whole):
            return None  # an incomplete response answers nothing else (RFC 9111 section 3.3)
        if known is None:
            serve = None
            try:
                known = await self._slicing.begin(ask, _wanted(ask), slice_bytes)
            except Unavailable:
                after = reuse.after_failure(stored, ask.request, now, ask.policy, status=None)
                if not isinstance(after, reuse.Serve | reuse.ServeStale):
                    raise
                serve = after
                chosen = next(h for h, whole in wholes.values() if whole.stored is after.stored)
                known = self._slicing.known(chosen)
            if known is None:
                return None
        elif isinstance(decision, reuse.ServeStale):
            self._slicing.renew(ask, slice_bytes)
        return await self._from(ask, known, serve, why)

    async def _from(
        self, ask: Ask, known: Sliceable, serve: reuse.Serve | reuse.ServeStale | None, why: Fwd
    ) -> Outcome | None:
        total, headers = known.sliced.total, known.held.stored.headers
        if not if_range_holds(ask.request.headers, selected(headers)):
            return None
        ranges = parse_range(ask.request.headers.get("Range"), total)
        if ranges is None and not known.sliced.whole:
            return None
        spans: list[Span] = []
        if not isinstance(ranges, Unsatisfiable):
            spans = [Span(item.start, item.stop) for item in ranges or ()] or [Span(0, total)]
        ready = known.sliced.whole or plan_slices(known.sliced, spans).ready
        if spans:
            await self._slicing.first(ask, known, spans[0])

        def read(offset: int, size: int | None) -> AsyncIterator[Piece]:
            stop = total if size is None else offset + size
            return self._slicing.body(ask, known, [Span(offset, stop)])

        view = replace(_as_whole(known.held), read=read)
        if serve is not None and ready:
            status = CacheStatus(ttl_seconds=serve.ttl_seconds, detail=serve.detail)
            served = Served.STALE if isinstance(serve, reuse.ServeStale) else Served.HIT
        else:
            partial = serve is not None
            status = CacheStatus(fwd=Fwd.PARTIAL if partial else why, stored=True)
            served = Served.MISS
        age = serve.age_seconds if serve is not None else None
        return self._answers.stored(ask.request, view, status, age_seconds=age), served


def _as_whole(held: Held) -> Held:
    """The head of the whole object that the slices are of."""
    stored = replace(held.stored, status=200)
    return replace(held, entry=replace(held.entry, stored=stored))


def _wanted(ask: Ask) -> Span | None:
    """The first range as far as it can be read without the length; None for a suffix."""
    text = (ask.request.headers.get("Range") or "").partition("=")[2].partition(",")[0]
    first, _, last = text.strip().partition("-")
    if not (first.isascii() and first.isdigit() and len(first) < 19):
        return None
    start = int(first)
    stop = int(last) + 1 if last.isascii() and last.isdigit() and len(last) < 19 else start + 1
    return Span(start, max(stop, start + 1))


def is_far(request: Request, held: Held) -> bool:
    """Whether a range begins so far behind what has come that the origin is quicker."""
    match = _FIRST_BYTE.match(request.headers.get("Range") or "")
    if held.fill is None or match is None:
        return False
    return int(match[1]) > held.fill.received_bytes + FAR_BYTES
