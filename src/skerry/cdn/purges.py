"""Purging: in force at once, on record, with a receipt."""

from __future__ import annotations

from skerry.cdn.core.purge import Mode, Target
from skerry.cdn.core.receipt import Receipt


class Purges:
    """Takes purges."""

    async def purge(self, target: Target, mode: Mode) -> Receipt:
        """In force, durable and on record when this returns. Raises EdgeUnusable."""
        raise NotImplementedError
