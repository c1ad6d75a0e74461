"""One upstream: its sources in order, nearest first.

Owns the order and what the answers of several sources mean together. Never retries a source
within one request; never says "absent" while a source that may have the thing was not heard.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random

from skerry.aio.tasks import Nursery
from skerry.base.clock import Clock
from skerry.telemetry.events import Events, Level
from skerry.telemetry.validation import Cause as Refused
from skerry.upstream.conversation import Conversation
from skerry.upstream.core.judge import extent
from skerry.upstream.gate import Gate, SourceStatistics
from skerry.upstream.measures import UpstreamMetrics
from skerry.upstream.metered import read_whole
from skerry.upstream.ports import (
    Absent,
    Cause,
    Denied,
    Fetch,
    Opened,
    Place,
    Reply,
    Transport,
    TransportError,
    Trouble,
    Unavailable,
)
from skerry.upstream.sources import Source, Upstream
from skerry.upstream.tokens import Tokens, TokenStatistics

RETRY_AFTER_SECONDS = 5
"""What a client is told when no source says better."""
FILL_PATIENCE_SECONDS = 60.0
"""How long a fill waits for a connection or the request budget of a source."""

LIARS_MAX = 1024
"""So many wrong contents are remembered with the source that gave them."""

Check = Callable[[Reply], str]
Liars = OrderedDict[tuple[str, str], None]


HeldBack = Callable[[], int]
SPENT = "the node's budget lets nothing more be fetched"


def _nothing() -> int:
    return 0


def _believe(reply: Reply) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class UpstreamStatistics:
    """One upstream as it is now."""

    name: str
    reachable: bool
    retry_after_seconds: int
    sources: tuple[SourceStatistics, ...]
    siblings: tuple[SourceStatistics, ...]
    tokens: tuple[TokenStatistics, ...]


class UpstreamClient:
    """Asks the sources of one upstream. Close it: token requests under way end with it."""

    def __init__(
        self,
        upstream: Upstream,
        *,
        transport: Transport,
        clock: Clock,
        events: Events,
        metrics: UpstreamMetrics,
        rng: Random,
        node_id: str,
        siblings: tuple[Source, ...] = (),
        held_back: HeldBack = _nothing,
    ) -> None:
        """`held_back` says for how many seconds nothing is to be asked of the sources, siblings
        aside; 0 for nothing."""
        self.upstream = upstream
        self._held_back = held_back
        self._events = events
        self._nursery = Nursery(on_crash=self._crashed)

        def conversation(source: Source) -> Conversation:
            gate = Gate(
                source,
                upstream=upstream.name,
                clock=clock,
                events=events,
                metrics=metrics,
                rng=rng,
            )
            tokens = Tokens(
                source,
                upstream=upstream.name,
                transport=transport,
                clock=clock,
                events=events,
                metrics=metrics,
                rng=rng,
                nursery=self._nursery,
            )
            return Conversation(
                source,
                gate=gate,
                tokens=tokens,
                transport=transport,
                clock=clock,
                node_id=node_id,
            )

        self._liars: Liars = OrderedDict()
        self._sources = tuple(map(conversation, upstream.sources))
        self._siblings = tuple(map(conversation, siblings))

    async def ask(
        self,
        fetch: Fetch,
        *,
        body_bytes_max: int,
        siblings: bool = False,
        check: Check = _believe,
    ) -> Reply:
        """The first usable answer (2xx or 304) with its whole body.

        `check` says why an answer cannot be true, "" when it can; one that cannot marks its
        source and the next is asked (known failures T11, T12).
        `siblings`: ask those first; what they lack or fail at is passed over, so use it only for
        what a digest names. Raises Absent only when every source said 404 or 410, Denied when
        one of them refuses this node and the rest has nothing, else Unavailable.
        """
        if siblings:
            for sibling in self._siblings:
                try:
                    return await _ask(sibling, fetch, body_bytes_max, check)
                except (TransportError, Absent, Denied):
                    continue
        if self._held_back():
            cause = Cause(self.upstream.name, Trouble.BUDGET, SPENT)
            raise Unavailable(
                self.upstream.name, (cause,), retry_after_seconds=self.retry_after_seconds()
            )
        causes: list[Cause] = []
        denied: Denied | None = None
        for source in self._sources:
            try:
                return await _ask(source, fetch, body_bytes_max, check)
            except Absent:
                continue
            except Denied as error:
                denied = error
            except TransportError as error:
                causes.append(Cause(source.source.name, error.trouble, error.what))
        if causes or not self._sources:
            if denied is not None:
                causes.append(Cause(self.upstream.name, Trouble.DENIED, denied.what))
            raise Unavailable(
                self.upstream.name, tuple(causes), retry_after_seconds=self.retry_after_seconds()
            )
        if denied is not None:
            raise denied
        thing = fetch.path.removeprefix("/v2/")
        raise Absent(f"{self.upstream.name} has no {thing}: all its sources say so")

    def places(self, fetch: Fetch, *, siblings: bool = True) -> list[Place]:
        """Where the content of a GET may be had, nearest first."""
        near = self._siblings if siblings else ()
        if self._held_back():
            held = [SourcePlace(found, fetch, self._liars) for found in near]
            return [*held, ClosedPlace(self.upstream.name)]
        places = [SourcePlace(found, fetch, self._liars) for found in (*near, *self._sources)]
        # Who gave wrong bytes for this very content is asked for it last.
        places.sort(key=SourcePlace.lied)
        return list[Place](places)

    def reachable(self) -> bool:
        """Whether some source answered when it was last asked, or was not asked yet."""
        return any(source.gate.answers() for source in self._sources)

    def is_sibling(self, source: str) -> bool:
        """Whether a source that gave something is another node of the site."""
        return any(each.source.name == source for each in self._siblings)

    def retry_after_seconds(self) -> int:
        """When trying again may help: the first moment a source will be asked."""
        if held := self._held_back():
            return held
        waits = [source.gate.refused_seconds() for source in self._sources]
        soonest = min(waits, default=0.0)
        return max(1, math.ceil(soonest)) if soonest > 0 else RETRY_AFTER_SECONDS

    def statistics(self) -> UpstreamStatistics:
        """A snapshot."""
        return UpstreamStatistics(
            name=self.upstream.name,
            reachable=self.reachable(),
            retry_after_seconds=self.retry_after_seconds(),
            sources=tuple(source.gate.statistics() for source in self._sources),
            siblings=tuple(source.gate.statistics() for source in self._siblings),
            tokens=tuple(source.tokens.statistics() for source in self._all()),
        )

    async def close(self) -> None:
        """Ends what runs in the background. The transport is its maker's."""
        await self._nursery.close()

    def _all(self) -> Iterator[Conversation]:
        yield from self._siblings
        yield from self._sources

    def _crashed(self, name: str, error: BaseException) -> None:
        self._events.emit("task.crashed", name, cause=type(error).__name__, level=Level.ERROR)


async def _ask(source: Conversation, fetch: Fetch, body_bytes_max: int, check: Check) -> Reply:
    exchange = await source.open(fetch, patience_seconds=source.patience_seconds)
    body = await read_whole(exchange, bytes_max=body_bytes_max)
    reply = Reply(source.source.name, exchange.status, exchange.headers, body)
    why = check(reply)
    if why:
        source.gate.wrong_content()
        source.gate.refusals.count(Refused.DIGEST_MISMATCH)
        raise TransportError(Trouble.WRONG_CONTENT, why)
    return reply


class ClosedPlace:
    """A `Place` that is never asked: there is no money for it."""

    def __init__(self, source: str) -> None:
        self.source = source

    async def open(self, offset_bytes: int) -> Opened:
        """Raises TransportError BUDGET."""
        raise TransportError(Trouble.BUDGET, SPENT)

    def wrong(self) -> None:
        """See `Place`."""


class SourcePlace:
    """A `Place`: one source that may have one content."""

    def __init__(self, conversation: Conversation, fetch: Fetch, liars: Liars) -> None:
        self._conversation = conversation
        self._fetch = fetch
        self._liars = liars

    @property
    def source(self) -> str:
        return self._conversation.source.name

    async def open(self, offset_bytes: int) -> Opened:
        """Asks for the content from an offset. Raises TransportError, Absent, Denied."""
        fetch = self._fetch
        if offset_bytes > 0:
            headers = fetch.headers.with_fields(("Range", f"bytes={offset_bytes}-"))
            fetch = Fetch(fetch.method, fetch.path, headers, fetch.query, fetch.scope)
        exchange = await self._conversation.open(fetch, patience_seconds=FILL_PATIENCE_SECONDS)
        found = extent(exchange.status, exchange.headers, wanted_offset_bytes=offset_bytes)
        if isinstance(found, str):
            await exchange.fail(Trouble.PROTOCOL, found)
            raise TransportError(Trouble.PROTOCOL, found)
        return Opened(found.offset_bytes, found.size_bytes, exchange)

    def lied(self) -> bool:
        """Whether it gave wrong bytes for this content before."""
        return (self.source, self._fetch.path) in self._liars

    def wrong(self) -> None:
        """What it gave failed its digest."""
        self._conversation.gate.wrong_content()
        self._liars[self.source, self._fetch.path] = None
        while len(self._liars) > LIARS_MAX:
            self._liars.popitem(last=False)
