"""The pins of a node: remembered across restarts, told of in events.

Owns when they are written. What may be pinned and which hold covers a name is `core.pins`'s.
"""

from __future__ import annotations

import asyncio

from skerry.base.clock import Clock
from skerry.telemetry.events import Events, Level
from skerry.trust.core import pins as core
from skerry.trust.ports import NameHold, NamePin, PinBook, PinsState


class KeptPins:
    """`trust.ports.NamePins` over a book."""

    def __init__(self, book: PinBook, *, clock: Clock, events: Events) -> None:
        """Reads the book. Raises PinsUnusable."""
        self._book = book
        self._clock = clock
        self._events = events
        self._state = book.load()
        self._saving = asyncio.Lock()
        for each in self._state.holds:
            self._tell("name.held", each.name, f"{each.reason} (since before this start)")

    def pin(self, name: str) -> NamePin | None:
        return core.pin_of(self._state, name)

    def hold_of(self, name: str) -> NameHold | None:
        return core.hold_of(self._state, name)

    def state(self) -> PinsState:
        return self._state

    async def keep(self, pin: NamePin) -> None:
        await self._become(core.keep(self._state, pin))

    async def hold(self, name: str, reason: str) -> None:
        held = core.hold(self._state, NameHold(name, reason, self._clock.now()))
        if held is not self._state:
            self._tell("name.held", core.normal(name), reason)
        await self._become(held)

    async def release(self, name: str) -> None:
        released = core.release(self._state, name)
        if len(released.holds) == len(self._state.holds):
            return
        self._events.emit("name.released", core.normal(name), cause="an operator or the watch")
        await self._become(released)

    async def _become(self, state: PinsState) -> None:
        """In memory at once, so that nothing between believes otherwise; on the disk on return."""
        if state is self._state:
            return
        self._state = state
        async with self._saving:
            await self._book.save(self._state)

    def _tell(self, kind: str, name: str, reason: str) -> None:
        self._events.emit(
            kind,
            name,
            cause=reason,
            next_step="nothing new is believed of this name; its last good addresses are used. "
            f"Find out what changed, then `skerry names release {name}`",
            level=Level.ERROR,
        )
