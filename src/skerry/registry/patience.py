"""How long a client waits for what is not here, and for how many such things at once.

Owns the deadline to the first byte and each client's share of the waiting. What is here is
answered without any of this: a client that asks for a thousand names nobody has must not make
the others wait behind it.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from skerry.base.address import near_of
from skerry.registry.core.errors import Code, RegistryError
from skerry.registry.ports import Repository
from skerry.registry.replies import RETRY_SOON_SECONDS, still_fetching
from skerry.wire.message import Request

WAITS_MAX = 256
"""Of one client; a host that starts fifty images at once waits for fewer."""


class Patience:
    """The waiting of all clients of the registry's door."""

    def __init__(self, *, answer_seconds: float, waits_max: int = WAITS_MAX) -> None:
        self._answer_seconds = answer_seconds
        self._waits_max = waits_max
        self._waits: Counter[str] = Counter()

    @asynccontextmanager
    async def waiting(
        self, request: Request, repository: Repository, what: str
    ) -> AsyncIterator[None]:
        """Bounds what is done inside. Raises RegistryError (503): too many, or too long."""
        near = near_of(request.client)
        if near and self._waits[near] >= self._waits_max:
            raise RegistryError(
                Code.UNAVAILABLE,
                f"{self._waits_max} requests of this client wait for upstreams already",
                next_step="try again when some of them are answered",
                headers=(("Retry-After", str(RETRY_SOON_SECONDS)),),
            )
        self._waits[near] += 1
        try:
            async with asyncio.timeout(self._answer_seconds):
                yield
        except TimeoutError:
            raise still_fetching(repository, what) from None
        finally:
            self._waits[near] -= 1
            if not self._waits[near]:
                del self._waits[near]
