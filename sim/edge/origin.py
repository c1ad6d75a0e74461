"""The origin of one world.

Its promise: it may be slow, be away, answer with an error or cut a body; of what it gives, the
fields and the bytes are of one version, and it answers conditions and ranges truthfully.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from random import Random

from sim.edge.record import Asked, Fact
from sim.edge.scenario import Kind, Scenario, Thing
from skerry.base.clock import Clock
from skerry.base.ranges import Unsatisfiable, parse_range
from skerry.cdn.core.dates import format_date
from skerry.cdn.core.validation import Outcome, evaluate, if_range_holds, selected
from skerry.upstream.ports import Cause, Exchange, TransportError, Trouble, Unavailable
from skerry.wire.message import Headers, Interim

CHUNK_BYTES = 16 * 1024


class OpenExchange:
    """One answer of the origin."""

    def __init__(
        self,
        status: int,
        headers: Headers,
        body: bytes,
        *,
        pause: Callable[[], float],
        cut_at: int | None,
        ended: Callable[[], None],
    ) -> None:
        self.status = status
        self.headers = headers
        self._body = body
        self._pause = pause
        self._cut_at = cut_at
        self._ended: Callable[[], None] | None = ended

    async def chunks(self) -> AsyncIterator[bytes]:
        for start in range(0, len(self._body), CHUNK_BYTES):
            await asyncio.sleep(self._pause())
            if self._cut_at is not None and start >= self._cut_at:
                raise TransportError(Trouble.CUT, "was cut")
            yield self._body[start : start + CHUNK_BYTES]
        self._end()

    def switched(self) -> None:
        return None

    async def close(self) -> None:
        self._end()

    def _end(self) -> None:
        ended, self._ended = self._ended, None
        if ended is not None:
            ended()


class SimOrigin:
    """`cdn.ports.Origin` of a scenario."""

    name = "site"

    def __init__(
        self, scenario: Scenario, clock: Clock, chance: Random, note: Callable[[Fact], None]
    ) -> None:
        self._scenario = scenario
        self._clock = clock
        self._chance = chance
        self._note = note
        self._things = {thing.target: thing for thing in scenario.things}
        self._number = 0
        self.open: dict[int, int] = {}

    async def send(
        self,
        method: str,
        target: str,
        headers: Headers,
        body: AsyncIterator[bytes] | None = None,
        interim: Interim | None = None,
    ) -> Exchange:
        thing = self._things[target.partition("?")[0]]
        self._number += 1
        number, asked_at = self._number, self._clock.monotonic()
        failing = self._failing(asked_at)
        self.open[thing.number] = self.open.get(thing.number, 0) + 1
        count = self.open[thing.number]
        self._note(Asked(asked_at, number, thing.number, count, failing is not None))
        try:
            if body is not None:
                async for _ in body:
                    pass
            await asyncio.sleep(self._pause())
            failing = self._failing(self._clock.monotonic()) if failing is None else failing
            if failing == 0:
                cause = Cause(self.name, Trouble.REFUSED, "is away")
                raise Unavailable(self.name, (cause,), retry_after_seconds=1)
        except BaseException:
            self._ended(thing)
            raise
        if failing is not None:
            return self._exchange(thing, failing, Headers((("X-Fetch", str(number)),)), b"broken")
        status, fields, data = self._answer(thing, method, headers, number)
        try:
            await asyncio.sleep(self._pause())  # the answer's way back
        except BaseException:
            self._ended(thing)
            raise
        return self._exchange(thing, status, fields, data)

    def reachable(self) -> bool:
        return self._failing(self._clock.monotonic()) != 0

    def _failing(self, at: float) -> int | None:
        found = [each.status for each in self._scenario.outages if each.start <= at < each.stop]
        return found[0] if found else None

    def _pause(self) -> float:
        return self._chance.expovariate(1 / self._scenario.slow_seconds)

    def _ended(self, thing: Thing) -> None:
        self.open[thing.number] -= 1

    def _exchange(self, thing: Thing, status: int, fields: Headers, data: bytes) -> OpenExchange:
        cut = None
        if self._scenario.cuts and self._chance.random() < 0.3:
            cut = self._chance.randint(0, max(1, len(data)))
        ended = lambda: self._ended(thing)  # noqa: E731
        pause = lambda: self._pause() / 4  # noqa: E731
        return OpenExchange(status, fields, data, pause=pause, cut_at=cut, ended=ended)

    def _answer(
        self, thing: Thing, method: str, asked: Headers, number: int
    ) -> tuple[int, Headers, bytes]:
        now = self._clock.monotonic()
        user = (asked.get("Authorization") or asked.get("Cookie") or "").rpartition("=")[2]
        language = asked.get("Accept-Language") or ""
        version = thing.version(now)
        data = thing.body(version, user, language)
        fields = _fields(thing, version, user, language)
        about = (("Date", format_date(self._clock.now())), ("X-Fetch", str(number)))
        whole = Headers((*fields, *about))
        length = (("Content-Length", str(len(data))),) if thing.sized else ()
        if method == "POST":
            return 200, Headers(about), b"done"
        current = selected(whole)
        if evaluate(method, asked, current) is Outcome.NOT_MODIFIED:
            return 304, whole, b""
        if method == "HEAD":
            return 200, whole.with_fields(*length), b""
        wanted = asked.get("Range") if if_range_holds(asked, current) else None
        ranges = parse_range(wanted, len(data))
        if isinstance(ranges, Unsatisfiable):
            return 416, whole.with_fields(("Content-Range", ranges.content_range)), b""
        if ranges is not None and len(ranges) == 1:
            part = ranges[0]
            told = (("Content-Range", part.content_range), ("Content-Length", str(part.size)))
            return 206, whole.with_fields(*told), data[part.start : part.stop]
        return 200, whole.with_fields(*length), data


def _fields(thing: Thing, version: int, user: str, language: str) -> list[tuple[str, str]]:
    said = [f"max-age={thing.fresh_seconds}"]
    if thing.while_revalidate_seconds:
        said.append(f"stale-while-revalidate={thing.while_revalidate_seconds}")
    if thing.if_error_seconds is not None:
        said.append(f"stale-if-error={thing.if_error_seconds}")
    if thing.must_revalidate and thing.kind is not Kind.CREDENTIAL:
        said.append("must-revalidate")
    said += {Kind.PRIVATE: ["private"], Kind.UNKEPT: ["no-store"]}.get(thing.kind, [])
    fields = [("Cache-Control", ", ".join(said)), ("Surrogate-Key", thing.surrogate)]
    if thing.tag:
        fields.append(("ETag", thing.etag(version, user, language)))
    if thing.kind is Kind.SPOKEN:
        fields.append(("Vary", "Accept-Language"))
    if thing.kind is Kind.COOKIE:
        fields.append(("Set-Cookie", f"session=SECRET-{user}"))
    return fields
