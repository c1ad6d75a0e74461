"""Bodies in the vault: sent in parts that are not sent twice, read from any byte on, proven.

Owns the way of one body there and back. A body is there once the store has confirmed every part and
then the object that names them. Never decides what is sent, and never retries.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import replace

from skerry.base.digest import Digest, Hasher, new_hasher
from skerry.cdn.ports import DataClass
from skerry.cdn.vault.ports import (
    Content,
    Copies,
    ObjectExists,
    ObjectMissing,
    Offer,
    Vault,
)
from skerry.cdn.vault.records import content_name
from skerry.cdn.vault.sealing import (
    HEADER_BYTES,
    META_BYTES_MAX,
    PART_CHUNKS,
    Draw,
    Header,
    Sealer,
    Unsealable,
    VaultKey,
    header_length,
    open_header,
    seal_header,
)
from skerry.store.ports import BlobMissing, DigestMismatch, Store
from skerry.wire.message import BodyAborted

Classify = Callable[[], DataClass]
"""The class of what is being sent, as the settings say at this moment."""


class Bodies:
    """The bodies of one vault.

    Args:
        pace: waits until so many bytes may be sent.
        draw: random bytes.
        now: seconds since the epoch.
    """

    def __init__(
        self,
        *,
        vault: Vault,
        copies: Copies,
        store: Store,
        key: VaultKey,
        draw: Draw,
        now: Callable[[], float],
        pace: Callable[[int], Awaitable[None]],
        part_chunks: int = PART_CHUNKS,
    ) -> None:
        self._vault = vault
        self._copies = copies
        self._store = store
        self._key = key
        self._draw = draw
        self._now = now
        self._pace = pace
        self._part_chunks = part_chunks
        self.sent_bytes = self.read_bytes = 0

    async def send(self, digest: Digest, classify: Classify) -> None:
        """Has a body in the vault; returns once the store has confirmed it.

        What an earlier attempt has sent is not sent again. Raises VaultUnavailable, VaultRefused,
        NotPublic; BlobMissing when it is not here, DigestMismatch when what is here is damaged.
        """
        known = self._copies.content(digest)
        if known is not None and known.there:
            return
        if known is None:
            known = await self._adopted(digest)
            if known.there:
                return
        header = open_header(self._key, known.name, known.header)
        if header.parts:
            await self._send_parts(known, header, classify)
            data = header.sealed
        else:
            plain = await self._plain(known, 0, known.size_bytes)
            hasher = new_hasher(digest.algorithm)
            sealed = await asyncio.to_thread(self._sealed, header, 0, plain, hasher)
            _same(digest, hasher)
            data = header.sealed + sealed
        await self._commit(known, header, data, classify)

    async def _adopted(self, digest: Digest) -> Content:
        """A body's record: of what is in the vault already, or of what is about to be sent."""
        size = self._store.size_of(digest)
        name = content_name(self._key, digest)
        found = await self.look(name)
        if found is not None and _digest_of(found) == str(digest) and await self.complete(found):
            adopted = Content(digest, name, found.size_bytes, found.sealed, there=True)
            await self._copies.put_content(adopted)
            return adopted
        if size is None:
            raise BlobMissing(f"{digest} is not in the store")
        meta = json.dumps({"version": 1, "digest": str(digest)}).encode()
        header = seal_header(
            self._key, name, meta, draw=self._draw, size_bytes=size, part_chunks=self._part_chunks
        )
        content = Content(digest, name, size, header.sealed)
        await self._copies.put_content(content)
        return content

    async def _send_parts(self, content: Content, header: Header, classify: Classify) -> None:
        hasher = new_hasher(content.digest.algorithm)
        part_bytes = header.part_chunks * header.chunk_bytes
        for part in range(header.parts):
            plain = await self._plain(content, part * part_bytes, part_bytes)
            if part < content.sent_parts:
                await asyncio.to_thread(hasher.update, plain)
                continue
            first = part * header.part_chunks
            data = await asyncio.to_thread(self._sealed, header, first, plain, hasher)
            await self._put(header.part_name(part), data, classify, replaces=True)
            content = replace(content, sent_parts=part + 1)
            await self._copies.put_content(content)
        _same(content.digest, hasher)

    async def _commit(
        self, content: Content, header: Header, data: bytes, classify: Classify
    ) -> None:
        """The object that makes the body one that is there; then the store is asked for it."""
        try:
            await self._put(content.name, data, classify, replaces=False)
        except ObjectExists:
            # Of an earlier life: if it were whole it would have been adopted.
            await self._put(content.name, data, classify, replaces=True)
        if not await self.complete(header):
            raise ObjectMissing("the vault has not kept what was sent to it", next_step="")
        now = self._now()
        done = replace(content, sent_parts=header.parts, there=True, checked_at=now)
        await self._copies.put_content(done)

    async def complete(self, header: Header) -> bool:
        """Whether the store says of every object of a body that it is there, whole."""
        head = await self._vault.head(header.name)
        sealer = Sealer(header)
        inline = 0 if header.parts else _sealed_bytes(header, 0, header.chunk_count, sealer)
        if head is None or head.size_bytes != len(header.sealed) + inline:
            return False
        if not header.parts:
            return True
        folder = header.part_name(0).rpartition("/")[0]
        sizes = {info.name: info.size_bytes async for info in self._vault.list(folder)}
        for part in range(header.parts):
            first = part * header.part_chunks
            count = min(header.part_chunks, header.chunk_count - first)
            if sizes.get(header.part_name(part)) != _sealed_bytes(header, first, count, sealer):
                return False
        return True

    async def look(self, name: str) -> Header | None:
        """The header of an object, opened; None when there is none that opens under this key."""
        try:
            return await self.header(name)
        except (ObjectMissing, Unsealable):
            return None

    async def header(self, name: str) -> Header:
        """The header of an object. Raises ObjectMissing, Unsealable, and what the vault raises."""
        data = bytearray()
        stop = HEADER_BYTES
        async for chunk in self._vault.read(name, 0, HEADER_BYTES + META_BYTES_MAX):
            data += chunk
            if len(data) >= HEADER_BYTES:
                stop = header_length(bytes(data))
            if len(data) >= stop:
                break
        return open_header(self._key, name, bytes(data))

    async def read(self, header: Header, offset_bytes: int = 0) -> AsyncIterator[bytes]:
        """The plain body from an offset on. Raises Unsealable, ObjectMissing, what the vault
        raises."""
        sealer = Sealer(header)
        number, skip = divmod(offset_bytes, header.chunk_bytes)
        while number < header.chunk_count:
            stop = header.chunk_count
            if header.parts:
                stop = min(stop, (number // header.part_chunks + 1) * header.part_chunks)
            async for sealed in self._sealed_chunks(header, number, stop, sealer):
                plain = sealer.open(number, sealed)
                self.read_bytes += len(sealed)
                number += 1
                yield plain[skip:]
                skip = 0

    async def _sealed_chunks(
        self, header: Header, first: int, stop: int, sealer: Sealer
    ) -> AsyncIterator[bytes]:
        """Chunks of one object, one by one; one that ends early gives a short last one."""
        size = sealer.sealed_chunk_bytes
        if header.parts:
            name = header.part_name(first // header.part_chunks)
            start = first % header.part_chunks * size
        else:
            name, start = header.name, len(header.sealed) + first * size
        left = stop - first
        buffer = bytearray()
        async for chunk in self._vault.read(name, start, start + left * size):
            buffer += chunk
            while len(buffer) >= size and left:
                yield bytes(buffer[:size])
                del buffer[:size]
                left -= 1
        if left:
            yield bytes(buffer)

    async def prove(self, content: Content) -> bool:
        """Reads a body back and compares it with its digest. Raises what the vault raises."""
        hasher = new_hasher(content.digest.algorithm)
        try:
            header = await self.header(content.name)
            async for plain in self.read(header):
                hasher.update(plain)
        except (Unsealable, ObjectMissing):
            return False
        return hasher.hexdigest() == content.digest.hex

    async def remove(self, content: Content) -> None:
        """Deletes a body and its parts; first what makes it one that is there."""
        # On record before anything is gone: a crash must not leave a body believed to be there.
        await self._copies.put_content(replace(content, there=False, sent_parts=0))
        await self._vault.delete(content.name)
        with suppress(Unsealable):
            header = open_header(self._key, content.name, content.header)
            if header.parts:
                folder = header.part_name(0).rpartition("/")[0]
                async for info in self._vault.list(folder):
                    await self._vault.delete(info.name)
        await self._copies.forget_content(content.digest)

    async def _put(self, name: str, data: bytes, classify: Classify, *, replaces: bool) -> None:
        offer = Offer(name, data, classify())
        await self._pace(len(data))
        await self._vault.put(offer, replace=replaces)
        self.sent_bytes += len(data)

    async def _plain(self, content: Content, offset: int, size_bytes: int) -> bytes:
        size = min(size_bytes, content.size_bytes - offset)
        segment = self._store.open(content.digest, offset, size)
        try:
            return await asyncio.to_thread(_read, segment.fileno(), offset, size)
        finally:
            segment.close()

    def _sealed(self, header: Header, first: int, plain: bytes, hasher: Hasher) -> bytes:
        hasher.update(plain)
        sealer = Sealer(header)
        view = memoryview(plain)
        return b"".join(
            sealer.seal(first + index, bytes(view[at : at + header.chunk_bytes]), self._draw)
            for index, at in enumerate(range(0, len(plain), header.chunk_bytes))
        )


def _sealed_bytes(header: Header, first: int, count: int, sealer: Sealer) -> int:
    plain = min(count * header.chunk_bytes, header.size_bytes - first * header.chunk_bytes)
    return plain + count * (sealer.sealed_chunk_bytes - header.chunk_bytes)


def _read(descriptor: int, offset: int, size: int) -> bytes:
    parts: list[bytes] = []
    while size:
        part = os.pread(descriptor, size, offset)
        if not part:
            raise BodyAborted("a stored body is shorter than it was")
        parts.append(part)
        offset, size = offset + len(part), size - len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _digest_of(header: Header) -> str:
    try:
        return str(json.loads(header.meta)["digest"])
    except (ValueError, KeyError, TypeError):
        return ""


def _same(digest: Digest, hasher: Hasher) -> None:
    if hasher.hexdigest() != digest.hex:
        raise DigestMismatch(f"{digest} is damaged on this disk", next_step="run skerry scrub")
