"""One large object in slices, while somebody reads or fills it.

Owns which slices are here, which are on their way, and who waits for which. Never fetches and never
opens: `slice_intake` brings slices in, `slicing` hands them out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace

from skerry.base.digest import Digest
from skerry.base.errors import Party, SkerryError
from skerry.cdn.core.parts import Part
from skerry.cdn.core.slices import Sliced
from skerry.cdn.entries import Held


class Changed(SkerryError):
    """The origin has another representation by now; what was here of the old one is dropped."""

    party = Party.UPSTREAM


class Sliceable:
    """The slices of one object under one strong validator.

    Attributes:
        held: the entry whose head all of them share.
        over: dropped or purged: nothing is read from it or kept for it any more.
    """

    def __init__(self, held: Held, sliced: Sliced, digests: dict[int, Digest]) -> None:
        self.held = held
        self.sliced = sliced
        self.over = False
        self._digests = digests
        self._coming: dict[int, asyncio.Future[Digest]] = {}

    @property
    def coming(self) -> dict[int, asyncio.Future[Digest]]:
        """The slices on their way here, by number."""
        return self._coming

    def same(self, sliced: Sliced) -> bool:
        """Whether the other one has slices of the same representation."""
        mine = self.sliced
        return (mine.validator, mine.total, mine.slice_bytes) == (
            sliced.validator, sliced.total, sliced.slice_bytes,
        )  # fmt: skip

    def fits(self, part: Part) -> bool:
        """Whether a part is of this representation."""
        return (part.validator, part.total) == (self.sliced.validator, self.sliced.total)

    def digest(self, number: int) -> Digest | None:
        """What a slice is called, None while it is not here."""
        return self._digests.get(number)

    def digests(self) -> Iterable[Digest]:
        """Those of every slice that is here."""
        return self._digests.values()

    def expect(self, numbers: Iterable[int]) -> None:
        """Somebody has asked for these slices."""
        for number in numbers:
            if number not in self._coming and number not in self._digests:
                future: asyncio.Future[Digest] = asyncio.get_running_loop().create_future()
                future.add_done_callback(_retrieve)
                self._coming[number] = future

    def arrived(self, number: int, digest: Digest) -> None:
        """A slice is in the store; who waits for it goes on."""
        self._digests[number] = digest
        self.sliced = replace(self.sliced, present=self.sliced.present | {number})
        future = self._coming.pop(number, None)
        if future is not None and not future.done():
            future.set_result(digest)

    def evicted(self, number: int) -> None:
        """A slice is not in the store any more."""
        self._digests.pop(number, None)
        self.sliced = replace(self.sliced, present=self.sliced.present - {number})

    def fail(self, numbers: Iterable[int], error: Exception) -> None:
        """Who waits for one of these slices learns that it will not come."""
        for number in numbers:
            future = self._coming.pop(number, None)
            if future is not None and not future.done():
                future.set_exception(error)


def _retrieve(future: asyncio.Future[Digest]) -> None:
    if not future.cancelled():
        future.exception()
