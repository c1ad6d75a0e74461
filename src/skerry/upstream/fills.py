"""One fetch per content, however many ask.

Owns who joins whom, the bounds and the numbers. Never decides what to fetch or whether an asker
may have it. Design section 4; known failures T14, T35, T36.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter as Tally
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field

from skerry.aio.tasks import Nursery
from skerry.base.clock import Clock
from skerry.base.digest import Digest
from skerry.store.ports import NAMELESS, Store, StoreError
from skerry.telemetry.events import Events, Level
from skerry.telemetry.metrics import Registry
from skerry.telemetry.validation import Cause as Refused
from skerry.telemetry.validation import ValidationFailures
from skerry.upstream.core.fill import SIZE_BYTES_MAX
from skerry.upstream.fill_statistics import FillProgress, FillsStatistics
from skerry.upstream.flight import RETRY_AFTER_SECONDS, Admits, Flight, Places, TooLarge
from skerry.upstream.measures import FillMetrics
from skerry.upstream.ports import Cause, Trouble, Unavailable
from skerry.wire.message import BodyAborted, Segment

FILLS_MAX = 64  # in flight per authority, the rest wait: a dead one slows no other (T25)
QUEUED_MAX = 1024  # per authority, waiting or flying: any more would come too late
PASS_THROUGH_SECONDS = 30.0  # what could not be written is not tried again for so long
UNKEEPABLE_MAX = 1024  # so many such contents are remembered
READ_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class FillKey:
    """What makes two wishes the same fetch.

    Attributes:
        digest: of the whole content; None when nobody knows it before it has come.
        authority: the configured upstream it is asked of.
        scope: the credentials it is asked with, "" for the node's own.
        name: what makes two wishes without a digest the same. Never shown: it may be secret.
    """

    digest: Digest | None
    authority: str
    scope: str = ""
    name: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        if self.digest is None and not self.name:
            raise ValueError("two wishes with neither digest nor name cannot be told apart")


@dataclass(frozen=True, slots=True)
class Wish:
    """What an asker said, so that it can be said again."""

    key: FillKey
    places: Places
    size_bytes: int | None
    size_bytes_max: int
    admits: Admits | None = None


Body = bytes | Segment | AsyncGenerator[bytes, None]


class Fill:
    """One asker's view of a fill. The asker may drop it at any time; the fill goes on. `joined`:
    somebody else began it."""

    joined = False

    def __init__(self, fills: Fills, wish: Wish, flight: Flight, started_at: float) -> None:
        self.key = wish.key
        self.started_at = started_at
        self._fills = fills
        self._wish = wish
        self._flight = flight
        self.passes_through = False  # whether it is not kept; known once `opened` has returned

    @property
    def digest(self) -> Digest | None:
        """The content's name: the key's, or what was found once it is proven."""
        return self._flight.digest

    @property
    def source(self) -> str:
        return self._flight.source  # the place that gives it; "" before the first has answered

    @property
    def received_bytes(self) -> int:
        """How much of the content is here."""
        return self._flight.written_bytes

    @property
    def size_bytes(self) -> int | None:
        """The content's length, or None while nobody has said it."""
        return self._flight.size_bytes

    @property
    def failed(self) -> bool:
        return self._flight.error is not None  # it will never be whole here

    def again(self) -> Fill:
        """The same fill for another asker."""
        return Fill(self._fills, self._wish, self._flight, self.started_at)

    async def opened(self) -> int | None:
        """Waits until a reader may have the first byte (or, if there is none, the proof).

        Returns the content's length in bytes, or None when no place says it. Raises Unavailable,
        Absent, Denied, DigestMismatch, StoreError or FillFailed. An answer that is wrong and
        not longer than what is held back therefore never becomes a 200. Without a digest to be
        wrong by, that is the first byte.
        """
        while True:
            flight = self._flight
            while not (flight.shown_bytes or flight.ended):
                await flight.changed()
            if flight.error is not None:
                raise flight.error
            if flight.relay is None or self.passes_through or flight.claim_relay():
                self.passes_through = flight.relay is not None
                return flight.size_bytes
            # Somebody else reads the relay, and its first bytes are gone: have one of one's own.
            self._flight, self.joined = self._fills.fly(self._wish, keep=False), False

    def body(self, offset_bytes: int = 0, size_bytes: int | None = None) -> Body:
        """The content, or `size_bytes` of it from an offset: after `opened`, any number of times
        unless it passes through.

        Bytes when small, a Segment when on disk and of known length, else chunks. They end early
        with BodyAborted and never with wrong bytes called whole.
        """
        if self.size_bytes is not None:
            rest = max(0, self.size_bytes - offset_bytes)
            size_bytes = rest if size_bytes is None else min(size_bytes, rest)
        if (spool := self._flight.spool) is None or size_bytes is None:
            return self.stream(offset_bytes, size_bytes)
        if (content := spool.content) is not None:
            return content[offset_bytes : offset_bytes + size_bytes]
        return self.follow(offset_bytes, size_bytes)

    def follow(self, offset_bytes: int, size_bytes: int) -> Segment:
        """A reader of the growing spool. Raises StoreError when the content is not kept."""
        flight = self._flight
        if flight.spool is None:
            raise flight.not_kept or StoreError(f"{flight.called} has not been opened")
        return flight.spool.follow(offset_bytes, size_bytes)

    async def stream(
        self, offset_bytes: int = 0, size_bytes: int | None = None
    ) -> AsyncGenerator[bytes, None]:
        """The bytes as they may be shown, wherever they are. Raises BodyAborted.

        To the end when `size_bytes` is None. What passes through can be read once, by the one
        whose `opened` said so; leaving such a stream ends its fetch.
        """
        if not self.passes_through:
            await self.opened()
        flight = self._flight
        if flight.relay is not None:
            async with aclosing(flight.relay.stream(offset_bytes, size_bytes)) as chunks:
                async for chunk in chunks:
                    yield chunk
            return
        position, stop = offset_bytes, None if size_bytes is None else offset_bytes + size_bytes
        while stop is None or position < stop:
            shown = flight.shown_bytes if stop is None else min(stop, flight.shown_bytes)
            if position < shown:
                chunk = await self._read(position, min(READ_BYTES, shown - position))
                position += len(chunk)
                yield chunk
            elif flight.error is not None:
                raise BodyAborted from flight.error
            elif flight.proven:
                return
            else:
                await flight.changed()

    async def done(self) -> None:
        """Waits until the content is proven and durable in the store.

        Raises what `opened` raises, and StoreError when it passes through or was not kept.
        """
        flight = self._flight
        await flight.settled()
        if flight.not_kept is not None:
            raise flight.not_kept
        if flight.error is not None:
            raise flight.error

    async def _read(self, position: int, size_bytes: int) -> bytes:
        segment = self.follow(position, size_bytes)
        try:
            end = await segment.readable(position)  # the disk may be behind the flight
            return os.pread(segment.fileno(), end - position, position)
        finally:
            segment.close()


class Fills:
    """Every fill of the node."""

    def __init__(
        self,
        store: Store,
        nursery: Nursery,
        *,
        clock: Clock,
        events: Events,
        metrics: Registry,
        failures: ValidationFailures,
        fills_max: int = FILLS_MAX,
    ) -> None:
        self._store = store
        self._nursery = nursery
        self._clock = clock
        self._events = events
        self._failures = failures
        self._fills_max = fills_max
        self._slots: dict[str, asyncio.Semaphore] = {}
        self._joinable: dict[FillKey, tuple[Flight, float]] = {}
        self._flying: dict[Flight, tuple[FillKey, float]] = {}
        self._queued: Tally[str] = Tally()
        self._unkeepable: dict[FillKey, float] = {}
        self._counts: Tally[str] = Tally()
        self._troubles: Tally[str] = Tally()
        self._measures = FillMetrics(metrics)

    def get(
        self,
        key: FillKey,
        places: Places,
        *,
        size_bytes: int | None = None,
        size_bytes_max: int = SIZE_BYTES_MAX,
        keep: bool = True,
        admits: Admits | None = None,
    ) -> Fill:
        """Joins the fill of this content, or starts it.

        `places` are tried in order; a callable is asked when the fill's turn has come. Without a
        digest, whichever is opened must give the same representation as the first (by a strong
        validator), or raise TransportError: nobody could tell a mixture.
        `admits` says whether a content should be kept whose length only a place tells.
        `size_bytes` is the length the asker knows for sure (a descriptor said it); more than
        `size_bytes_max` is never taken in. With `keep` false, or when the store has no room, the
        content passes through memory: see `Fill`. Raises TooLarge when the two contradict each
        other (no place is to blame for that), Unavailable when too many wait.
        """
        if size_bytes is not None and size_bytes > size_bytes_max:
            raise TooLarge(
                f"{key.digest or NAMELESS} is {size_bytes} bytes long, only {size_bytes_max} may be"
            )
        wish = Wish(key, places, size_bytes, size_bytes_max, admits)
        if self.joins(key):
            self._counts["joined"] += 1
            fill = Fill(self, wish, *self._joinable[key])
            fill.joined = True
            return fill
        keep = keep and self._unkeepable.get(key, 0.0) <= self._clock.monotonic()
        return Fill(self, wish, self.fly(wish, keep=keep), self._clock.now())

    def joins(self, key: FillKey) -> bool:
        """Whether who gets it now has what somebody else fetches."""
        flight, _ = self._joinable.get(key, (None, 0.0))
        return flight is not None and not flight.ended and flight.relay is None

    def fly(self, wish: Wish, *, keep: bool) -> Flight:
        """Starts a fetch; joinable if it is to be kept. Raises Unavailable when too many wait."""
        key = wish.key
        if self._queued[key.authority] >= QUEUED_MAX:
            cause = Cause(key.authority, Trouble.BUDGET, f"{QUEUED_MAX} fetches are under way")
            raise Unavailable(key.authority, (cause,), retry_after_seconds=RETRY_AFTER_SECONDS)
        flight = Flight(
            key.digest,
            key.authority,
            size_bytes=wish.size_bytes,
            size_bytes_max=wish.size_bytes_max,
            keep=keep,
            admits=wish.admits,
            store=self._store,
            nursery=self._nursery,
            watch=self,
        )
        slots = self._slots.setdefault(key.authority, asyncio.Semaphore(self._fills_max))
        task = self._nursery.start(flight.run(wish.places, slots), name=f"fill {flight.called}")
        task.add_done_callback(lambda _: self._landed(flight))
        started_at = self._clock.now()
        self._flying[flight] = (key, started_at)
        self._queued[key.authority] += 1
        if keep:
            self._joinable[key] = (flight, started_at)
        self._counts["started"] += 1
        return flight

    def __contains__(self, digest: Digest) -> bool:
        """Whether a content is on its way in, whoever asked (eviction leaves its image alone).

        May be asked from any thread: the copy is made in one step.
        """
        return any(flight.digest == digest for flight in list(self._flying))

    def statistics(self) -> FillsStatistics:
        """What is in flight now, and the counts since start."""
        flying = tuple(
            FillProgress(
                key, started_at, flight.written_bytes, flight.size_bytes, flight.relay is None
            )
            for flight, (key, started_at) in self._flying.items()
        )
        counts = self._counts
        return FillsStatistics(
            flying=flying,
            started_count=counts["started"],
            joined_count=counts["joined"],
            stored_count=counts["stored"],
            failed_count=counts["failed"],
            passed_through_count=counts["passed_through"],
            resumed_count=counts["resumed"],
            marked_count=counts["marked"],
            received_bytes=int(self._measures.received.total()),
            troubles=tuple(self._troubles.most_common()),
        )

    def received(self, source: str, count_bytes: int) -> None:
        self._measures.received.add(count_bytes, source)

    def troubled(self, cause: Cause) -> None:
        self._troubles[cause.trouble] += 1
        if cause.trouble is Trouble.WRONG_CONTENT:
            self._failures.failed(Refused.DIGEST_MISMATCH)

    def resumed(self, flight: Flight, source: str) -> None:
        self._counts["resumed"] += 1
        since = f"{source} from byte {flight.written_bytes}"
        self._events.emit("fill.resumed", flight.called, cause=since)

    def marked(self, flight: Flight, source: str) -> None:
        self._counts["marked"] += 1
        self._events.emit(
            "fill.wrong_content",
            flight.called,
            cause=f"{source} gave something else for it",
            next_step=f"find out what answers in the name of {source}",
            level=Level.ERROR,
        )

    def not_kept(self, flight: Flight, why: StoreError) -> None:
        key, _ = self._flying[flight]
        self._joinable.pop(key, None)
        if flight.spool is not None:
            # It was accepted and then did not fit: do not fetch it in vain again at once.
            if len(self._unkeepable) >= UNKEEPABLE_MAX:
                del self._unkeepable[next(iter(self._unkeepable))]
            self._unkeepable[key] = self._clock.monotonic() + PASS_THROUGH_SECONDS
        else:
            self._counts["passed_through"] += 1
        self._events.emit(
            "fill.not_stored",
            flight.called,
            cause=why.what,
            next_step=why.next_step,
            level=Level.WARNING,
        )

    def _landed(self, flight: Flight) -> None:
        flight.end()
        key, _ = self._flying.pop(flight)
        self._queued[key.authority] -= 1
        if self._joinable.get(key, (None,))[0] is flight:
            del self._joinable[key]
        stored = flight.proven and flight.not_kept is None and flight.error is None
        outcome = "stored" if stored else "passed" if flight.proven else "failed"
        self._counts[outcome] += 1
        self._measures.ended.add(1, key.authority, outcome)
