"""Slices that this disk has dropped and a deeper tier still has.

Owns how one is brought back: by its digest, through a fill that all share. Never asks an origin,
and never decides whether an object may be used.
"""

from __future__ import annotations

from skerry.base.digest import Digest
from skerry.base.errors import SkerryError
from skerry.cdn.core.key import CacheKey
from skerry.cdn.ports import Deeper, Entry
from skerry.upstream.fills import FillKey, Fills
from skerry.wire.message import Headers

AUTHORITY = "slices"


class SliceRecall:
    """One deeper tier, as slicing sees it."""

    def __init__(self, deeper: Deeper, fills: Fills) -> None:
        self._deeper = deeper
        self._fills = fills

    def find(
        self, key: CacheKey, headers: Headers
    ) -> tuple[Entry, dict[int, tuple[Digest, int]]] | None:
        """See `Deeper.sliced`."""
        return self._deeper.sliced(key, headers)

    async def fetch(self, digest: Digest, size_bytes: int) -> bool:
        """Brings a slice to the disk; whether it is here and proven."""
        place = self._deeper.place(digest)
        if place is None:
            return False
        try:
            key = FillKey(digest, AUTHORITY)
            await self._fills.get(key, (place,), size_bytes=size_bytes).done()
        except SkerryError:
            return False  # its origin is next
        return True
