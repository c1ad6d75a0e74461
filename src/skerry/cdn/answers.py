"""From a stored response to the answer for one request.

Owns status, fields and body of what is served from here: 304, HEAD, one range, several, the whole.
Never chooses what to serve. RFC 9110 sections 13 to 15, RFC 9111 section 4.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, replace
from random import Random

from skerry.base.ranges import Unsatisfiable, parse_range
from skerry.cdn.admission import Admitted
from skerry.cdn.core import multipart
from skerry.cdn.core.digests import is_wanted, with_repr_digest
from skerry.cdn.core.hops import end_to_end, with_via
from skerry.cdn.core.status import (
    CacheStatus,
    ProxyStatus,
    with_age,
    with_cache_key,
    with_cache_status,
    with_proxy_status,
)
from skerry.cdn.core.validation import (
    Outcome,
    evaluate_cached,
    if_range_holds,
    not_modified_fields,
    selected,
)
from skerry.cdn.entries import Held
from skerry.store.ports import Store
from skerry.wire.message import Answer, Body, Headers, Piece, Request


@dataclass(frozen=True, slots=True)
class Names:
    """What this node calls itself: in Cache-Status and Proxy-Status, and in Via."""

    node: str
    hop: str


class Answers:
    """Makes answers of stored responses."""

    def __init__(self, *, store: Store, names: Names, chance: Random) -> None:
        self._store = store
        self._names = names
        self._chance = chance

    def stored(
        self,
        request: Request,
        held: Held,
        status: CacheStatus,
        *,
        age_seconds: float | None = None,
        received: Headers | None = None,
    ) -> Answer:
        """GET or HEAD answered with a stored response.

        `age_seconds` is None for one that just came; `received` are then its fields as they came.
        Raises BlobMissing when its body went a moment ago.
        """
        stored = held.stored
        fields = end_to_end(received) if received is not None else stored.headers
        if age_seconds is not None:
            fields = with_age(fields, age_seconds)
        fields = self.signed(fields, status)
        digest = held.entry.digest or (held.fill.digest if held.fill is not None else None)
        if digest is not None and stored.status == 200 and is_wanted(request.headers):
            fields = with_repr_digest(fields, digest)
        # Of this content no more, where it is not the whole (RFC 9530 section 2).
        partly = fields.without("Content-Digest")
        current = selected(stored.headers, stored.received_at)
        ok = 200 <= stored.status <= 299
        if ok and evaluate_cached(request.method, request.headers, current) is not Outcome.PROCEED:
            return Answer(304, not_modified_fields(partly))
        size = self._size(held)
        fields, partly = fields.without("Content-Length"), partly.without("Content-Length")
        if request.method == "HEAD":
            length = () if size is None else (("Content-Length", str(size)),)
            return Answer(stored.status, partly.with_fields(*length))
        ranged = stored.status == 200 and if_range_holds(request.headers, current)
        asked = request.headers.get("Range") if ranged else None
        if asked is None or size is None:
            return self._whole(held, fields, stored.status, size)
        return self._ranged(held, partly, asked, size)

    def signed(self, fields: Headers, status: CacheStatus) -> Headers:
        """The fields with what this node has to say of itself."""
        return with_cache_status(with_via(fields, self._names.hop), self._names.node, status)

    def own(
        self,
        code: int,
        sentence: str,
        *fields: tuple[str, str],
        status: CacheStatus | None = None,
        proxy: ProxyStatus | None = None,
    ) -> Answer:
        """An answer of our own making; never stored by anybody."""
        plain = ("Content-Type", "text/plain; charset=utf-8")
        headers = Headers((plain, ("Cache-Control", "no-store"), *fields))
        if status is not None:
            headers = with_cache_status(headers, self._names.node, status)
        if proxy is not None:
            headers = with_proxy_status(headers, self._names.node, proxy)
        return Answer(code, headers, f"{sentence}\n".encode())

    def _ranged(self, held: Held, fields: Headers, asked: str, size: int) -> Answer:
        ranges = parse_range(asked, size)
        judged = multipart.judge(ranges) if isinstance(ranges, tuple) else ranges
        match judged:
            case Unsatisfiable():
                refused = (("Content-Range", judged.content_range),)
                kept = Headers(f for f in fields if f[0].lower() in ("cache-status", "via", "etag"))
                return Answer(416, kept.with_fields(*refused))
            case multipart.SendOne(part):
                fields = fields.with_fields(("Content-Range", part.content_range))
                body = self._body(held, part.start, part.size)
                return Answer(206, _with_length(fields, body, part.size), body)
            case multipart.SendSeveral(parts):
                plan = multipart.plan_multipart(
                    parts,
                    content_type=held.stored.headers.get("Content-Type"),
                    boundary=multipart.boundary_of(self._chance.randbytes(24)),
                )
                fields = fields.with_fields(
                    ("Content-Type", plan.content_type),
                    ("Content-Length", str(plan.content_length)),
                )
                return Answer(206, fields, self._several(held, plan))
        return self._whole(held, fields, 200, size)

    def _whole(self, held: Held, fields: Headers, status: int, size: int | None) -> Answer:
        body = self._body(held, 0, size)
        return Answer(status, _with_length(fields, body, size), body)

    def _size(self, held: Held) -> int | None:
        if held.fill is not None and held.fill.size_bytes is not None:
            return held.fill.size_bytes
        return held.stored.size_bytes

    def _body(self, held: Held, offset: int, size: int | None) -> Body:
        if held.read is not None:
            return held.read(offset, size)
        if held.fill is not None:
            return held.fill.body(offset, size)
        if held.entry.digest is None or size == 0:
            return b""
        return self._store.open(held.entry.digest, offset, size)

    async def _several(self, held: Held, plan: multipart.Multipart) -> AsyncGenerator[Piece, None]:
        for part in plan.parts:
            yield part.head
            body = self._body(held, part.range.start, part.range.size)
            if not isinstance(body, AsyncIterator):
                yield body
                continue
            async for piece in body:
                yield piece
        yield plan.tail


def _with_length(fields: Headers, body: Body, size: int | None) -> Headers:
    """The length said where the body does not know it: clients resume and seek by it."""
    if size is None or not isinstance(body, AsyncIterator):
        return fields
    return fields.with_fields(("Content-Length", str(size)))


def telling_key(answer: Answer, admitted: Admitted) -> Answer:
    """The answer, with the cache key where the route tells it."""
    if not admitted.route.tells_key or admitted.key is None:
        return answer
    return replace(answer, headers=with_cache_key(answer.headers, admitted.key.text))
