"""Places in memory.

Promise: a `ScriptedPlace` gives its content from the offset it is asked for, in chunks, unless
the `Act` of this opening says otherwise. It injects only the faults the fill engine promises to
survive:
- the open fails with a TransportError, Absent or Denied;
- the body is cut, ends early, stalls until released, or brings more than there is;
- the range is ignored (the body starts at 0);
- the length is not said, or is a lie; the body claims a content coding;
- a bit is flipped, or the content is something else altogether.
A body never goes back, never skips, and never raises anything but TransportError. Its ETag is
strong and true: the same bytes, the same tag.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from skerry.upstream.ports import Absent, Denied, Opened, Place, TransportError, Trouble
from skerry.wire.message import Headers


@dataclass(frozen=True, slots=True)
class Act:
    """What a place does in one opening. Positions count bytes of the content from its start.

    Attributes:
        raises: the open fails with this.
        cut_at: the body raises CUT there.
        ends_at: the body ends there as if all were well.
        stall_at: the body waits there until `ScriptedPlace.release`, or raises STALL.
        stall_seconds: after how long it raises; None for never.
        ignores_range: starts at byte 0 whatever was asked.
        sized: says the length at all.
        size_lie_bytes: says this length instead of the true one.
        flip_at: the lowest bit of the byte there is turned.
        extra_bytes: so many zero bytes follow the content.
        coding: the body's Content-Encoding.
        instead: this is given instead of the content.
    """

    raises: TransportError | Absent | Denied | None = None
    cut_at: int | None = None
    ends_at: int | None = None
    stall_at: int | None = None
    stall_seconds: float | None = None
    ignores_range: bool = False
    sized: bool = True
    size_lie_bytes: int | None = None
    flip_at: int | None = None
    extra_bytes: int = 0
    coding: str = ""
    instead: bytes | None = None

    def body(self, content: bytes) -> bytes:
        """The bytes this act makes of a content."""
        if self.instead is not None:
            content = self.instead
        if self.flip_at is not None and self.flip_at < len(content):
            flipped = bytearray(content)
            flipped[self.flip_at] ^= 1
            content = bytes(flipped)
        return content + bytes(self.extra_bytes)


HONEST = Act()


def absent() -> Act:
    """The place has no such thing."""
    return Act(raises=Absent("no such blob"))


def denied() -> Act:
    """The place will not give it to this node."""
    return Act(raises=Denied("401 for the node's credentials"))


def dead(trouble: Trouble = Trouble.REFUSED) -> Act:
    """The place does not answer."""
    return Act(raises=TransportError(trouble, f"fails by {trouble}"))


class ScriptedPlace:
    """A `ports.Place` that plays one act per opening, in order; the last one for ever.

    Attributes:
        offsets: what was asked for, one per opening.
        sent_bytes: what all bodies have given.
        open_count: bodies that are open now.
        wrong_count: how often it was told that it lied.
    """

    def __init__(
        self,
        source: str,
        content: bytes,
        *acts: Act,
        chunk_bytes: int = 16 * 1024,
        pause_seconds: Callable[[], float] | None = None,
    ) -> None:
        self.offsets: list[int] = []
        self.sent_bytes = 0
        self.open_count = 0
        self.wrong_count = 0
        self._source = source
        self._content = content
        self._acts = list(acts) or [HONEST]
        self._chunk_bytes = chunk_bytes
        self._pause_seconds = pause_seconds
        self._released = asyncio.Event()

    @property
    def source(self) -> str:
        return self._source

    async def open(self, offset_bytes: int) -> Opened:
        self.offsets.append(offset_bytes)
        act = self._acts[min(len(self.offsets), len(self._acts)) - 1]
        await self.pause()
        if act.raises is not None:
            raise act.raises
        start = 0 if act.ignores_range else offset_bytes
        size = act.size_lie_bytes
        if size is None and act.sized:
            size = len(act.body(self._content)) - act.extra_bytes
        self.open_count += 1
        return Opened(start, size, ScriptedExchange(self, act, act.body(self._content), start))

    def wrong(self) -> None:
        self.wrong_count += 1

    def release(self) -> None:
        """Lets every stalled body go on."""
        self._released.set()

    async def pause(self) -> None:
        """The network takes its time."""
        await asyncio.sleep(0 if self._pause_seconds is None else self._pause_seconds())

    async def pieces(self, act: Act, body: bytes, position: int) -> AsyncIterator[bytes]:
        """A body's chunks as the act has them."""
        marks = [at for at in (act.cut_at, act.ends_at, act.stall_at) if at is not None]
        while True:
            if position == act.stall_at:
                await self._stall(act.stall_seconds, position)
            if act.cut_at is not None and position >= act.cut_at:
                raise TransportError(Trouble.CUT, f"cut after {position} bytes")
            stop = min([position + self._chunk_bytes, *(at for at in marks if at > position)])
            piece = body[position:stop]
            if not piece or (act.ends_at is not None and position >= act.ends_at):
                return
            await self.pause()
            self.sent_bytes += len(piece)
            position += len(piece)
            yield piece

    async def _stall(self, seconds: float | None, position: int) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._released.wait()
        except TimeoutError:
            what = f"nothing for {seconds} s after {position} bytes"
            raise TransportError(Trouble.STALL, what) from None


class ScriptedExchange:
    """One body of a `ScriptedPlace`: a `ports.Exchange`."""

    status = 200

    def __init__(self, place: ScriptedPlace, act: Act, body: bytes, start: int) -> None:
        coded = (("Content-Encoding", act.coding),) if act.coding else ()
        self.headers = Headers((("ETag", f'"{hashlib.md5(body).hexdigest()}"'), *coded))  # noqa: S324
        self._place, self._act, self._body, self._start = place, act, body, start
        self._closed = False

    def chunks(self) -> AsyncIterator[bytes]:
        return self._place.pieces(self._act, self._body, self._start)

    def switched(self) -> None:
        return None

    async def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._place.open_count -= 1


class Faithful:
    """The places of one fetch of a content without a name: all give the representation that the
    first opening gave, or raise TransportError."""

    def __init__(self, *places: Place) -> None:
        self.places = [FaithfulPlace(place, self) for place in places]
        self.etag: str | None = None


class FaithfulPlace:
    """One of them: a `ports.Place`."""

    def __init__(self, place: Place, fetch: Faithful) -> None:
        self._place = place
        self._fetch = fetch

    @property
    def source(self) -> str:
        return self._place.source

    async def open(self, offset_bytes: int) -> Opened:
        opened = await self._place.open(offset_bytes)
        etag = opened.exchange.headers.get("etag")
        if self._fetch.etag not in (None, etag):
            await opened.exchange.close()
            raise TransportError(Trouble.CUT, "has another representation by now")
        self._fetch.etag = etag
        return opened

    def wrong(self) -> None:
        self._place.wrong()
