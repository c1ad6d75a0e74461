"""A vault whose calls are counted: each may cost money.

Owns the count. Changes nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from skerry.cdn.vault.ports import ObjectInfo, Offer, Vault


class CountedVault:
    """`cdn.vault.ports.Vault` over another; `count` is called before each call."""

    def __init__(self, vault: Vault, count: Callable[[], None]) -> None:
        self._vault = vault
        self._count = count

    async def put(self, offer: Offer, *, replace: bool = False) -> ObjectInfo:
        """See `Vault`."""
        self._count()
        return await self._vault.put(offer, replace=replace)

    async def head(self, name: str) -> ObjectInfo | None:
        """See `Vault`."""
        self._count()
        return await self._vault.head(name)

    def read(self, name: str, start: int, stop: int) -> AsyncIterator[bytes]:
        """See `Vault`."""
        self._count()
        return self._vault.read(name, start, stop)

    def list(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        """See `Vault`. Counted once, whatever the number of its pages."""
        self._count()
        return self._vault.list(prefix)

    async def delete(self, name: str) -> None:
        """See `Vault`."""
        self._count()
        await self._vault.delete(name)

    async def close(self) -> None:
        """See `Vault`."""
        await self._vault.close()
