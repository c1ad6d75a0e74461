"""Edges that are siblings, joined by lines that can be cut.

A line's promise: it may be cut (every letter fails), lose the answer of a letter that arrived,
deliver a letter twice, answer with the first answer again, and be changed on its
way by `meddle`; it never invents a signature.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from skerry.adapters.sqlite_edge_file import EdgeFile
from skerry.app.trust.node_key import NodeKey, check_signature, read_public
from skerry.base.clock import ManualClock
from skerry.cdn.sibling_assembly import SiblingParts
from skerry.cdn.sibling_door import SiblingDoor
from skerry.cdn.sibling_keys import SiblingKeys
from skerry.upstream.ports import Exchange, TransportError, Trouble
from skerry.wire.message import Headers, Request
from tests.cdn.world import FakeExchange, World, body_of


@dataclass
class FakeLine:
    """The way to one sibling."""

    door: Callable[[], SiblingDoor | None]
    cut: bool = False
    answers_lost: bool = False
    twice: bool = False
    replays: bool = False
    first: FakeExchange | None = None
    meddle: Callable[[str, bytes], bytes] = lambda path, body: body
    sent: list[tuple[str, Headers, bytes]] = field(default_factory=list)

    async def post(self, path: str, headers: Headers, body: bytes) -> Exchange:
        self.sent.append((path, headers, body))
        door = self.door()
        if self.cut or door is None:
            raise TransportError(Trouble.CONNECT_TIMEOUT, "did not answer")
        await asyncio.sleep(0)
        answer = await door(request_of(path, headers, body))
        if self.twice:
            answer = await door(request_of(path, headers, body))
        if self.answers_lost:
            raise TransportError(Trouble.FIRST_BYTE_TIMEOUT, "did not answer")
        given = self.meddle(path, await body_of(answer))
        fields = answer.headers.with_fields(("Content-Length", str(len(given))))
        self.first = self.first or FakeExchange(answer.status, fields, given)
        return self.first if self.replays else FakeExchange(answer.status, fields, given)

    def letters(self, word: str) -> int:
        """How many were sent to a path that ends so."""
        return sum(path.endswith(word) for path, _, _ in self.sent)


def request_of(path: str, headers: Headers, body: bytes) -> Request:
    async def chunks():  # type: ignore[no-untyped-def]
        yield body

    return Request("POST", path, headers, raw_path=path, body=chunks())


class Site:
    """Nodes by name, each the sibling of all others, on one clock."""

    def __init__(
        self, *names: str, refused: Callable[[], None] = lambda: None, **options: object
    ) -> None:
        self.clock = ManualClock()
        self.refused = refused
        self.keys = {name: NodeKey(Ed25519PrivateKey.generate()) for name in names}
        self.worlds: dict[str, World] = {}
        self.lines: dict[tuple[str, str], FakeLine] = {}
        for name in names:
            self.make(name, **options)

    def make(self, name: str, *, file: EdgeFile | None = None, **options: object) -> World:
        """A node, or its next life."""
        others = [other for other in self.keys if other != name]
        for other in others:
            self.lines.setdefault((name, other), FakeLine(lambda o=other: self.door(o)))  # type: ignore[misc]
        parts = SiblingParts(
            self.keys_of(name), {other: self.lines[name, other] for other in others}
        )
        made = World(clock=self.clock, siblings=parts, name=name, file=file, **options)  # type: ignore[arg-type]
        self.worlds[name] = made
        return made

    def keys_of(self, name: str) -> SiblingKeys:
        public = {other: read_public(key.public_pem.encode()) for other, key in self.keys.items()}
        return SiblingKeys(
            own=public.pop(name),
            sign=self.keys[name].sign,
            check=check_signature,
            siblings=public,
            refused=self.refused,
        )

    def door(self, name: str) -> SiblingDoor | None:
        world = self.worlds.get(name)
        return world.rooms.siblings.door if world is not None else None

    async def start(self, *names: str) -> None:
        for name in names or tuple(self.worlds):
            await self.worlds[name].rooms.siblings.siblings.start()
        await self.quiet()

    def cut(self, one: str, other: str, *, cut: bool = True) -> None:
        for pair in ((one, other), (other, one)):
            self.lines[pair].cut = cut

    async def quiet(self) -> None:
        """Lets everybody say what they have to say."""
        for _ in range(300):
            await asyncio.sleep(0)

    async def later(self, seconds: float) -> None:
        """Time goes by in steps of a tick, and everybody acts."""
        for _ in range(round(seconds / 0.5)):
            self.clock.advance(0.5)
            await self.quiet()

    async def close(self) -> None:
        for world in self.worlds.values():
            await world.close()
