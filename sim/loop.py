"""An event loop without a clock, a socket or a thread.

Owns virtual time: when nothing is ready it jumps to the next timer. Callbacks that are ready at
the same moment run in an order the seed decides, because the order a real loop happens to have
hides races. Never waits; a world in which nothing can happen any more raises `Stuck`.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from skerry.base.clock import Clock

TURNS_MAX = 500_000
"""A world that takes more turns than this is going in circles."""
EPOCH_SECONDS = 1_700_000_000.0


class Stuck(Exception):
    """Somebody waits for what will never happen, or for what happens for ever."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """Runs one world. Threads are pretended: their work is done at once, its result comes later."""

    def __init__(self, chance: Random) -> None:
        self._chance = chance
        self._virtual_seconds = 0.0
        self._turns = 0
        self._tasks_made = 0
        super().__init__(_NoSockets(self._jump))
        self.set_task_factory(_numbered)

    def next_number(self) -> int:
        """How many tasks were made before this one."""
        self._tasks_made += 1
        return self._tasks_made

    def time(self) -> float:
        return self._virtual_seconds

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> Any:
        future = self.create_future()
        try:
            result = func(*args)
        except Exception as error:
            self.call_later(self._chance.random() / 1000, _set, future, None, error)
        else:
            self.call_later(self._chance.random() / 1000, _set, future, result, None)
        return future

    def _jump(self, timeout: float | None) -> None:
        self._turns += 1
        if timeout is None:
            raise Stuck("nothing can happen any more, but somebody still waits")
        if self._turns > TURNS_MAX:
            raise Stuck(f"still busy after {TURNS_MAX} turns")
        self._virtual_seconds += timeout
        ready: Any = self._ready  # type: ignore[attr-defined]  # asyncio keeps it private
        if len(ready) > 1:
            # Sets of futures wake in the order of their addresses, which no seed repeats.
            order = sorted(ready, key=_number)
            self._chance.shuffle(order)
            ready.clear()
            ready.extend(order)

    def _make_self_pipe(self) -> None:
        """No other thread, nothing to wake for."""

    def _write_to_self(self) -> None:
        """See `_make_self_pipe`."""

    def _close_self_pipe(self) -> None:
        """See `_make_self_pipe`."""


class VirtualClock(Clock):
    """The node's clock in a world."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop

    def now(self) -> float:
        return EPOCH_SECONDS + self._loop.time()

    def monotonic(self) -> float:
        return self._loop.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class _NoSockets(selectors.BaseSelector):
    """Finds nothing ready, after having let time pass."""

    def __init__(self, jump: Callable[[float | None], None]) -> None:
        self._jump = jump

    def select(self, timeout: float | None = None) -> list[Any]:
        self._jump(timeout)
        return []

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        raise NotImplementedError("a simulated world has no sockets")

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        raise NotImplementedError("a simulated world has no sockets")

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return {}


class _NumberedTask(asyncio.Task[Any]):
    """A task that can be told from the others in the same way in every run."""

    def __init__(self, coro: Any, *, loop: Any, name: str | None = None, context: Any = None):
        self.number = loop.next_number()
        super().__init__(coro, loop=loop, name=name, context=context)


def _numbered(loop: Any, coro: Any, **rest: Any) -> asyncio.Task[Any]:
    return _NumberedTask(coro, loop=loop, **rest)


def _number(handle: Any) -> int:
    task = getattr(handle._callback, "__self__", None)
    return task.number if isinstance(task, _NumberedTask) else 0


def _set(future: asyncio.Future[Any], result: Any, error: Exception | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
