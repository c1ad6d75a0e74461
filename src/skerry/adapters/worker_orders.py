"""What must be forgotten, known in every worker before the order's call returns.

Owns the page of memory that all processes of a node share and the tables that obey it. The main
process counts its orders there; a worker whose count is behind answers nothing from its table
until what it has to forget has arrived on its line. So no order waits for a worker, however busy
or stopped it is, and none needs an acknowledgement.
"""

from __future__ import annotations

import mmap
import os
from functools import partial

from skerry.adapters.http_hot import HotEntry, HotRequest, HotTable
from skerry.wire.message import HotUses, Sent

PAGE_BYTES = mmap.PAGESIZE
BODIES_MAX = 1 << 16
"""Bodies on their way at one worker, with those not reported yet: more than it has descriptors."""


class OrderPage:
    """The main process's side: counts orders."""

    def __init__(self) -> None:
        self._fd = os.memfd_create("skerry-orders", os.MFD_CLOEXEC)
        os.ftruncate(self._fd, PAGE_BYTES)
        self._memory = mmap.mmap(self._fd, PAGE_BYTES)
        self._count = memoryview(self._memory).cast("Q")

    @property
    def count(self) -> int:
        """How many orders were given since start."""
        return self._count[0]

    def rise(self) -> int:
        """One more order, in force in every process from now on. Returns the new count."""
        self._count[0] += 1
        return self._count[0]

    def fileno(self) -> int:
        """What a worker maps."""
        return self._fd

    def close(self) -> None:
        """Gives the page back; workers keep theirs. May be called twice."""
        if self._fd >= 0:
            self._count.release()
            self._memory.close()
            os.close(self._fd)
            self._fd = -1


class Orders:
    """A worker's side: whether it has obeyed all orders there are."""

    def __init__(self, descriptor: int, obeyed: int) -> None:
        """Maps the page; the descriptor may be closed afterwards."""
        self._memory = mmap.mmap(descriptor, PAGE_BYTES, prot=mmap.PROT_READ)
        self.page = memoryview(self._memory).cast("Q")
        self.obeyed = obeyed

    def obey(self, count: int) -> None:
        """Everything up to this order has been forgotten here."""
        self.obeyed = count


class FollowingTable(HotTable):
    """A worker's hot table: silent while there is an order that has not arrived yet."""

    def __init__(self, orders: Orders, *, files_max: int = 512) -> None:
        super().__init__(files_max=files_max)
        self._orders = orders
        self._page = orders.page

    def find(self, request: HotRequest, *, now: float, date: bytes) -> HotEntry | None:
        """See `HotTable.find`."""
        if self._page[0] != self._orders.obeyed:
            return None
        return super().find(request, now=now, date=date)

    def repeat(self, request: bytes, *, now: float, date: bytes) -> HotEntry | None:
        """See `HotTable.repeat`."""
        if self._page[0] != self._orders.obeyed:
            return None
        return super().repeat(request, now=now, date=date)


class UseTally:
    """A worker's uses of ready answers, by the number of the leave, until they are reported."""

    def __init__(self) -> None:
        self._counts: dict[int, tuple[int, int]] = {}

    def counter(self, number: int) -> HotUses:
        """What the table tells of uses of an answer with that leave."""
        counts = self._counts

        def hit(uses: int, body_bytes: int) -> None:
            before, bytes_before = counts.get(number, (0, 0))
            counts[number] = (before + uses, bytes_before + body_bytes)

        return hit

    def sent(self, number: int) -> Sent:
        """What a body of the full way is told to, as it leaves."""
        return partial(self.counter(number), 0)

    def ended(self, number: int) -> None:
        """Nothing more of that body will leave."""
        self.counter(number)(1, 0)

    def take(self, most: int) -> list[tuple[int, int, int]]:
        """Up to so many (number, uses, body bytes) not reported yet; they are with this."""
        numbers = list(self._counts)[:most]
        return [(number, *self._counts.pop(number)) for number in numbers]


class UseBook:
    """The main process's side: whose uses a number stands for.

    A worker's table does not say when it drops an answer, so the numbers that were not used for
    longest make way; `numbers_max` is far more than the tables of one worker hold.
    """

    def __init__(self, numbers_max: int = 4 * 4096) -> None:
        self._hits: dict[int, HotUses] = {}
        self._bodies: dict[int, Sent] = {}
        self._numbers_max = numbers_max
        self._last = 0

    def __len__(self) -> int:
        return len(self._hits)

    def note(self, hit: HotUses) -> int:
        """A number for a new leave."""
        if len(self._hits) >= self._numbers_max:
            del self._hits[next(iter(self._hits))]
        self._last += 1
        self._hits[self._last] = hit
        return self._last

    def follow(self, sent: Sent) -> int:
        """A number, below 0, for a body of the full way, until it has ended."""
        if len(self._bodies) >= BODIES_MAX:
            del self._bodies[next(iter(self._bodies))]
        self._last += 1
        self._bodies[-self._last] = sent
        return -self._last

    def count(self, number: int, uses: int, body_bytes: int) -> None:
        """So many uses at a worker; of a body: its bytes, and whether it has ended."""
        if number < 0:
            sent = self._bodies.pop(number, None)
            if sent is not None and not uses:
                self._bodies[number] = sent
            if sent is not None and body_bytes:
                sent(body_bytes)
            return
        hit = self._hits.pop(number, None)
        if hit is None:
            return
        self._hits[number] = hit  # used: it leaves last
        hit(uses, body_bytes)
