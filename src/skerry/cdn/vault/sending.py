"""How one copy gets into the vault, and out of it.

Owns the order (the body, then the record that says where it belongs), the class of everything that
is sent, asked for at that very moment, and that nobody works on a body while another does. Never
decides when, and never retries.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from skerry.base.digest import Digest
from skerry.cdn.core.key import CacheKey
from skerry.cdn.ports import DataClass, Entry
from skerry.cdn.vault.bodies import Bodies
from skerry.cdn.vault.ports import Content, Copies, NotPublic, Offer, Vault
from skerry.cdn.vault.records import Record, write
from skerry.cdn.vault.sealing import META_BYTES_MAX, Draw, VaultKey, seal_header
from skerry.store.ports import BlobMissing, DigestMismatch


@dataclass(frozen=True, slots=True)
class Rule:
    """What the settings say of a key: its class, whether it may be copied, and for how long."""

    data_class: DataClass
    copied: bool
    lifetime_seconds: float | None = None

    @property
    def enters(self) -> bool:
        """Whether a copy may be in the vault: unknown class means sensitive."""
        return self.copied and self.data_class is DataClass.PUBLIC


class Sending:
    """The vault as the outbox sees it.

    Args:
        rules: what holds for a key now.
        node: whose purge log positions are.
        rotten: told a digest that this disk no longer holds as it was; must not block.
    """

    def __init__(
        self,
        *,
        vault: Vault,
        copies: Copies,
        bodies: Bodies,
        key: VaultKey,
        draw: Draw,
        rules: Callable[[CacheKey], Rule],
        node: str,
        rotten: Callable[[Digest], None],
    ) -> None:
        self._vault = vault
        self._copies = copies
        self._bodies = bodies
        self._key = key
        self._draw = draw
        self._rules = rules
        self._node = node
        self._rotten = rotten
        self._bodies_busy: dict[Digest, asyncio.Lock] = {}

    @property
    def sent_bytes(self) -> int:
        """Of sealed bodies, since start."""
        return self._bodies.sent_bytes

    def is_there(self, digest: Digest) -> bool:
        """Whether a body is confirmed."""
        content = self._copies.content(digest)
        return content is not None and content.there

    async def send(self, name: str, entry: Entry) -> bool:
        """The body, then the record; whether both are there. One that may not go is withdrawn."""
        if not self._rules(entry.key).enters:
            await self._copies.withdraw([entry])
            return False
        try:
            if entry.digest is not None:
                async with self._alone(entry.digest):
                    await self._bodies.send(entry.digest, lambda: self._class_of(entry.key))
            for digest, _ in self._copies.slices(entry).values():
                with suppress(BlobMissing):  # evicted before it was sent: the object has a hole
                    async with self._alone(digest):
                        await self._bodies.send(digest, lambda: self._class_of(entry.key))
            await self._send_record(name, entry)
        except DigestMismatch:
            for digest in filter(None, (entry.digest,)):
                self._rotten(digest)
            await self._copies.withdraw([entry])
            return False
        except (BlobMissing, NotPublic):
            await self._copies.withdraw([entry])
            return False
        return True

    async def _send_record(self, name: str, entry: Entry) -> None:
        data_class = self._class_of(entry.key)
        slices = self._copies.slices(entry)
        there = {number: each for number, each in slices.items() if self.is_there(each[0])}
        record = Record(entry, data_class, self._node, there)
        meta = write(record)
        if len(meta) > META_BYTES_MAX:
            raise BlobMissing("an entry is too long for the vault")
        sealed = seal_header(self._key, name, meta, draw=self._draw)
        await self._vault.put(Offer(name, sealed.sealed, data_class), replace=True)

    async def delete(self, record: str) -> None:
        """Deletes a record. Raises VaultUnavailable, VaultRefused."""
        await self._vault.delete(record)

    async def remove(self, content: Content, *, unless_held: bool = False) -> None:
        """Deletes a body, unless a copy needs it by now. Raises VaultUnavailable, VaultRefused."""
        async with self._alone(content.digest):
            if not (unless_held and self._copies.holds(content.digest)):
                await self._bodies.remove(content)

    def _class_of(self, key: CacheKey) -> DataClass:
        rule = self._rules(key)
        return rule.data_class if rule.copied else DataClass.SENSITIVE

    def _alone(self, digest: Digest) -> asyncio.Lock:
        """One at a time for each body; a lock nobody waits for is forgotten."""
        for other in [d for d, lock in self._bodies_busy.items() if not lock.locked()]:
            del self._bodies_busy[other]
        return self._bodies_busy.setdefault(digest, asyncio.Lock())
