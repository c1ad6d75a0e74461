"""Every stored response of the edge: those in the index, and those whose body still grows.

Owns what is here at this moment, and that nothing purged is. Never decides whether a response may
be used: that is `core.reuse`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from skerry.aio.tasks import Nursery
from skerry.base.clock import Clock
from skerry.base.digest import Digest
from skerry.base.errors import SkerryError
from skerry.cdn.core.key import CacheKey
from skerry.cdn.core.purge import Names, Target, names_it
from skerry.cdn.core.purge_log import Verdict
from skerry.cdn.ports import EdgeUnusable, Entry, ReadyAnswers, Stored, Variants
from skerry.cdn.purges import Mark, Purges
from skerry.store.ports import SMALL_BYTES_MAX, Store
from skerry.upstream.fills import Fill
from skerry.wire.message import Body

USES_MAX = 100_000
SETTLING_MAX = 4096
SETTLING_BYTES_MAX = 32 << 20
"""Bodies that are whole and wait for their row in the index: how many, and how much of them may be
in memory until then. Past either nothing new is kept; what was under way by then comes on top."""


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """A stored response and where its body is: in the store, or (`fill`) on its way there, or
    wherever `read` finds the bytes from an offset on."""

    entry: Entry
    mark: Mark
    fill: Fill | None = None
    read: Callable[[int, int | None], Body] | None = None

    @property
    def stored(self) -> Stored:
        return self.entry.stored

    @property
    def is_kept(self) -> bool:
        """Whether its body is in the store or on the way there, once it is `opened`."""
        return self.fill is None or not self.fill.passes_through

    @property
    def names(self) -> Names:
        """All that a purge may call it by."""
        stored = self.entry.stored
        return Names(self.entry.key, stored.groups, stored.surrogate_keys)


@dataclass(frozen=True, slots=True)
class EntriesStatistics:
    """A snapshot."""

    growing_count: int
    settling_count: int
    settling_bytes: int
    kept_count: int
    lost_count: int


class Entries:
    """What is stored, as the rest of the edge sees it."""

    def __init__(
        self,
        *,
        variants: Variants,
        store: Store,
        purges: Purges,
        clock: Clock,
        nursery: Nursery,
        ready: ReadyAnswers,
    ) -> None:
        self._variants = variants
        self._store = store
        self._purges = purges
        self._clock = clock
        self._nursery = nursery
        self._ready = ready
        self._growing: dict[CacheKey, list[Held]] = {}
        self._uses: OrderedDict[CacheKey, float] = OrderedDict()
        self._settling = self._settling_bytes = 0
        self._kept = self._lost = 0
        self.allows: Callable[[CacheKey], bool] = lambda key: True
        """Whether what has this key may be stored now: its route may have changed on the way."""
        purges.work.under_way = self._named

    @property
    def has_room(self) -> bool:
        """Whether another body may be kept: the index is not too far behind."""
        return self._settling < SETTLING_MAX and self._settling_bytes < SETTLING_BYTES_MAX

    def find(self, key: CacheKey) -> tuple[Held, ...]:
        """Every response of a key that no purge forbids.

        An index that cannot be read is a cold cache, not an error page. That a body was evicted
        shows when it is opened.
        """
        try:
            entries = self._variants.find(key)
        except EdgeUnusable:
            entries = ()
        growing = self._growing.get(key, ())
        # One that broke is found no more, though its end is told a moment later.
        found = [held for held in growing if held.fill is None or not held.fill.failed]
        found += [Held(entry, self._purges.mark_of(entry)) for entry in entries]
        judged = (self.judged(held) for held in found)
        return tuple(held for held in judged if held is not None)

    def judged(self, held: Held) -> Held | None:
        """What the purges leave of a response: None, or one to be validated before use."""
        verdict = self._purges.verdict(held.names, held.mark)
        if verdict is Verdict.NONE:
            return held
        if verdict is Verdict.HARD:
            return None
        stored = replace(held.stored, invalidated=True)
        return replace(held, entry=replace(held.entry, stored=stored))

    async def opened(self, held: Held) -> Held:
        """The response with a body of the asker's own to read, once its first byte is here.

        Raises what `Fill.opened` raises.
        """
        if held.fill is None:
            return held
        view = held.fill.again()
        await view.opened()
        return Held(held.entry, held.mark, view, held.read)

    def used(self, key: CacheKey) -> None:
        """Notes a use; written out by `flush`."""
        self._uses[key] = self._clock.now()
        self._uses.move_to_end(key)
        if len(self._uses) > USES_MAX:
            self._uses.popitem(last=False)

    async def flush(self) -> None:
        """Writes noted uses to the index; one that takes no writes loses them."""
        uses, self._uses = self._uses, OrderedDict()
        try:
            await self._variants.touch(list(uses.items()))
        except EdgeUnusable:
            return

    def begin(self, entry: Entry, mark: Mark, fill: Fill) -> Held:
        """A response whose body has begun to come; in the index as soon as it is whole."""
        held = Held(entry, mark, fill)
        self._ready.forget(entry.key.digest)
        self._growing.setdefault(entry.key, []).append(held)
        self._nursery.start(self._finish(held, fill), name="edge.keep")
        return held

    async def updated(self, held: Held) -> Held:
        """A response with new fields in the place of the one with the same body."""
        if held.fill is None:
            return await self.keep(held.entry, held.mark)
        helds = self._growing.get(held.entry.key, [])
        for index, each in enumerate(helds):
            if each.fill is held.fill:
                helds[index] = held
        self._ready.forget(held.entry.key.digest)
        return held

    async def keep(self, entry: Entry, mark: Mark, *, at_leisure: bool = False) -> Held:
        """A response whose body is in the store, or that has none. Nobody's answer waits for one
        that is kept `at_leisure`."""
        held = self.judged(Held(entry, mark))
        if held is None or not self.allows(entry.key):
            return Held(entry, mark)
        self._ready.forget(entry.key.digest)
        # Judged and queued without a pause: what is ordered later also settles later.
        as_of, now = self._purges.mark().purges, self._clock.now()
        try:
            written = replace(held.entry, as_of=as_of, last_used=now)
            await self._variants.put(written, at_leisure=at_leisure)
            self._kept += 1
        except EdgeUnusable:
            self._lost += 1
        finally:
            # What was found while it was written is the old one.
            self._ready.forget(entry.key.digest)
        return held

    async def remove(self, helds: tuple[Held, ...]) -> None:
        """Forgets responses; their bytes go when room is needed."""
        self.forget_ready(held.entry for held in helds)
        for held in helds:
            self._ungrow(held)
        try:
            kept = [held.entry for held in helds if held.fill is None]
            await self._variants.remove(kept)
        except EdgeUnusable:
            self._lost += 1
        finally:
            self.forget_ready(held.entry for held in helds)

    def forget_ready(self, entries: Iterable[Entry]) -> None:
        """No ready answer of their keys is given from now on."""
        for digest in {entry.key.digest for entry in entries}:
            self._ready.forget(digest)

    def is_filling(self, digest: Digest) -> bool:
        """Whether a body of this digest is on its way into the index."""
        every = (held for helds in self._growing.values() for held in helds)
        return any(held.fill is not None and held.fill.digest == digest for held in every)

    def statistics(self) -> EntriesStatistics:
        return EntriesStatistics(
            sum(len(helds) for helds in self._growing.values()),
            self._settling,
            self._settling_bytes,
            self._kept,
            self._lost,
        )

    async def _finish(self, held: Held, fill: Fill) -> None:
        try:
            await fill.done()
            digest = fill.digest
            size = None if digest is None else self._store.size_of(digest)
            if digest is not None and size is not None:
                await self._settle(held, digest, size)
        except SkerryError:
            self._lost += 1  # the fill has told why
        finally:
            self._ungrow(held)

    async def _settle(self, held: Held, digest: Digest, size_bytes: int) -> None:
        """Into the index, as a 304 may have updated it meanwhile, unless it was removed."""
        for each in self._growing.get(held.entry.key, ()):
            if each.fill is held.fill:
                stored = each.stored
                if stored.size_bytes != size_bytes:  # said by nobody until now
                    stored = replace(stored, size_bytes=size_bytes)
                entry = replace(each.entry, stored=stored, digest=digest)
                in_memory = size_bytes if size_bytes <= SMALL_BYTES_MAX else 0
                self._settling += 1
                self._settling_bytes += in_memory
                try:
                    await self.keep(entry, each.mark, at_leisure=True)
                finally:
                    self._settling -= 1
                    self._settling_bytes -= in_memory
                return

    def _ungrow(self, held: Held) -> None:
        if held.fill is None:
            return
        growing = self._growing.get(held.entry.key, ())
        helds = [each for each in growing if each.fill is not held.fill]
        if helds:
            self._growing[held.entry.key] = helds
        else:
            self._growing.pop(held.entry.key, None)

    def _named(self, target: Target) -> int:
        every = (held for helds in self._growing.values() for held in helds)
        return sum(names_it(target, held.names) for held in every)
