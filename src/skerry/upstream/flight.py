"""One content on its way in.

Owns the shell of one fill: performs what `core.fill` decides, on places, a spool and nothing
else. Goes on whoever leaves; when it ends, nothing is left of it but the blob.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from skerry.aio.tasks import Nursery
from skerry.base.digest import Digest
from skerry.base.errors import Party, SkerryError
from skerry.store.ports import (
    HELD_BACK_BYTES,
    NAMELESS,
    NAMELESS_ALGORITHM,
    DigestMismatch,
    Spool,
    SpoolAborted,
    Store,
    StoreError,
    StoreFull,
)
from skerry.upstream.core import fill as core
from skerry.upstream.intake import Intake
from skerry.upstream.ports import Absent, Cause, Denied, Place, TransportError, Unavailable
from skerry.upstream.relay import Relay

RETRY_AFTER_SECONDS = 5

ENDLESS_BYTES = 1 << 30
"""A content of unknown length is asked about when it is this long, and each time it doubles."""

Places = Sequence[Place] | Callable[[], Sequence[Place]]
Admits = Callable[[int], bool]


class FillFailed(SkerryError):
    """The node itself could not finish a fill: it was stopped, or it has a bug."""


class TooLarge(SkerryError):
    """A content is longer than its asker may take."""

    party = Party.UPSTREAM


class Watch(Protocol):
    """Told what happens to a flight, for counters and events."""

    def received(self, source: str, count_bytes: int) -> None: ...
    def troubled(self, cause: Cause) -> None: ...
    def resumed(self, flight: Flight, source: str) -> None: ...
    def marked(self, flight: Flight, source: str) -> None: ...
    def not_kept(self, flight: Flight, why: StoreError) -> None: ...


class Flight:
    """One fill. `run` is its task; everything else may be asked by any number of readers.

    Attributes:
        authority: whose content it is, for errors.
        called: what the content is called in messages.
        written_bytes: how much of the content is in the spool or has gone to the relay.
        proven: readers may have all of it.
        ended: nothing will change any more.
        error: why readers get nothing more; None while it may still succeed.
        not_kept: why the content will not be in the store, though readers may have it.
        spool: where the bytes go, from the first one on.
        relay: where they go instead when the store has no room.
        source: the place that gives, or gave last; "" before the first has answered.
    """

    def __init__(
        self,
        digest: Digest | None,
        authority: str,
        *,
        size_bytes: int | None,
        size_bytes_max: int,
        keep: bool,
        admits: Admits | None = None,
        store: Store,
        nursery: Nursery,
        watch: Watch,
    ) -> None:
        self.authority = authority
        self.called = str(digest or f"{NAMELESS} of {authority}")
        self.written_bytes = 0
        self.proven = False
        self.ended = False
        self.error: SkerryError | None = None
        self.not_kept: StoreError | None = None
        self.spool: Spool | None = None
        self.relay: Relay | None = None
        self._digest = digest
        # Without a name nothing will prove the end: there is nothing to hold it back for.
        self._held_back_bytes = HELD_BACK_BYTES if digest is not None else 0
        self._keep = keep
        self._admits = admits
        self._look_at_bytes = ENDLESS_BYTES
        self._store = store
        self._nursery = nursery
        self._watch = watch
        self._fill = core.wanted((), size_bytes, size_bytes_max=size_bytes_max)
        self._places: tuple[Place, ...] = ()
        self._intake: Intake | None = None
        self._batch = b""
        self._sink: Spool | Relay | None = None
        self._refusal: Absent | Denied | None = None
        self._failure: SkerryError | None = None
        self._relay_claimed = False
        self.source = ""
        self._changed = asyncio.Event()
        self._settled = asyncio.Event()

    @property
    def digest(self) -> Digest | None:
        """The content's name; one that nobody knew before, from just before it is visible on."""
        return self._digest or (None if self.spool is None else self.spool.digest)

    @property
    def size_bytes(self) -> int | None:
        """The content's length, or None until it is sure enough to tell a reader."""
        return self._fill.size_bytes if self._fill.binding or self.proven else None

    @property
    def shown_bytes(self) -> int:
        """How much of the content readers may have."""
        held_back = 0 if self.proven else self._held_back_bytes
        return max(0, self.written_bytes - held_back)

    async def changed(self) -> None:
        """Waits for the next change of the attributes."""
        await self._changed.wait()

    async def settled(self) -> None:
        """Waits until it has ended, or is known to pass through."""
        await self._settled.wait()

    def claim_relay(self) -> bool:
        """Whether the caller is the one reader of the relay."""
        claimed, self._relay_claimed = self._relay_claimed, True
        return not claimed

    async def run(self, places: Places, slots: asyncio.Semaphore) -> None:
        """Fetches, proves and keeps. An expected failure is in `error`, not raised."""
        try:
            async with slots:
                self._places = tuple(places() if callable(places) else places)
                names = tuple(place.source for place in self._places)
                size, most = self._fill.size_bytes, self._fill.size_bytes_max
                self._fill = core.wanted(names, size, size_bytes_max=most)
                event: core.Event | None = core.Wanted()
                while event is not None:
                    event = await self._advance(event)
        except BaseException as error:
            self.error = FillFailed(f"the fill of {self.called} was stopped by {error!r}")
            raise
        finally:
            await self._leave_nothing()

    def end(self) -> None:
        """Lets waiters know that nothing more will come; may be called twice."""
        self.ended = True
        if not self.proven and self.error is None:
            self.error = FillFailed(f"the fill of {self.called} was stopped before it began")
        self._settled.set()
        self._beat()

    async def _advance(self, event: core.Event) -> core.Event | None:
        """Performs one step. The event that follows, or None when the fill has ended."""
        known = len(self._fill.causes)
        self._fill, commands = core.step(self._fill, event)
        for cause in self._fill.causes[known:]:
            self._watch.troubled(cause)
        for command in commands:
            following = await self._perform(command)
            if following is not None:
                return following
        return await self._receive() if self._fill.state is core.State.STREAMING else None

    async def _perform(self, command: core.Command) -> core.Event | None:
        match command:
            case core.Open(place, offset_bytes):
                return await self._open(self._places[place], offset_bytes)
            case core.Begin(size_bytes):
                await self._begin(size_bytes)
            case core.Write(skip_bytes):
                return await self._write(self._batch[skip_bytes:] if skip_bytes else self._batch)
            case core.Close():
                await self._close()
            case core.Mark(place):
                self._places[place].wrong()
                self._watch.marked(self, self._places[place].source)
            case core.Commit():
                return await self._commit()
            case core.Fail(outcome, causes):
                await self._fail(outcome, causes)
        return None

    async def _open(self, place: Place, offset_bytes: int) -> core.Event:
        if offset_bytes:
            self._watch.resumed(self, place.source)
        try:
            opened = await place.open(offset_bytes)
        except TransportError as error:
            return core.Lost(error.trouble, error.what)
        except Absent as error:
            self._refusal = self._refusal or error
            return core.Refused(core.Verdict.ABSENT, error.what)
        except Denied as error:
            self._refusal = error
            return core.Refused(core.Verdict.DENIED, error.what)
        self.source = place.source
        self._intake = Intake(opened.exchange, self._nursery)
        # A digest names uncoded bytes; a content without one is what was sent, coded or not.
        coded = self._digest is not None
        coding = opened.exchange.headers.joined("content-encoding") if coded else ""
        return core.Opened(opened.offset_bytes, opened.size_bytes, coding)

    async def _receive(self) -> core.Event:
        assert self._intake is not None  # noqa: S101  STREAMING means that a place is open
        self._batch = b""
        try:
            self._batch = await self._intake.batch()
        except TransportError as error:
            return core.Lost(error.trouble, error.what)
        if not self._batch:
            return core.Ended()
        self._watch.received(self._places[self._fill.at].source, len(self._batch))
        return core.Received(len(self._batch))

    async def _begin(self, size_bytes: int | None) -> None:
        """Makes the spool, or the relay when the store refuses: a miss is still answered."""
        why: StoreError = StoreFull(f"{self.called} is not to be kept here")
        named = self._digest is not None
        algorithm = NAMELESS_ALGORITHM if self._digest is None else self._digest.algorithm
        # Nobody but the place has said how long it is: that alone must not empty the store for it.
        if self._keep and self._may_keep(size_bytes):
            try:
                self._sink = self.spool = await self._store.begin(
                    size_bytes=size_bytes, algorithm=algorithm, named=named
                )
            except StoreError as error:
                why = error
            else:
                return
        self._sink = self.relay = Relay(algorithm, held_back_bytes=self._held_back_bytes)
        self._give_up_keeping(why)
        self._settled.set()

    async def _write(self, data: bytes) -> core.Event | None:
        assert self._sink is not None  # noqa: S101  the core begins before it writes
        try:
            await self._sink.write(data)
        except (StoreError, SpoolAborted) as error:
            return self._unwritable(error)
        self.written_bytes += len(data)
        self._beat()
        if self.spool is not None and self.written_bytes >= self._look_at_bytes:
            self._look_at_bytes *= 2
            if self.size_bytes is None and not self._may_keep(self.written_bytes):
                return self._unwritable(StoreFull(f"{self.digest} does not end"))
        return None

    def _may_keep(self, size_bytes: int | None) -> bool:
        return self._admits is None or size_bytes is None or self._admits(size_bytes)

    async def _commit(self) -> core.Event:
        assert self._sink is not None  # noqa: S101
        try:
            self._digest = await self._sink.commit(self._digest, when_proven=self._show_end)
        except DigestMismatch as error:
            self._sink, self._failure = None, error
            return core.Mismatched()
        except StoreFull as error:
            # Readers got everything and it was proven; only keeping it did not work.
            self._give_up_keeping(error)
        except (StoreError, SpoolAborted) as error:
            return self._unwritable(error)
        self._sink = None
        return core.Proven()

    def _show_end(self) -> None:
        """Readers may have all of it now; only keeping it may still fail."""
        self.proven = True
        self._beat()

    def _unwritable(self, error: StoreError | SpoolAborted) -> core.Event:
        self._failure = error
        if isinstance(error, StoreError):
            self._give_up_keeping(error)
        return core.Unwritable()

    def _give_up_keeping(self, why: StoreError) -> None:
        self.not_kept = why
        self._watch.not_kept(self, why)

    async def _fail(self, outcome: core.Outcome, causes: tuple[Cause, ...]) -> None:
        error: SkerryError | None = self._failure
        if error is None and outcome in (core.Outcome.ABSENT, core.Outcome.DENIED):
            error = self._refusal
        if error is None:
            error = Unavailable(self.authority, causes, retry_after_seconds=RETRY_AFTER_SECONDS)
        self.error = error
        await self._abort(error)

    async def _close(self) -> None:
        intake, self._intake = self._intake, None
        if intake is not None:
            await intake.close()

    async def _abort(self, error: SkerryError) -> None:
        sink, self._sink = self._sink, None
        if sink is not None:
            await sink.abort(error)

    async def _leave_nothing(self) -> None:
        try:
            await self._close()
        finally:
            if self.error is not None:
                await self._abort(self.error)
            self.end()

    def _beat(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
