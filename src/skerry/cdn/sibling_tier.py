"""The siblings as a tier: what one of them holds is taken before anybody goes out.

Owns whom to ask (all that can be reached, at once), how long, and the body's way. Never stores and
never judges: `nearer` does. A sibling that does not answer is not asked again before its link is
whole.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from skerry.aio.tasks import Nursery
from skerry.base.digest import Digest, InvalidDigest
from skerry.cdn.core.key import CacheKey
from skerry.cdn.core.letters import Found, Wanted
from skerry.cdn.ports import Copy
from skerry.cdn.sibling_keys import SiblingKeys
from skerry.cdn.sibling_link import SiblingLink
from skerry.upstream.ports import Absent, Opened, TransportError, Trouble
from skerry.wire.message import Headers

FIELDS_BYTES_MAX = 64 * 1024
_NOT_TOLD = ("Authorization", "Cookie", "Proxy-Authorization", "Range", "If-Range")
"""Nobody's secret leaves the node, not even to a sibling; the whole is asked for."""


@dataclass(frozen=True, slots=True)
class SiblingTierStatistics:
    """A snapshot; counts are since start."""

    asked_count: int
    found_count: int


class SiblingTier:
    """`cdn.ports.Tier` of the siblings."""

    def __init__(
        self, links: Sequence[SiblingLink], *, keys: SiblingKeys, nursery: Nursery
    ) -> None:
        self._links = tuple(links)
        self._keys = keys
        self._nursery = nursery
        self._asked = self._found = 0

    async def find(self, key: CacheKey, headers: Headers) -> Copy | None:
        """See `Tier`. The first that has it gives it; the links bound the waiting."""
        fields = tuple(headers.without(*_NOT_TOLD))
        if sum(len(name) + len(value) for name, value in fields) > FIELDS_BYTES_MAX:
            return None
        links = [link for link in self._links if link.current]
        if not links:
            return None
        self._asked += 1
        tasks = [
            self._nursery.start(self._ask(link, key, fields), name="sibling.ask") for link in links
        ]
        try:
            for coming in asyncio.as_completed(tasks):
                copy: Copy | None = await coming
                if copy is not None:
                    self._found += 1
                    return copy
            return None
        finally:
            for task in tasks:
                task.cancel()

    def statistics(self) -> SiblingTierStatistics:
        return SiblingTierStatistics(self._asked, self._found)

    async def _ask(
        self, link: SiblingLink, key: CacheKey, fields: tuple[tuple[str, str], ...]
    ) -> Copy | None:
        wanted = Wanted(self._keys.of(link.name), link.nonce(), key, fields)
        found = await link.find(wanted)
        return None if found is None else self._copy(link, key, found)

    def _copy(self, link: SiblingLink, key: CacheKey, found: Found) -> Copy | None:
        place: SiblingPlace | None = None
        digest: Digest | None = None
        if found.digest:
            try:
                digest = Digest.parse(found.digest)
            except InvalidDigest:
                return None
            place = SiblingPlace(link, key, digest, to=self._keys.of(link.name))
        headers = Headers(found.headers)
        return Copy("sibling", found.status, headers, found.size_bytes, digest, place)


class SiblingPlace:
    """`upstream.ports.Place`: one body at one sibling."""

    def __init__(self, link: SiblingLink, key: CacheKey, digest: Digest, *, to: str) -> None:
        self._link = link
        self._key = key
        self._digest = digest
        self._to = to

    @property
    def source(self) -> str:
        return self._link.name

    async def open(self, offset_bytes: int) -> Opened:
        """See `Place`."""
        name = str(self._digest)
        wanted = Wanted(self._to, self._link.nonce(), self._key, (), name, offset_bytes)
        exchange = await self._link.body(wanted)
        if exchange.status in (200, 206) and (exchange.status == 206) == (offset_bytes > 0):
            length = exchange.headers.get("Content-Length") or ""
            size = offset_bytes + int(length) if length.isascii() and length.isdigit() else None
            return Opened(offset_bytes, size, exchange)
        await exchange.close()
        if exchange.status == 404:
            raise Absent(f"{self._link.name} does not hold it any more")
        raise TransportError(Trouble.PROTOCOL, f"answered {exchange.status}")

    def wrong(self) -> None:
        """What it gave is not what it said: it is not asked before its link was looked at."""
        self._link.lost("gave a body that is not what it said")
