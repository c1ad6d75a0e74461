"""Work on others' bytes, out of the event loop's way when there are many.

Owns the threshold. A crafted document of four megabytes takes a third of a second to read; in a
thread that costs everybody else a few milliseconds, on the loop all of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

INLINE_BYTES_MAX = 128 * 1024
"""Up to here the work is done sooner than a thread is woken and has its turn."""

T = TypeVar("T")


async def off_loop(size_bytes: int, work: Callable[[], T]) -> T:
    """The result of `work`, which reads so many bytes and touches nothing that others change."""
    return work() if size_bytes <= INLINE_BYTES_MAX else await asyncio.to_thread(work)
