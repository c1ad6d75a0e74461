"""Which stored answers may be given again without asking the edge: leave for the fast way.

Owns the request fields that the edge's decisions read, and the leave itself (`wire.message.Hot`).
Never answers. What is true of an answer now and not of the next one (stale, growing, in slices,
several parts) gets none.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

from skerry.cdn.core.reuse import Serve
from skerry.cdn.core.validation import parse_tag
from skerry.cdn.core.vary import vary_names
from skerry.cdn.entries import Entries, Held
from skerry.cdn.measures import EdgeMeters
from skerry.cdn.ports import DataClass
from skerry.wire.message import Aging, Answer, Hot, HotUses, Request

DECISIVE = frozenset({
    "authorization", "cache-control", "cdn-loop", "content-encoding", "content-length",
    "content-type", "content_length", "expect", "if-match", "if-range", "if-unmodified-since",
    "max-forwards", "pragma", "proxy-authorization", "te", "trailer", "transfer-encoding",
    "transfer_encoding", "upgrade", "want-repr-digest", "x-http-method",
    "x-http-method-override", "x-method-override",
})  # fmt: skip
"""Request fields that some decision on the way to a stored answer reads, or that speak of a body.

Besides them the way reads Host, Connection, Range, If-None-Match, If-Modified-Since (which means
nothing beside the latter) and what `Vary` names; `tests/cdn` holds it to that."""

CONDITION = "if-none-match"
MOOT = {"if-modified-since": CONDITION}


class Repeatable:
    """Gives leave."""

    def __init__(self, *, entries: Entries, meters: EdgeMeters) -> None:
        self._entries = entries
        self._meters = meters

    def with_leave(
        self,
        request: Request,
        found: Sequence[Held],
        serve: Serve,
        answer: Answer,
        *,
        at: float,
        tally: HotUses,
    ) -> Answer:
        """A hit, with leave to repeat it where the next request like it would get the same.

        `found` are all stored responses of the key; `at` is when it was decided, monotonic;
        `tally` is told of its uses.
        """
        held = next(each for each in found if each.stored is serve.stored)
        names = _selecting(found)
        if names is None or not _alone(request, answer) or held.fill is not None:
            return answer
        key, digest = held.entry.key, held.entry.digest
        hit = self._meters.fast(DataClass.PUBLIC)

        def told(uses: int, body_bytes: int) -> None:
            self._entries.used(key)
            hit(uses, body_bytes)
            tally(uses, body_bytes)

        hot = Hot(
            valid_until=at + serve.ttl_seconds,
            hit=told,
            about=(key.digest, *((str(digest),) if digest else ())),
            aging=Aging(at, serve.age_seconds, serve.ttl_seconds),
            fields=(CONDITION, *names),
            whole_bytes=None if isinstance(answer.body, bytes) else held.stored.size_bytes,
        )
        return replace(answer, hot=hot)


def _selecting(found: Sequence[Held]) -> tuple[str, ...] | None:
    """The fields that select among the stored responses of a key, None when that may change.

    Where some vary and others do not, `core.reuse.select` looks at which of them are fresh.
    """
    names = {vary_names(held.stored.headers) for held in found if held.stored.status != 206}
    growing = any(held.fill is not None for held in found)
    return None if growing or len(names) != 1 else names.pop()


def _alone(request: Request, answer: Answer) -> bool:
    """Whether nothing but method, target and selecting fields brought about this answer."""
    if isinstance(answer.body, AsyncIterator) or answer.status == 416:
        return False
    if any(name.lower() in DECISIVE for name, _ in request.headers):
        return False
    conditions = request.headers.all(CONDITION)
    if answer.status == 304:
        # A list, or another form of it, is one of many that would all have to be kept.
        return len(conditions) == 1 and parse_tag(conditions[0]) is not None
    return not conditions and "If-Modified-Since" not in request.headers
