"""The vault as a tier nearer than the origin.

Owns the choice among the copies of a key, and the place a body is filled from. What it gives is as
old as it is: freshness, purges and class are judged by whoever takes it. A vault that does not
answer is left alone for a while, so that no miss waits for it twice.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from skerry.base.clock import Clock
from skerry.base.digest import Digest
from skerry.base.errors import SkerryError
from skerry.cdn.core.freshness import current_age
from skerry.cdn.core.key import CacheKey
from skerry.cdn.core.outbox import backoff_seconds
from skerry.cdn.core.status import with_age
from skerry.cdn.core.vary import matches
from skerry.cdn.ports import Copy, DataClass, EdgeUnusable, Entry
from skerry.cdn.vault.bodies import Bodies
from skerry.cdn.vault.ports import Content, Copies, ObjectMissing, VaultUnavailable
from skerry.cdn.vault.sealing import Header, Unsealable, VaultKey, open_header
from skerry.upstream.ports import Absent, Opened, Place, TransportError, Trouble
from skerry.wire.message import NO_HEADERS, Headers

TIER = "vault"
FIRST_BYTE_SECONDS = 5.0
"""How long a miss waits for the vault before the origin is asked instead."""
REST_SECONDS_MAX = 60.0
SUSPECTS_MAX = 1000

Damage = Callable[[Content], None]
"""Told of a body that is not what was sent; must not block."""


@dataclass(frozen=True, slots=True)
class TierStatistics:
    """A snapshot; counts are since start."""

    given_count: int
    failed_count: int
    resting: bool


class VaultTier:
    """`cdn.ports.Tier` over the copies in the vault.

    Args:
        classify: the class of a key as the settings say now.
        damaged: told what could not be opened.
    """

    def __init__(
        self,
        *,
        copies: Copies,
        bodies: Bodies,
        key: VaultKey,
        clock: Clock,
        classify: Callable[[CacheKey], DataClass],
        damaged: Damage,
    ) -> None:
        self._copies = copies
        self._bodies = bodies
        self._key = key
        self._clock = clock
        self._classify = classify
        self._tell = damaged
        self._suspects: OrderedDict[Digest, bytes] = OrderedDict()
        self._failures = 0
        self._rests_until = 0.0
        self._given = self._failed = 0

    async def find(self, key: CacheKey, headers: Headers) -> Copy | None:
        """See `Tier`: the newest copy that these request fields select."""
        if self._resting() or self._classify(key) is not DataClass.PUBLIC:
            return None
        try:
            found = [each for each in self._copies.find(key) if _answers(each, headers)]
        except EdgeUnusable:
            return None
        for entry in sorted(found, key=lambda each: -each.stored.received_at):
            copy = self._copy(entry)
            if copy is not None:
                return copy
        return None

    def place(self, digest: Digest) -> Place | None:
        """Where a body can be filled from; None when the vault has not got it whole."""
        content = self._copies.content(digest)
        if content is None or not content.there or self._resting():
            return None
        if self._suspects.get(digest) == content.header:
            return None  # found damaged, and not yet sent again
        try:
            header = open_header(self._key, content.name, content.header)
        except Unsealable:
            return None
        return VaultPlace(self, content, header)

    def sliced(
        self, key: CacheKey, headers: Headers
    ) -> tuple[Entry, dict[int, tuple[Digest, int]]] | None:
        """See `Deeper`."""
        if self._resting() or self._classify(key) is not DataClass.PUBLIC:
            return None
        try:
            for entry in self._copies.find(key):
                if entry.slice_bytes and _answers(entry, headers):
                    slices = self._copies.slices(entry)
                    there = {n: each for n, each in slices.items() if self.place(each[0])}
                    return (entry, there) if there else None
        except EdgeUnusable:
            pass
        return None

    def statistics(self) -> TierStatistics:
        return TierStatistics(self._given, self._failed, self._resting())

    def _copy(self, entry: Entry) -> Copy | None:
        stored, digest = entry.stored, entry.digest
        place = self.place(digest) if digest is not None else None
        size = stored.size_bytes or 0
        if entry.slice_bytes or (digest is not None and place is None):
            return None
        age = current_age(stored, self._clock.now())
        return Copy(
            TIER,
            stored.status,
            with_age(stored.headers, age),
            size if digest is not None else 0,
            digest,
            place,
            as_of=entry.as_of,
            invalidated=stored.invalidated,
        )

    def _resting(self) -> bool:
        return self._clock.monotonic() < self._rests_until

    async def open(self, content: Content, header: Header, offset_bytes: int) -> Opened:
        """The body from an offset, its first bytes proven. Raises TransportError, Absent."""
        chunks = self._bodies.read(header, offset_bytes)
        try:
            async with asyncio.timeout(FIRST_BYTE_SECONDS):
                first = await anext(chunks, b"")
        except (SkerryError, TimeoutError) as error:
            raise self._failure(error, content) from error
        self._failures = 0
        self._given += 1
        exchange = _Unsealing(self, content, first, chunks)
        return Opened(offset_bytes, header.size_bytes, exchange)

    def failed(self, error: BaseException, content: Content) -> TransportError:
        """What a body that broke off is told as."""
        told = self._failure(error, content)
        return told if isinstance(told, TransportError) else TransportError(Trouble.CUT, str(told))

    def wrong(self, content: Content) -> None:
        """A body that had opened well was not the one that was meant."""
        self._damaged(content)

    def _damaged(self, content: Content) -> None:
        self._suspects[content.digest] = content.header
        if len(self._suspects) > SUSPECTS_MAX:
            self._suspects.popitem(last=False)
        self._tell(content)

    def _failure(self, error: BaseException, content: Content) -> TransportError | Absent:
        self._failed += 1
        if isinstance(error, Unsealable):
            self._damaged(content)
            return TransportError(Trouble.WRONG_CONTENT, error.what)
        if isinstance(error, ObjectMissing):
            self._damaged(content)
            return Absent(error.what)
        if isinstance(error, TimeoutError):
            error = VaultUnavailable("the vault cannot be reached now (took too long)")
        rest = min(REST_SECONDS_MAX, backoff_seconds(self._failures, 1.0))
        self._failures += 1
        self._rests_until = self._clock.monotonic() + rest
        what = error.what if isinstance(error, SkerryError) else type(error).__name__
        return TransportError(Trouble.REFUSED, what)


class VaultPlace:
    """`upstream.ports.Place`: one body in the vault."""

    def __init__(self, tier: VaultTier, content: Content, header: Header) -> None:
        self._tier = tier
        self._content = content
        self._header = header

    @property
    def source(self) -> str:
        return TIER

    async def open(self, offset_bytes: int) -> Opened:
        return await self._tier.open(self._content, self._header, offset_bytes)

    def wrong(self) -> None:
        self._tier.wrong(self._content)


class _Unsealing:
    """`upstream.ports.Exchange` of a body that has begun to come."""

    status = 200
    headers = NO_HEADERS

    def __init__(
        self, tier: VaultTier, content: Content, first: bytes, rest: AsyncIterator[bytes]
    ) -> None:
        self._tier = tier
        self._content = content
        self._first = first
        self._rest = rest

    async def chunks(self) -> AsyncIterator[bytes]:
        yield self._first
        try:
            async for chunk in self._rest:
                yield chunk
        except SkerryError as error:
            raise self._tier.failed(error, self._content) from error

    def switched(self) -> None:
        return None

    async def close(self) -> None:
        close = getattr(self._rest, "aclose", None)
        if close is not None:
            await close()


def _answers(entry: Entry, headers: Headers) -> bool:
    return matches(entry.stored.vary, entry.stored.headers, headers)
