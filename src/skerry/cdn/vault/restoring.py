"""The record rebuilt from the vault: on an empty node that has kept its key.

Owns what is taken back: what is sealed under this key, whole, let in by a route of today, and not
purged. Never believes a name in the vault that the key does not give.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

from skerry.base.digest import Digest
from skerry.cdn.core.outbox import Standing, State
from skerry.cdn.ports import DataClass
from skerry.cdn.vault.ports import Content, ObjectMissing
from skerry.cdn.vault.records import RECORDS, Record, content_name, read, record_name
from skerry.cdn.vault.sealing import Unsealable
from skerry.cdn.vault.sending import Rule
from skerry.cdn.vault.told import PAGE, CareParts, Step, Told, Wanted
from skerry.cdn.vault.writeback import FOR_EVER


class Restoring:
    """Restore of one vault. `heal` fetches a body to the disk."""

    def __init__(self, parts: CareParts, heal: Callable[[Digest], Awaitable[bool]]) -> None:
        self._parts = parts
        self._heal = heal

    async def restore(self, wanted: Wanted, *, bodies: bool = False) -> AsyncIterator[Told]:
        """Rebuilds the record from the vault; with `bodies` brings them to the disk too.

        What the routes do not let in, or a purge of this very node names, is left out and deleted.
        Raises VaultUnavailable, VaultRefused.
        """
        count = size = 0
        async for info in self._parts.vault.list(RECORDS):
            count, size = count + 1, size + info.size_bytes
        told = Told(Step.PLAN, total_count=count, total_bytes=size, request_count=2 * count)
        yield replace(told, read_micros=self._parts.price(size))
        if wanted.plan_only:
            return
        async for info in self._parts.vault.list(RECORDS):
            told = await self._restored(info.name, replace(told, step=Step.PROGRESS))
            yield told
        if bodies:
            async for line in self._brought(wanted, told):
                told = line
                yield line
        yield replace(told, step=Step.DONE, subject="", what="")

    async def _restored(self, name: str, told: Told) -> Told:
        """One record taken back into the index."""
        told = replace(told, done_count=told.done_count + 1, subject="", what="")
        try:
            header = await self._parts.bodies.header(name)
            record = read(header.meta)
        except (Unsealable, ObjectMissing) as error:
            lost = told.lost_count + 1
            return replace(told, step=Step.LOST, subject=name, what=error.what, lost_count=lost)
        key = record.entry.key
        told = replace(told, subject=key.text, read_bytes=told.read_bytes + len(header.sealed))
        if record_name(self._parts.key, record.entry) != name:
            return replace(told, step=Step.LOST, what="lies under another's name",
                           lost_count=told.lost_count + 1)  # fmt: skip
        rule = self._parts.rules(key)
        if record.data_class is not DataClass.PUBLIC or not rule.enters:
            return replace(told, step=Step.SKIPPED, what="no route lets it into the vault now")
        missing = await self._adopt_bodies(record)
        if missing:
            return replace(told, step=Step.LOST, what=missing, lost_count=told.lost_count + 1)
        await self._take_back(name, record, rule)
        return replace(told, healed_count=told.healed_count + 1)

    async def _adopt_bodies(self, record: Record) -> str:
        """Notes the bodies of a record; "" when the vault has all of them."""
        digests = [digest for digest, _ in record.slices.values()]
        if record.entry.digest is not None:
            digests.append(record.entry.digest)
        for digest in digests:
            known = self._parts.copies.content(digest)
            if known is not None and known.there:
                continue
            header = await self._parts.bodies.look(content_name(self._parts.key, digest))
            if header is None or not await self._parts.bodies.complete(header):
                return f"its body {digest.short} is not whole in the vault"
            content = Content(digest, header.name, header.size_bytes, header.sealed, there=True)
            await self._parts.copies.put_content(content)
        return ""

    async def _take_back(self, name: str, record: Record, rule: Rule) -> None:
        parts, now = self._parts, self._parts.clock.now()
        own = record.node == parts.node
        # Of another node's log, or of one that was lost, a position says nothing here.
        as_of = record.entry.as_of if own else parts.position()
        entry = replace(record.entry, as_of=as_of)
        known = parts.copies.standing_of(entry)
        if known is not None:
            return  # what this node knows itself is newer
        lifetime = rule.lifetime_seconds or parts.lifetime_seconds
        ends = now + lifetime if lifetime else FOR_EVER
        await parts.copies.put(name, entry, Standing(State.THERE, sent_at=now), ends)
        for number, (digest, size) in record.slices.items():
            await parts.copies.put_slice(entry, number, digest, size)
        if parts.purged(entry):
            await parts.copies.withdraw([entry])

    async def _brought(self, wanted: Wanted, told: Told) -> AsyncIterator[Told]:
        """Bodies to the disk, and their entries into the edge's index."""
        after, size = "", 0
        while page := self._parts.copies.contents(after, count_max=PAGE):
            for content in page:
                if self._parts.store.size_of(content.digest) is not None:
                    continue
                if wanted.bytes_max is not None and size + content.size_bytes > wanted.bytes_max:
                    continue
                size += content.size_bytes
                told = replace(
                    told, step=Step.PROGRESS, subject=str(content.digest), what="",
                    read_bytes=told.read_bytes + content.size_bytes,
                    total_bytes=max(told.total_bytes, told.read_bytes + content.size_bytes),
                )  # fmt: skip
                if not await self._heal(content.digest):
                    lost = told.lost_count + 1
                    told = replace(told, step=Step.LOST, what="was not fetched", lost_count=lost)
                yield told
            after = str(page[-1].digest)
        after = ""
        while entries := self._parts.copies.entries(after, count_max=PAGE):
            for entry in entries:
                digest = entry.digest
                if digest is not None and self._parts.store.size_of(digest) is not None:
                    await self._parts.keep(entry)
            after = entries[-1].key.digest
