"""An index whose purges also reach the copies kept elsewhere.

Owns that a purge has settled only when both have taken it. Everything else is the index's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from skerry.base.digest import Digest
from skerry.cdn.core.key import CacheKey
from skerry.cdn.core.purge import Mode, Target
from skerry.cdn.ports import Backing, Entry, Variants


class BackedVariants:
    """`cdn.ports.Variants` with a second copy behind it."""

    def __init__(self, variants: Variants, backing: Backing) -> None:
        self._variants = variants
        self._backing = backing

    def find(self, key: CacheKey) -> tuple[Entry, ...]:
        return self._variants.find(key)

    async def put(self, entry: Entry, *, at_leisure: bool = False) -> None:
        # Before the first pause: a purge that comes later finds it.
        self._backing.want(entry)
        await self._variants.put(entry, at_leisure=at_leisure)

    async def remove(self, entries: Sequence[Entry]) -> None:
        """Here alone: what is evicted here is what the copy is for."""
        await self._variants.remove(entries)

    async def purge(self, target: Target, mode: Mode) -> int:
        """What is on this disk no more may be elsewhere; a copy is no second object."""
        count = await self._variants.purge(target, mode)
        return max(count, await self._backing.purge(target, mode))

    async def clear(self) -> None:
        await self._variants.clear()
        await self._backing.clear()

    async def touch(self, uses: Sequence[tuple[CacheKey, float]]) -> None:
        await self._variants.touch(uses)

    def slices(self, entry: Entry) -> dict[int, tuple[Digest, int]]:
        return self._variants.slices(entry)

    async def put_slice(self, entry: Entry, number: int, digest: Digest, size_bytes: int) -> None:
        await self._variants.put_slice(entry, number, digest, size_bytes)
        self._backing.want(entry)

    def holds(self, digest: Digest) -> bool:
        return self._variants.holds(digest)

    def all(self) -> Iterator[Entry]:
        return self._variants.all()

    def oldest(self, count_max: int) -> Iterator[Entry]:
        return self._variants.oldest(count_max)

    def newest(self, count_max: int) -> Iterator[Entry]:
        return self._variants.newest(count_max)
