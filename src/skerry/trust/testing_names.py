"""The memory twin of the book of pins, and what every such book must do.

Promised faults: `full` makes each save fail.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from skerry.trust.ports import NameHold, NamePin, PinBook, PinsState, PinsUnusable

Reopen = Callable[[], PinBook]
"""The same book, opened anew as after a restart."""


class MemoryPinBook:
    """Keeps the value."""

    def __init__(self) -> None:
        self.full = False
        self.saves = 0
        self._state = PinsState()

    def load(self) -> PinsState:
        return self._state

    async def save(self, state: PinsState) -> None:
        if self.full:
            raise PinsUnusable("the disk is full")
        self.saves += 1
        self._state = state


A_STATE = PinsState(
    pins=(
        NamePin("registry.example", ("192.0.2.1", "2001:db8::1"), 100.5, True, 2000.0),
        NamePin("shop.example", ("192.0.2.2",), 101.0),
    ),
    holds=(NameHold("example", 'the NS of "example" are others: ä', 99.0),),
)


async def a_new_book_is_empty(reopen: Reopen) -> None:
    assert reopen().load() == PinsState()  # noqa: S101


async def what_was_saved_is_there_after_a_restart(reopen: Reopen) -> None:
    await reopen().save(A_STATE)
    assert reopen().load() == A_STATE  # noqa: S101


async def the_last_save_is_the_whole_truth(reopen: Reopen) -> None:
    book = reopen()
    await book.save(A_STATE)
    await book.save(PinsState(holds=A_STATE.holds))
    assert reopen().load() == PinsState(holds=A_STATE.holds)  # noqa: S101


PIN_BOOK_CHECKS: tuple[Callable[[Reopen], Awaitable[None]], ...] = (
    a_new_book_is_empty,
    what_was_saved_is_there_after_a_restart,
    the_last_save_is_the_whole_truth,
)
