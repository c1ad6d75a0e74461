"""The table of ready answers: the fast way (design section 5).

Owns which bytes answer which request, until when, and how much memory that may take. Never looks
at a socket or a clock, and never decides that something may be hot: the handler does, by `Hot`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

HOT_BODY_BYTES_MAX = 128 << 10
"""A larger body leaves by sendfile or the full way: readers that take nothing hold ready bytes."""

REQUEST_BYTES_MAX = 2048
"""A longer request head is parsed each time."""

DATE_BYTES = 29
"""Length of every `Date` value (RFC 9110 section 5.6.7, IMF-fixdate)."""

HotKey = tuple[bytes, bytes, bytes, bytes]
"""Method, authority, target and joined `Accept`, as sent."""


@dataclass(frozen=True, slots=True)
class HotStatistics:
    """A snapshot of one table."""

    entries: int
    entry_bytes: int
    requests: int
    hits: int
    generation: int


@dataclass(slots=True)
class _Entry:
    """One answer. `ready` is the whole answer, with `date` written at `date_at`."""

    ready: bytes
    date_at: int
    date: bytes
    valid_until: float
    hit: Callable[[], None]


class HotTable:
    """Ready bytes by request, bounded in number and size; the oldest leave first.

    Two levels: the parsed key, and above it the exact bytes of a whole request seen before, which
    saves parsing the same head again. The second maps to the first, so it holds no answers.
    """

    def __init__(self, *, entries_max: int = 4096, bytes_max: int = 32 << 20) -> None:
        self._entries: dict[HotKey, _Entry] = {}
        self._requests: dict[bytes, HotKey] = {}
        self._entries_max = entries_max
        self._bytes_max = bytes_max
        self._bytes = 0
        self._hits = 0
        self.generation = 0
        """Rises with every `forget_all`; an answer decided before it must not be put after it."""

    def find(self, key: HotKey, *, now: float, date: bytes) -> bytes | None:
        """The answer to a parsed request, or None. `now` is monotonic; `date` is the value sent."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry.valid_until <= now:
            self._drop(key)
            return None
        if entry.date is not date:
            ready, at = entry.ready, entry.date_at
            entry.ready = b"".join((ready[:at], date, ready[at + DATE_BYTES :]))
            entry.date = date
        self._hits += 1
        entry.hit()
        return entry.ready

    def repeat(self, request: bytes, *, now: float, date: bytes) -> bytes | None:
        """The answer to a request whose every byte was seen before, or None."""
        key = self._requests.get(request) if len(request) <= REQUEST_BYTES_MAX else None
        return None if key is None else self.find(key, now=now, date=date)

    def remember(self, request: bytes, key: HotKey) -> None:
        """Notes that these bytes are one whole request with this key."""
        if len(request) > REQUEST_BYTES_MAX:
            return
        if len(self._requests) >= self._entries_max:
            self._requests.clear()
        self._requests[request] = key

    def put(
        self,
        key: HotKey,
        ready: bytes,
        *,
        date_at: int,
        valid_until: float,
        hit: Callable[[], None],
        generation: int,
    ) -> None:
        """Keeps an answer that was decided under `generation`.

        `ready` is the whole answer with a `Date` value of `DATE_BYTES` at `date_at`. Too large an
        answer, or one from before the last `forget_all`, is passed over.
        """
        if generation != self.generation or len(ready) > HOT_BODY_BYTES_MAX + 65536:
            return
        self._drop(key)
        while self._entries and (
            len(self._entries) >= self._entries_max or self._bytes + len(ready) > self._bytes_max
        ):
            self._drop(next(iter(self._entries)))
        if len(ready) > self._bytes_max:
            return
        self._entries[key] = _Entry(ready, date_at, b"", valid_until, hit)
        self._bytes += len(ready)

    def forget_all(self) -> None:
        """A policy, tag, purge or configuration changed: nothing kept may be used again."""
        self.generation += 1
        self._entries.clear()
        self._requests.clear()
        self._bytes = 0

    def statistics(self) -> HotStatistics:
        """A snapshot."""
        return HotStatistics(
            entries=len(self._entries),
            entry_bytes=self._bytes,
            requests=len(self._requests),
            hits=self._hits,
            generation=self.generation,
        )

    def _drop(self, key: HotKey) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._bytes -= len(entry.ready)
