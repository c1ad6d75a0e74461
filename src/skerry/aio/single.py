"""Single flight: many ask, one works, all get the answer or the error.

Owns the sharing only. The asker's leaving never stops the work (known failures T14, T35).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

from skerry.aio.tasks import Nursery

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class SingleFlight(Generic[K, V]):
    """At most one piece of work in flight per key."""

    def __init__(self, nursery: Nursery, *, name: str) -> None:
        self._nursery = nursery
        self._name = name
        self._flying: dict[K, asyncio.Future[V]] = {}

    def __contains__(self, key: K) -> bool:
        return key in self._flying

    def __len__(self) -> int:
        return len(self._flying)

    def start(self, key: K, work: Callable[[], Coroutine[Any, Any, V]]) -> asyncio.Future[V]:
        """Joins the flight of this key or starts it; the future is shared, so do not cancel it."""
        flight = self._flying.get(key)
        if flight is None:
            flight = asyncio.get_running_loop().create_future()
            flight.add_done_callback(_retrieve)
            self._flying[key] = flight
            self._nursery.start(self._fly(key, work, flight), name=self._name)
        return flight

    async def run(self, key: K, work: Callable[[], Coroutine[Any, Any, V]]) -> V:
        """The shared result; raises the shared error. Cancelling a caller leaves the work going."""
        return await asyncio.shield(self.start(key, work))

    async def _fly(
        self, key: K, work: Callable[[], Coroutine[Any, Any, V]], flight: asyncio.Future[V]
    ) -> None:
        try:
            result = await work()
        except asyncio.CancelledError:
            flight.cancel()
            raise
        except Exception as error:
            flight.set_exception(error)
        else:
            flight.set_result(result)
        finally:
            del self._flying[key]


def _retrieve(flight: asyncio.Future[Any]) -> None:
    """Marks an error as seen even when every asker has left."""
    if not flight.cancelled():
        flight.exception()
