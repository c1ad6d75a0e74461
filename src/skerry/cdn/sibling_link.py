"""The link to one sibling: what it knows of purges, and whether it can be asked.

Owns one sibling's state and the exchange of letters with it. Never decides what a purge means, and
keeps no clock of its own: `siblings` says when to write. docs/internals/purge.md.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Protocol

from skerry.base.clock import Clock
from skerry.base.errors import BadInput
from skerry.cdn.core.letters import LETTER_BYTES_MAX, NONCE_HEX, Found, Purged, Wanted, read, write
from skerry.cdn.core.purge_log import Missed, covers
from skerry.cdn.ports import EdgeUnusable
from skerry.cdn.purges import Purges
from skerry.cdn.sibling_keys import NotASibling, SiblingKeys
from skerry.telemetry.events import Events, Level
from skerry.upstream.ports import Exchange, TransportError, Trouble
from skerry.wire.message import Headers

BASE = "/.well-known/skerry/sibling"
PURGES_PATH, OBJECT_PATH, BODY_PATH = f"{BASE}/purges", f"{BASE}/object", f"{BASE}/body"
ROUNDS_MAX = 4
"""Letters of one exchange: one to hear, one to tell, and what came in between."""


class Line(Protocol):
    """The way to one sibling's door."""

    async def post(self, path: str, headers: Headers, body: bytes) -> Exchange:
        """The head of the answer, within a second. Raises TransportError."""


@dataclass(frozen=True, slots=True)
class LinkStatistics:
    """A snapshot. `behind_count` are the purges in force here that it has not confirmed; `trouble`
    is why it cannot be reached, "" while it can."""

    name: str
    current: bool
    trouble: str
    behind_count: int
    exchange_count: int
    failed_count: int


@dataclass(eq=False)
class _Hope:
    """Somebody who waits until the sibling has confirmed a purge."""

    sequence: int
    future: asyncio.Future[bool] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class SiblingLink:
    """One sibling. `current`: the last exchange came through, and neither knows more."""

    def __init__(
        self,
        name: str,
        *,
        line: Line,
        keys: SiblingKeys,
        purges: Purges,
        clock: Clock,
        chance: Random,
        events: Events,
    ) -> None:
        self.name = name
        self.current = False
        self.trouble = ""
        self.heard_at = float("-inf")
        self.wake = asyncio.Event()
        self._line = line
        self._keys = keys
        self._purges = purges
        self._clock = clock
        self._chance = chance
        self._events = events
        self._node = ""
        self._theirs: dict[str, int] | None = None
        self._hopes: list[_Hope] = []
        self._exchanges = self._failed = 0
        self._told = False

    async def exchange(self) -> bool:
        """Tells what the sibling has missed and learns what we have; whether that was news.

        What fails is in `trouble` and an event, not raised.
        """
        news = False
        try:
            for _ in range(ROUNDS_MAX):
                news |= await self._round()
                if self._theirs is not None and covers(self._theirs, self._purges.durable):
                    break
        except (TransportError, NotASibling, BadInput) as error:
            self.lost(error.what)
            return news
        self._exchanges += 1
        return news

    async def receive(self, letter: Purged) -> tuple[Purged, bool]:
        """The answer to a sibling's letter, after what it says is in force here and durable; and
        whether any of it was news."""
        news = False
        try:
            news = await self._purges.learn(letter.missed)
        except EdgeUnusable:
            news = True  # in force; that it is not durable shows in the vector
        self._heard(letter.node, letter.vector)
        return self._letter(letter.nonce, self._purges.missed(letter.vector)), news

    async def find(self, wanted: Wanted) -> Found | None:
        """What the sibling holds of a key; None for nothing, or nothing that may be taken."""
        if not self.current:
            return None
        ours = self._purges.vector
        try:
            body = await self._ask(OBJECT_PATH, write(wanted))
            found = read(Found, body)
            self._proper(found.to, found.nonce, wanted.nonce)
        except (TransportError, NotASibling, BadInput) as error:
            self.lost(error.what)
            return None
        if not covers(found.vector, ours):
            self.wake.set()  # it may be of before a purge that we know of
            return None
        return found if found.status else None

    async def body(self, wanted: Wanted) -> Exchange:
        """The body of what was found. Raises TransportError."""
        sent = write(wanted)
        return await self._line.post(BODY_PATH, self._keys.sealed(BODY_PATH, sent), sent)

    def nonce(self) -> str:
        """For a question of its own."""
        return self._chance.randbytes(NONCE_HEX // 2).hex()

    def lost(self, why: str) -> None:
        """The sibling cannot be asked now; nobody waits for it."""
        self._failed += 1
        self.trouble = why
        if self.current or not self._told:
            self._events.emit(
                "sibling.lost",
                self.name,
                cause=why,
                next_step="look at the network and at the sibling; purges reach it when it is back",
                level=Level.WARNING,
            )
        self._told, self.current = True, False
        for hope in self._hopes:
            if not hope.future.done():
                hope.future.set_result(False)
        self._hopes.clear()

    def confirmation(self, sequence: int) -> asyncio.Future[bool]:
        """Set once the sibling has confirmed our purge of that number, or is lost."""
        hope = _Hope(sequence)
        if self.confirmed(sequence) or not self.current:
            hope.future.set_result(self.confirmed(sequence))
        else:
            self._hopes.append(hope)
        return hope.future

    def confirmed(self, sequence: int) -> bool:
        """Whether our purge of that number is in force and durable there."""
        return self._theirs is not None and self._theirs.get(self._purges.node, 0) >= sequence

    def statistics(self) -> LinkStatistics:
        theirs, ours = self._theirs or {}, self._purges.durable
        behind = sum(max(0, last - theirs.get(node, 0)) for node, last in ours.items())
        return LinkStatistics(
            self.name, self.current, self.trouble, behind, self._exchanges, self._failed
        )

    async def _round(self) -> bool:
        missed = Missed() if self._theirs is None else self._purges.missed(self._theirs)
        asked = self._letter(self.nonce(), missed)
        answer = read(Purged, await self._ask(PURGES_PATH, write(asked)))
        self._proper(answer.to, answer.nonce, asked.nonce)
        try:
            news = await self._purges.learn(answer.missed)
        except EdgeUnusable:
            news = True
        self._heard(answer.node, answer.vector)
        return news

    def _letter(self, nonce: str, missed: Missed) -> Purged:
        return Purged(
            to=self._keys.of(self.name),
            nonce=nonce,
            node=self._purges.node,
            vector=self._purges.durable,
            adopt=dict(missed.adopt),
            records=missed.records,
        )

    def _heard(self, node: str, theirs: Mapping[str, int]) -> None:
        """What the sibling knows. Numbers only grow, as letters may overtake each other, until
        its log is another one."""
        known = self._theirs if node == self._node and self._theirs is not None else {}
        self._node = node
        self._theirs = {
            node: max(theirs.get(node, 0), known.get(node, 0)) for node in {*theirs, *known}
        }
        self.heard_at = self._clock.monotonic()
        if covers(self._purges.vector, theirs):
            if not self.current and self._told:
                self._events.emit("sibling.back", self.name, cause="it answers again")
            self.current, self.trouble, self._told = True, "", False
        for hope in self._hopes:
            if self.confirmed(hope.sequence) and not hope.future.done():
                hope.future.set_result(True)
        self._hopes = [hope for hope in self._hopes if not hope.future.done()]

    def _proper(self, to: str, nonce: str, asked: str) -> None:
        if to != self._keys.me or nonce != asked:
            raise self._keys.no_sibling(f"{self.name} answered somebody else")

    async def _ask(self, path: str, body: bytes) -> bytes:
        """The proven body of the answer. Raises TransportError, NotASibling."""
        exchange = await self._line.post(path, self._keys.sealed(path, body), body)
        try:
            if exchange.status == 403:
                raise NotASibling(
                    f"{self.name} does not know this node's key: give it what `skerry receipt key` "
                    "prints here, as public_key_file"
                )
            if exchange.status != 200:
                raise TransportError(Trouble.PROTOCOL, f"answered {exchange.status}")
            answer = bytearray()
            async for chunk in exchange.chunks():
                answer += chunk
                if len(answer) > LETTER_BYTES_MAX:
                    raise TransportError(Trouble.PROTOCOL, "answers without end")
        finally:
            await exchange.close()
        self._keys.prove(self.name, exchange.headers, path, bytes(answer), answer=True)
        return bytes(answer)
