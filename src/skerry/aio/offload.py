"""Work on others' bytes, out of the event loop's way when there are many.

Owns the threshold. A crafted document of four megabytes takes a third of a second to read; in a
thread that costs everybody else a few milliseconds, on the loop all of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

INLINE_BYTES_MAX = 128 * 1024
"""Up to here the work is done sooner than a thread is woken and has its turn."""

T = TypeVar("T")
P = ParamSpec("P")


class Aside:
    """Readings that may take long, in a thread and one after the other.

    The threads are everybody's, and few: bytes that are served need them too. So whoever asks for
    ten reports at once waits for them, and nobody else does. One that its asker has left goes on
    to its end, and keeps its place until then.
    """

    def __init__(self) -> None:
        self._turn = asyncio.Semaphore(1)

    async def read(self, work: Callable[P, T], *args: P.args, **named: P.kwargs) -> T:
        """The result of `work`."""
        await self._turn.acquire()
        try:
            running = asyncio.ensure_future(asyncio.to_thread(work, *args, **named))
        except BaseException:
            self._turn.release()
            raise
        running.add_done_callback(self._done)
        return await asyncio.shield(running)

    def _done(self, running: asyncio.Future[T]) -> None:
        self._turn.release()
        if not running.cancelled():
            running.exception()  # told to whoever asked, if they are still there


async def off_loop(size_bytes: int, work: Callable[[], T]) -> T:
    """The result of `work`, which reads so many bytes and touches nothing that others change."""
    return work() if size_bytes <= INLINE_BYTES_MAX else await asyncio.to_thread(work)
