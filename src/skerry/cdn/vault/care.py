"""Both tiers compared, and each healed from the other.

Owns what is read for that, in which order and up to which number of bytes; what it costs is known
before the first byte is read.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

from skerry.base.digest import Digest
from skerry.base.errors import SkerryError
from skerry.cdn.core.key import CacheKey
from skerry.cdn.core.outbox import State
from skerry.cdn.ports import Entry
from skerry.cdn.vault.ports import Content
from skerry.cdn.vault.records import read, record_name
from skerry.cdn.vault.sealing import Unsealable
from skerry.cdn.vault.tier import TIER
from skerry.cdn.vault.told import PAGE, REQUEST_BYTES, CareParts, Step, Told, Wanted
from skerry.store.ports import BlobMissing, StoreError
from skerry.telemetry.events import Level
from skerry.upstream.fills import FillKey

UNSENT_MAX = 1000
"""So many that are not in the vault yet are queued by one look over the index."""


class Care:
    """Verify, repair and restore of one vault."""

    def __init__(self, parts: CareParts) -> None:
        self._parts = parts

    async def verify(self, wanted: Wanted, *, heal: bool = False) -> AsyncIterator[Told]:
        """Compares both tiers, body by body; with `heal` each is mended from the other.

        Raises VaultUnavailable, VaultRefused.
        """
        chosen = await self._chosen(wanted)
        told = self._plan(chosen)
        yield told
        if wanted.plan_only:
            return
        for content in chosen:
            async for line in self._one(content, told, heal=heal):
                told = line
                yield line
        async for line in self._records(wanted, told, heal=heal):
            told = line
            yield line
        yield replace(told, step=Step.DONE, subject="", what="")

    async def heal(self, digest: Digest) -> bool:
        """Fetches a body that this disk has lost, if the vault has it whole."""
        place = self._parts.tier.place(digest)
        if place is None:
            return False
        try:
            await self._parts.fills.get(FillKey(digest, TIER), (place,)).done()
        except SkerryError as error:
            self._parts.events.emit(
                "vault.not_healed",
                str(digest),
                cause=error.what,
                next_step=error.next_step,
                level=Level.WARNING,
            )
            return False
        return True

    def holds(self, digest: Digest) -> bool:
        """Whether a body of the edge's is on the disk."""
        here = self._parts.store.size_of(digest) is not None
        return here and self._parts.variants.holds(digest)

    async def prove_next(self, before: float) -> int | None:
        """Proves the copy that was proven longest ago, if before `before`; its length, or None."""
        stale = self._parts.copies.unproven(before, count_max=1)
        if not stale:
            return None
        [content] = stale
        told = Told(Step.PROGRESS)
        async for _ in self._one(content, told, heal=True, disk=False):
            pass
        return content.size_bytes

    async def look_over(self) -> int:
        """Wants what is stored here and not in the vault, and withdraws what may not be there."""
        parts = self._parts
        unsent = await asyncio.to_thread(self._unsent)
        for key in unsent:
            # Listed without its names: a purge must find the copy by them.
            for entry in parts.variants.find(key):
                parts.writeback.want(entry)
        after = ""
        while page := parts.copies.entries(after, count_max=PAGE):
            wrong = [e for e in page if not parts.rules(e.key).enters or parts.purged(e)]
            if wrong:
                await parts.copies.withdraw(wrong)
            after = page[-1].key.digest
            await asyncio.sleep(0)  # others have their turn between two pages
        return len(unsent)

    def _unsent(self) -> list[CacheKey]:
        found: dict[CacheKey, None] = {}
        for entry in self._parts.variants.all():
            if self._parts.writeback.safe(entry) is False:
                found[entry.key] = None
                if len(found) == UNSENT_MAX:
                    break
        return list(found)

    async def _chosen(self, wanted: Wanted) -> list[Content]:
        """The bodies to look at, drawn when not all of them are meant."""
        chosen: list[Content] = []
        after, size = "", 0
        while page := self._parts.copies.contents(after, count_max=PAGE):
            for content in page:
                if wanted.share < 1.0 and self._parts.chance.random() >= wanted.share:
                    continue
                if wanted.bytes_max is not None and size + content.size_bytes > wanted.bytes_max:
                    continue
                size += content.size_bytes
                chosen.append(content)
            after = str(page[-1].digest)
            await asyncio.sleep(0)
        return chosen

    def _plan(self, chosen: Sequence[Content]) -> Told:
        size = sum(content.size_bytes for content in chosen)
        requests = sum(2 + content.size_bytes // REQUEST_BYTES for content in chosen)
        return Told(
            Step.PLAN,
            total_count=len(chosen),
            total_bytes=size,
            request_count=requests,
            read_micros=self._parts.price(size),
        )

    async def _one(
        self, content: Content, told: Told, *, heal: bool, disk: bool = True
    ) -> AsyncIterator[Told]:
        """One body: in the vault, then on the disk."""
        parts = self._parts
        subject = str(content.digest)
        sound = await parts.bodies.prove(content)
        told = replace(
            told,
            step=Step.PROGRESS,
            subject=subject,
            what="",
            done_count=told.done_count + 1,
            read_bytes=told.read_bytes + content.size_bytes,
        )
        here = await self._disk_is_sound(content.digest) if disk or not sound else None
        if sound:
            await parts.copies.put_content(replace(content, checked_at=parts.clock.now()))
        if here is False:
            told = replace(told, step=Step.DAMAGED_DISK, damaged_count=told.damaged_count + 1)
            yield told
        if not sound:
            told = replace(told, step=Step.DAMAGED_VAULT, damaged_count=told.damaged_count + 1)
            yield told
        if sound and here is not False:
            yield told
        elif heal:
            yield await self._healed(content, told, sound=sound, here=here)

    async def _disk_is_sound(self, digest: Digest) -> bool | None:
        """None when it is not on the disk; what is bad has gone to quarantine."""
        try:
            return await self._parts.check(digest)
        except (BlobMissing, StoreError):
            return None

    async def _healed(
        self, content: Content, told: Told, *, sound: bool, here: bool | None
    ) -> Told:
        """Mends the tier that is damaged from the one that is not."""
        parts = self._parts
        if sound:
            well = self.holds(content.digest) or await self.heal(content.digest)
            what = "the disk from the vault"
        elif here:
            parts.writeback.damaged(content)
            await parts.writeback.step()
            now = parts.copies.content(content.digest)
            well = now is not None and now.there and now.header != content.header
            what = "the vault from the disk"
        else:
            parts.writeback.damaged(content)
            await parts.writeback.step()
            well, what = False, "neither tier has it whole: it is fetched from its origin if asked"
        if well:
            return replace(told, step=Step.HEALED, what=what, healed_count=told.healed_count + 1)
        return replace(told, step=Step.LOST, what=what, lost_count=told.lost_count + 1)

    async def _records(self, wanted: Wanted, told: Told, *, heal: bool) -> AsyncIterator[Told]:
        """Every record opened: what says where the bodies belong."""
        after = ""
        while page := self._parts.copies.entries(after, count_max=PAGE):
            for entry in page:
                if wanted.share < 1.0 and self._parts.chance.random() >= wanted.share:
                    continue
                if await self._record_is_sound(entry):
                    continue
                told = replace(
                    told, step=Step.DAMAGED_VAULT, subject=entry.key.text, what="its record",
                    damaged_count=told.damaged_count + 1,
                )  # fmt: skip
                yield told
                if heal:
                    await self._parts.copies.send_record_again(entry, self._parts.clock.now())
                    await self._parts.writeback.step()
                    well = await self._record_is_sound(entry)
                    step = Step.HEALED if well else Step.LOST
                    told = replace(
                        told, step=step, healed_count=told.healed_count + well,
                        lost_count=told.lost_count + (not well),
                    )  # fmt: skip
                    yield told
            after = page[-1].key.digest

    async def _record_is_sound(self, entry: Entry) -> bool:
        """Whether the vault's record is of this entry; one that is to be sent counts as sound."""
        found = self._parts.copies.standing_of(entry)
        if found is None or found[0].state is not State.THERE:
            return True
        header = await self._parts.bodies.look(record_name(self._parts.key, entry))
        try:
            return header is not None and read(header.meta).entry.digest == entry.digest
        except Unsealable:
            return False
