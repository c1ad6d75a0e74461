"""The table of ready answers: the fast way (design section 5).

Owns which bytes answer which request, until when, and how much memory and how many open files that
may take. Never looks at a socket or a clock, and never decides that something may be hot: the
handler does, by `Hot`. One table serves one door, so one scheme.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, field

from skerry.adapters.http_hot_head import HeadTemplate
from skerry.wire.message import Hot

READY_BYTES_MAX = 64 << 10
"""A larger body leaves from its file: readers that take nothing hold ready bytes."""

REQUEST_BYTES_MAX = 2048
"""A longer request head is parsed each time."""

VARIANTS_MAX = 16
"""Ready answers of one target: whoever varies a field at will costs only that target its place."""

FORGOTTEN_MAX = 4096
"""Names that were forgotten one by one; beyond, whatever was decided before counts as forgotten."""

HotKey = tuple[bytes, bytes, bytes]
"""Method, authority and target, as sent."""
Values = tuple[bytes | None, ...]


@dataclass(frozen=True, slots=True)
class HotRequest:
    """A request that may take the fast way. `wanted` is its Range, None for the whole."""

    key: HotKey
    fields: Sequence[tuple[bytes, bytes]]
    wanted: bytes | None = None

    def values(self, names: tuple[bytes, ...]) -> Values:
        """What it says in these fields, several lines as one; absent is not empty."""
        found: list[bytes | None] = []
        for name in names:
            lines = [value for each, value in self.fields if each == name]
            found.append(b", ".join(lines) if lines else None)
        return tuple(found)


@dataclass(slots=True)
class HotFile:
    """Consecutive bytes of a file that stays open while its answer is in the table."""

    fd: int
    size_bytes: int

    def close(self) -> None:
        """Gives the descriptor back; may be called twice."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)


@dataclass(slots=True, eq=False)
class HotEntry:
    """One answer.

    Attributes:
        head, part_head: templates of a whole answer's head, and of a part's up to its numbers.
        body: ready bytes, or the file they are in; b"" where the head is all.
        ready: what is sent for the whole: head and ready bytes, or the head before a file.
        part: `part_head` as it is now, b"" until somebody wants it.
        due: when `ready` is no longer true.
    """

    key: HotKey
    values: Values
    hot: Hot
    head: HeadTemplate
    part_head: HeadTemplate | None
    body: bytes | HotFile
    ready: bytes = b""
    part: bytes = b""
    due: float = -math.inf
    date: bytes = b""
    alive: bool = True
    chance: bool = False
    uses: int = 0
    part_uses: int = 0
    part_bytes: int = 0
    """Of parts; less what is missing of wholes: with those it is what has gone."""

    @property
    def held_bytes(self) -> int:
        """Memory that it takes, about: head and part of a head, and a body that is no file."""
        pieces = sum(map(len, self.head.pieces))
        return 3 * pieces + (2 * len(self.body) if isinstance(self.body, bytes) else 0)


@dataclass(slots=True)
class _Target:
    """The answers of one method, authority and target, by the fields they depend on."""

    names: tuple[bytes, ...]
    entries: dict[Values, HotEntry] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class HotStatistics:
    """A snapshot of one table."""

    entries: int
    entry_bytes: int
    files: int
    requests: int
    hits: int
    generation: int


class HotTable:
    """Ready answers by request, bounded in number, size and files.

    Who was not used since it was last looked at leaves first. Two levels: key and fields, and above
    them the exact bytes of a whole request seen before, which saves parsing the same head again.
    """

    def __init__(
        self, *, entries_max: int = 4096, bytes_max: int = 32 << 20, files_max: int = 512
    ) -> None:
        self._targets: dict[HotKey, _Target] = {}
        self._requests: dict[bytes, HotEntry] = {}
        self._order: dict[HotEntry, None] = {}
        self._with_file: dict[HotEntry, None] = {}
        self._abouts: dict[str, set[HotEntry]] = {}
        self._forgotten: dict[str, int] = {}
        self._touched: list[HotEntry] = []
        self._entries_max, self._bytes_max, self._files_max = entries_max, bytes_max, files_max
        self._bytes = self._hits = self._floor = 0
        self.generation = 0
        """Rises whenever something is forgotten. To be noted before an answer is decided."""

    # asking

    def find(self, request: HotRequest, *, now: float, date: bytes) -> HotEntry | None:
        """The answer to a parsed request, or None. `now` is monotonic; `date` is the value sent."""
        target = self._targets.get(request.key)
        if target is None:
            return None
        entry = target.entries.get(request.values(target.names))
        return entry if entry is not None and self._is_true(entry, now, date) else None

    def repeat(self, request: bytes, *, now: float, date: bytes) -> HotEntry | None:
        """The answer to a request whose every byte was seen before, or None."""
        entry = self._requests.get(request)
        if entry is None:
            return None
        if (entry.due <= now or entry.date is not date) and not self._is_true(entry, now, date):
            del self._requests[request]
            return None
        return entry

    def remember(self, request: bytes, entry: HotEntry) -> None:
        """Notes that these bytes are one whole request with this answer."""
        if len(request) > REQUEST_BYTES_MAX or not entry.alive:
            return
        if len(self._requests) >= self._entries_max:
            self._requests.clear()
        self._requests[request] = entry

    def used(self, entry: HotEntry) -> None:
        """Counts one whole answer; told to its handler by `tell`."""
        if not entry.uses:
            self._touched.append(entry)
        entry.uses += 1
        self._hits += 1

    def used_part(self, entry: HotEntry, size_bytes: int) -> None:
        """Counts one answer with a part."""
        if not entry.part_uses:
            self._touched.append(entry)
        entry.part_uses += 1
        entry.part_bytes += size_bytes
        self._hits += 1

    def missing(self, entry: HotEntry, size_bytes: int) -> None:
        """So much of an answer that was just counted has not gone yet; `went` tells when it has."""
        entry.part_bytes -= size_bytes

    def went(self, entry: HotEntry, size_bytes: int) -> None:
        """So much more of an answer has gone, whether it is still in the table or not."""
        self._touched.append(entry)
        entry.part_bytes += size_bytes

    def tell(self) -> None:
        """Tells the handlers of the uses since the last time; to be called every second or so."""
        touched, self._touched = self._touched, []
        for entry in touched:
            _tell(entry)

    # changing

    def put(
        self,
        request: HotRequest,
        hot: Hot,
        *,
        head: HeadTemplate,
        body: bytes | HotFile,
        part_head: HeadTemplate | None = None,
        generation: int,
    ) -> bool:
        """Keeps an answer that was decided under `generation`, for requests with these fields.

        False, and nothing kept, when what it was made of was forgotten since, or it is too large.
        The file of one that is kept is the table's to close.
        """
        if generation < self._floor or any(
            self._forgotten.get(name, 0) > generation for name in hot.about
        ):
            return False
        names = tuple(name.encode("latin-1") for name in hot.fields)
        entry = HotEntry(request.key, request.values(names), hot, head, part_head, body)
        target = self._targets.get(entry.key)
        if target is not None and target.names != names:
            for other in list(target.entries.values()):
                self._drop(other)
            target = None
        if target is not None and (same := target.entries.get(entry.values)) is not None:
            self._drop(same)
        if target is not None and len(target.entries) >= VARIANTS_MAX:
            self._drop(next(iter(target.entries.values())))
        if not self._make_room(entry):
            return False
        self._targets.setdefault(entry.key, _Target(names)).entries[entry.values] = entry
        self._order[entry] = None
        for name in hot.about:
            self._abouts.setdefault(name, set()).add(entry)
        self._bytes += entry.held_bytes
        if isinstance(body, HotFile):
            self._with_file[entry] = None
        return True

    def forget(self, about: str) -> None:
        """What bears this name changed or went: no answer made of it may be used again."""
        self.generation += 1
        if len(self._forgotten) >= FORGOTTEN_MAX:
            self._floor = self.generation
            self._forgotten.clear()
        self._forgotten[about] = self.generation
        for entry in list(self._abouts.get(about, ())):
            self._drop(entry)

    def forget_all(self) -> None:
        """A policy, tag, purge or configuration changed: nothing kept may be used again."""
        self.generation += 1
        self._floor = self.generation
        self._forgotten.clear()
        for entry in list(self._order):
            self._drop(entry)
        self._requests.clear()

    def statistics(self) -> HotStatistics:
        """A snapshot."""
        return HotStatistics(
            entries=len(self._order),
            entry_bytes=self._bytes,
            files=len(self._with_file),
            requests=len(self._requests),
            hits=self._hits,
            generation=self.generation,
        )

    # inside

    def _is_true(self, entry: HotEntry, now: float, date: bytes) -> bool:
        """Whether an entry may be used now; its bytes then say what is true now."""
        if entry.due > now and entry.date is date:
            return True
        if not entry.alive:
            return False
        if entry.hot.valid_until <= now:
            self._drop(entry)
            return False
        head = entry.head.render(now, date)
        entry.ready = head + entry.body if isinstance(entry.body, bytes) else head
        entry.part = b""
        entry.date = date
        entry.due = min(entry.hot.valid_until, entry.head.changes_at(now))
        return True

    def _make_room(self, wanted: HotEntry) -> bool:
        """Lets the unused go, oldest first; who was used since then gets another round."""
        size, needs_file = wanted.held_bytes, isinstance(wanted.body, HotFile)
        if size > self._bytes_max or (needs_file and not self._files_max):
            return False
        while self._order and (
            len(self._order) >= self._entries_max or self._bytes + size > self._bytes_max
        ):
            self._pass_over_or_drop(self._order)
        while needs_file and len(self._with_file) >= self._files_max:
            self._pass_over_or_drop(self._with_file)
        return True

    def _pass_over_or_drop(self, queue: dict[HotEntry, None]) -> None:
        entry = next(iter(queue))
        _tell(entry)
        if entry.chance:
            entry.chance = False
            del queue[entry]
            queue[entry] = None
        else:
            self._drop(entry)

    def _drop(self, entry: HotEntry) -> None:
        if not entry.alive:
            return
        _tell(entry)
        self._bytes -= entry.held_bytes
        entry.alive, entry.due = False, -math.inf
        del self._order[entry]
        target = self._targets[entry.key]
        del target.entries[entry.values]
        if not target.entries:
            del self._targets[entry.key]
        for name in entry.hot.about:
            same = self._abouts[name]
            same.discard(entry)
            if not same:
                del self._abouts[name]
        if isinstance(entry.body, HotFile):
            del self._with_file[entry]
            entry.body.close()
        entry.ready = entry.part = b""
        entry.body = b""


def _tell(entry: HotEntry) -> None:
    """Tells a handler of the uses of one answer since it was last told."""
    uses = entry.uses + entry.part_uses
    if not uses and not entry.part_bytes:
        return
    body_bytes = entry.part_bytes
    if entry.key[0] != b"HEAD":
        size = len(entry.body) if isinstance(entry.body, bytes) else entry.body.size_bytes
        body_bytes += entry.uses * size
    entry.uses = entry.part_uses = entry.part_bytes = 0
    entry.chance = True
    entry.hot.hit(uses, body_bytes)
