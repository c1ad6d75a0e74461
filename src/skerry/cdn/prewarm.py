"""Fetching before anybody asks, while nobody else needs the link.

Owns one run: what is here already, the lengths, the plan, and then one object after another in
pieces, each when no visitor's fetch is in flight and the pace allows it, rarer while visitors are
about (`yielding`). Fetches by the same way as
a visitor's request, so that what is on its way is joined and nothing comes twice. Only what the
route table serves and stores can be asked for: there is no way from here to another host. What is
here is the only memory of a run: repeated, it goes on where it ended.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol
from urllib.parse import urlsplit

from skerry.aio.each import each
from skerry.base.clock import Clock
from skerry.base.errors import BadInput, Party, SkerryError
from skerry.cdn.admission import Admitted, Refused
from skerry.cdn.core import reuse
from skerry.cdn.core.parts import Span
from skerry.cdn.core.prewarm import (
    Caps,
    Found,
    Item,
    Plan,
    PrewarmEvent,
    Step,
    Verdict,
    Wish,
    cost_micro,
    over,
    plan,
    wishes_of_manifest,
)
from skerry.cdn.core.route import Route
from skerry.cdn.core.slices import touched
from skerry.cdn.entries import Entries, Held
from skerry.cdn.ports import DataClass
from skerry.cdn.sliceable import Sliceable
from skerry.cdn.slicing import Slicing
from skerry.cdn.taking import drained, whole
from skerry.cdn.yielding import Yielding
from skerry.upstream.core.limits import Pace, pay
from skerry.wire.message import Answer, BodyAborted, Headers, Request

TOO_DEAR = "nothing is fetched ahead: too much of the budget is spent"
BURNS = "the budget burns above 1: it goes on once money goes slower than time again"
PAUSED_SECONDS = 10.0
"""Between looks at a budget that burns too fast."""
LOOKS_AT_ONCE = 8
WAIT_SECONDS_MIN, WAIT_SECONDS_MAX = 0.005, 0.25
"""Between looks at whether others need the link: our own last body may only have its end to write,
a visitor's film takes minutes."""
MANIFEST_BYTES_MAX = 1 << 20


class Front(Protocol):
    """`cdn.service.Edge`, as far as it is needed here."""

    def admitted(self, request: Request) -> Admitted | Refused: ...
    async def ask(self, admitted: Admitted) -> Answer: ...


@dataclass(frozen=True, slots=True)
class PrewarmStatistics:
    """A snapshot; counts are since start."""

    running_count: int
    fetched_count: int
    fetched_bytes: int
    failed_count: int


class Prewarm:
    """Runs, one at a time.

    Args:
        yielding: leaves the link to visitors.
        bytes_per_second: at most; 0 for as fast as it goes.
        may_warm: whether the node's budget allows it for a route.
        paused: whether it has to wait for the budget; it goes on by itself.
    """

    def __init__(
        self,
        *,
        front: Front,
        entries: Entries,
        slicing: Slicing,
        clock: Clock,
        yielding: Yielding,
        bytes_per_second: int,
        may_warm: Callable[[Route], bool] = lambda route: True,
        paused: Callable[[Route], bool] = lambda route: False,
    ) -> None:
        self._front = front
        self._entries = entries
        self._slicing = slicing
        self._clock = clock
        self._yielding = yielding
        self._may_warm = may_warm
        self._paused = paused
        self._pace = Pace(bytes_per_second)
        self._running = False
        self._fetched = self._fetched_bytes = self._failed = 0

    def statistics(self) -> PrewarmStatistics:
        return PrewarmStatistics(
            int(self._running), self._fetched, self._fetched_bytes, self._failed
        )

    async def wishes(self, manifest: str) -> tuple[Wish, ...]:
        """What a manifest at a URL of this edge wishes for. Raises BadInput, SkerryError."""
        admitted = self._admitted(manifest)
        if isinstance(admitted, str):
            raise BadInput(f"the manifest cannot be had: {admitted}", next_step="check its URL")
        answer = await self._front.ask(admitted)
        data = await whole(answer.body, bytes_max=MANIFEST_BYTES_MAX)
        if answer.status != 200:
            what = f"the manifest's origin said {answer.status}"
            raise SkerryError(what, next_step="check its URL", party=Party.UPSTREAM)
        return wishes_of_manifest(data, base=manifest)

    async def run(
        self, wishes: Sequence[Wish], caps: Caps, *, only_plan: bool = False
    ) -> AsyncGenerator[PrewarmEvent, None]:
        """Tells the plan, then does it. Closing the iterator ends it. Raises BadInput."""
        if self._running:
            raise BadInput("a prewarm is running", next_step="wait for it, or end it")
        self._running = True
        try:
            made = plan(await self._look(wishes), caps)
            for event in _told(made):
                yield event
            if not only_plan:
                async for event in self._do(made, caps):
                    yield event
        finally:
            self._running = False

    async def _look(self, wishes: Sequence[Wish]) -> list[Found]:
        found: dict[int, Found] = {}

        async def one(number: int) -> None:
            found[number] = await self._found(wishes[number])

        await each(range(len(wishes)), one, at_once=LOOKS_AT_ONCE)
        return [found[number] for number in range(len(wishes))]

    async def _found(self, wish: Wish) -> Found:
        admitted = self._admitted(wish.url)
        if isinstance(admitted, str):
            return Found(wish, refused=admitted)
        here = self._whole_bytes(admitted)
        if here is not None:
            return Found(wish, here, 0)
        known = self._sliced(admitted)
        if known is not None:
            total = known.sliced.total
            return Found(wish, total, _missing(known, Span(0, total)))
        if not self._may_warm(admitted.route):
            return Found(wish, refused=TOO_DEAR)
        answer = await self._yielding.small(partial(self._head, admitted))
        if answer.status in (405, 501):
            return Found(wish)
        if answer.status != 200:
            return Found(wish, refused=f"the origin said {answer.status}")
        length = answer.headers.get("Content-Length") or ""
        size = int(length) if length.isascii() and length.isdigit() else None
        return Found(wish, size, size)

    async def _head(self, admitted: Admitted) -> Answer:
        answer = await self._front.ask(_with(admitted, "HEAD"))
        await drained(answer.body)
        return answer

    def _admitted(self, url: str) -> Admitted | str:
        """The request for a URL as a visitor would send it, or why there is none."""
        try:
            parts = urlsplit(url)
            right = parts.scheme in ("http", "https") and bool(parts.netloc) and not parts.fragment
        except ValueError:
            right = False
        if not right or not url.isascii() or not url.isprintable() or " " in url:
            return "it is no whole URL"
        path = parts.path or "/"
        fields = Headers((("Host", parts.netloc),))
        request = Request("GET", path, fields, parts.query, path, scheme=parts.scheme)
        admitted = self._front.admitted(request)
        if isinstance(admitted, Refused):
            return admitted.sentence
        if admitted.route.policy.data_class is not DataClass.PUBLIC:
            return "its route is not public"
        return admitted if admitted.key is not None else "it holds a credential"

    def _held(self, admitted: Admitted) -> tuple[Held, ...]:
        return self._entries.find(admitted.key) if admitted.key is not None else ()

    def _whole_bytes(self, admitted: Admitted) -> int | None:
        """The length of what a visitor would get from here whole and fresh."""
        stored = [held.stored for held in self._held(admitted)]
        policy = admitted.route.policy
        decided = reuse.decide(stored, admitted.request, self._clock.now(), policy)
        return decided.stored.size_bytes or 0 if isinstance(decided, reuse.Serve) else None

    def _sliced(self, admitted: Admitted) -> Sliceable | None:
        """What is here in slices and fresh, whole or not."""
        ranged = _with(admitted, "GET", ("Range", "bytes=0-"))
        for held in self._held(admitted):
            if held.entry.slice_bytes != (admitted.route.slice_bytes or -1):
                continue
            stored = replace(held.stored, status=200)
            policy = admitted.route.policy
            decided = reuse.decide([stored], ranged.request, self._clock.now(), policy)
            if isinstance(decided, reuse.Serve):
                return self._slicing.known(held)
        return None

    async def _do(self, made: Plan, caps: Caps) -> AsyncIterator[PrewarmEvent]:
        spent = fetched = failed = 0
        for item in made.items:
            if item.verdict is not Verdict.FETCH:
                continue
            url, event = item.found.wish.url, PrewarmEvent(Step.FETCHING)
            try:
                async for event in self._fetch(item, spent, caps):
                    yield event
                fetched += 1
                yield replace(event, step=Step.FETCHED, url=url)
            except (SkerryError, BodyAborted) as error:
                failed += 1
                yield replace(event, step=Step.FAILED, url=url, what=str(error))
            spent += event.done_bytes
        self._fetched, self._failed = self._fetched + fetched, self._failed + failed
        counts = {"fetched": fetched, "failed": failed}
        cost = cost_micro(spent, caps.micro_per_gb)
        yield PrewarmEvent(Step.DONE, done_bytes=spent, cost_micro=cost, counts=counts)

    async def _fetch(self, item: Item, spent: int, caps: Caps) -> AsyncIterator[PrewarmEvent]:
        """One object: a whole at once, one with slices in windows. Raises what went wrong."""
        admitted = self._admitted(item.found.wish.url)
        if isinstance(admitted, str):
            raise BadInput(admitted, next_step="the sites have changed meanwhile")
        url, size = item.found.wish.url, item.found.size_bytes
        slice_bytes = _slice_bytes(admitted, size)
        at = done = 0
        while size is None or at < size:
            step = self._yielding.window_bytes(slice_bytes) if slice_bytes else size or 1
            window = Span(at, at + step)
            missing = self._missing_in(admitted, window)
            self._refuse_without_money(admitted)
            if why := over(spent + done + missing, caps):
                raise BadInput(f"stopped: {why}", next_step="allow more, and repeat it")
            if missing:
                async for waited in self._affordable(admitted, url, done):
                    yield waited
                async for waited in self._idle(url, done):
                    yield waited
                done += await self._window(admitted, window if slice_bytes else None, missing)
                total = max(item.found.missing_bytes or 0, done)
                yield PrewarmEvent(Step.FETCHING, url, missing_bytes=total, done_bytes=done)
            if slice_bytes is None:
                return
            at, size = window.stop, size or self._total(admitted) or at

    def _refuse_without_money(self, admitted: Admitted) -> None:
        if not self._may_warm(admitted.route):
            raise SkerryError(
                TOO_DEAR,
                next_step="see `skerry costs`; raise budget.amount, or wait for the next period",
                party=Party.OPERATOR,
            )

    def _total(self, admitted: Admitted) -> int | None:
        """The length of what is here in slices."""
        known = self._sliced(admitted)
        return known.sliced.total if known is not None else None

    def _missing_in(self, admitted: Admitted, window: Span) -> int:
        known = self._sliced(admitted)
        return window.size if known is None else _missing(known, window)

    async def _window(self, admitted: Admitted, window: Span | None, missing: int) -> int:
        """Has the node fetch a window, or the whole; the bytes that it was short of. Rests after it
        as long as pace and courtesy ask."""
        began = self._clock.monotonic()
        ranged = () if window is None else (("Range", window.range_header),)
        answer = await self._front.ask(_with(admitted, "GET", *ranged))
        passed = await drained(answer.body)
        if answer.status not in (200, 206):
            what = f"the origin said {answer.status}"
            raise SkerryError(what, next_step="repeat it later", party=Party.UPSTREAM)
        came = passed if window is None else missing
        self._fetched_bytes += came
        now = self._clock.monotonic()
        self._pace, wait_seconds = pay(self._pace, came, now)
        if wait_seconds:
            await self._clock.sleep(wait_seconds)
        await self._yielding.rest(now - began, rested_seconds=wait_seconds)
        return came

    async def _affordable(
        self, admitted: Admitted, url: str, done: int
    ) -> AsyncIterator[PrewarmEvent]:
        """Until money goes slower than time again; tells once that it waits for that. Raises
        SkerryError when the budget forbids it altogether meanwhile."""
        told = False
        while self._paused(admitted.route):
            if not told:
                yield PrewarmEvent(Step.PAUSED, url, what=BURNS, done_bytes=done)
                told = True
            await self._clock.sleep(PAUSED_SECONDS)
            self._refuse_without_money(admitted)

    async def _idle(self, url: str, done: int) -> AsyncIterator[PrewarmEvent]:
        """Until nothing is fetched for anybody else; tells once that it waits."""
        wait_seconds, told = WAIT_SECONDS_MIN, False
        while self._yielding.look():
            if wait_seconds >= WAIT_SECONDS_MAX and not told:
                yield PrewarmEvent(Step.WAITING, url, done_bytes=done)
                told = True
            await self._clock.sleep(wait_seconds)
            wait_seconds = min(2 * wait_seconds, WAIT_SECONDS_MAX)


def _told(made: Plan) -> list[PrewarmEvent]:
    events = [
        PrewarmEvent(
            Step.ITEM,
            item.found.wish.url,
            verdict=item.verdict.value,
            what=item.why,
            size_bytes=-1 if item.found.size_bytes is None else item.found.size_bytes,
            missing_bytes=-1 if item.found.missing_bytes is None else item.found.missing_bytes,
        )
        for item in made.items
    ]
    counts = {verdict.value: made.count(verdict) for verdict in Verdict}
    total = PrewarmEvent(
        Step.PLAN, missing_bytes=made.fetch_bytes, cost_micro=made.cost_micro, counts=counts
    )
    return [*events, total]


def _slice_bytes(admitted: Admitted, size: int | None) -> int | None:
    """The slices that an object comes in; None when it comes whole."""
    slice_bytes = admitted.route.slice_bytes
    fits = slice_bytes is not None and size is not None and size <= slice_bytes
    return None if fits else slice_bytes


def _missing(known: Sliceable, span: Span) -> int:
    """Bytes of the slices in a span that are not here."""
    size, total = known.sliced.slice_bytes, known.sliced.total
    stop = min(span.stop, total)
    if span.start >= stop:
        return 0
    absent = [n for n in touched(Span(span.start, stop), size) if n not in known.sliced.present]
    return sum(min((number + 1) * size, total) - number * size for number in absent)


def _with(admitted: Admitted, method: str, *fields: tuple[str, str]) -> Admitted:
    request = admitted.request
    headers = request.headers.with_fields(*fields)
    return replace(admitted, request=replace(request, method=method, headers=headers))
