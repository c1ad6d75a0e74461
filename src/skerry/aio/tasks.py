"""Tasks that have parents.

Owns every `create_task` of the program. A `Nursery` is the parent of background work that must
outlive the request that asked for it but not the node.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

Crash = Callable[[str, BaseException], None]


class Nursery:
    """Runs background tasks and ends them together.

    A task that raises is reported to `on_crash` with its name and ends alone; `close` cancels
    the rest and waits until nothing is left.
    """

    def __init__(self, *, on_crash: Crash) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self._on_crash = on_crash
        self._closed = False

    def start(self, work: Coroutine[Any, Any, Any], *, name: str) -> asyncio.Task[Any]:
        """Starts a child. Raises RuntimeError after `close`."""
        if self._closed:
            work.close()
            raise RuntimeError(f"{name} started after its nursery closed")
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._on_crash(task.get_name(), error)

    def __len__(self) -> int:
        return len(self._tasks)

    async def idle(self) -> None:
        """Waits until the children that run now have ended."""
        if self._tasks:
            await asyncio.wait(list(self._tasks))

    async def close(self) -> None:
        """Cancels every child and waits for all of them."""
        self._closed = True
        while self._tasks:
            for task in self._tasks:
                task.cancel()
            await asyncio.wait(list(self._tasks))
