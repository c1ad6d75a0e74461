"""An event loop of its own, for code that is otherwise a plain sequence of steps.

Owns one thread and its loop. Never shares either with a node: a drill and a test drive real
processes, and only the link between them lives here.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Coroutine
from typing import TypeVar

T = TypeVar("T")

ANSWER_SECONDS_MAX = 30.0
"""No step on the loop takes longer; a hang becomes an error with a traceback."""


class LoopThread:
    """A running event loop in a thread; a context manager."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> LoopThread:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(ANSWER_SECONDS_MAX)
        self._loop.close()

    def _serve(self) -> None:
        # A process's signal goes to any thread that takes it: one that the main thread holds back,
        # as it does while a child is born, would come all the same.
        signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT))
        self._loop.run_forever()

    def run(self, step: Coroutine[object, object, T]) -> T:
        """Runs one step there and waits for it. Raises what it raises, or TimeoutError."""
        return asyncio.run_coroutine_threadsafe(step, self._loop).result(ANSWER_SECONDS_MAX)
