"""Where siblings reach this node: on the registry's door, below one path.

Owns the check of who writes, the bounds of what is read, and the answers' signatures. Everything
else is behind `siblings` and `sibling_giver`. Whoever is no listed sibling gets 403 and nothing
more, before a body is read where that can be told from the head.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass

from skerry.base.errors import BadInput
from skerry.cdn.core.letters import (
    LETTER_BYTES_MAX,
    QUESTION_BYTES_MAX,
    Purged,
    Wanted,
    read,
    write,
)
from skerry.cdn.sibling_giver import SiblingGiver
from skerry.cdn.sibling_keys import NotASibling, SiblingKeys
from skerry.cdn.sibling_link import BODY_PATH, OBJECT_PATH, PURGES_PATH
from skerry.cdn.siblings import Siblings
from skerry.telemetry.metrics import Registry
from skerry.wire.message import Answer, Headers, Request

_JSON = ("Content-Type", "application/json")
_NO_STORE = ("Cache-Control", "no-store")
KINDS = ("purges", "object", "body")
LETTERS_AT_ONCE_MAX = 4
"""Purge letters may be long: so many are in memory at once."""


@dataclass(frozen=True, slots=True)
class SiblingDoorStatistics:
    """A snapshot: answers by path's last word, and letters refused, since start."""

    answered: dict[str, int]
    refused_count: int


class SiblingDoor:
    """Handler of `/.well-known/skerry/sibling/`."""

    def __init__(
        self, *, keys: SiblingKeys, siblings: Siblings, giver: SiblingGiver, metrics: Registry
    ) -> None:
        self._keys = keys
        self._siblings = siblings
        self._giver = giver
        self._reading = asyncio.Semaphore(LETTERS_AT_ONCE_MAX)
        self._answered: Counter[str] = Counter()
        self._refused = 0
        self._counted = metrics.counter(
            "skerry_sibling_letters",
            "Letters of siblings by kind and outcome.",
            {"kind": KINDS, "outcome": ("answered", "refused")},
        )

    async def __call__(self, request: Request) -> Answer:
        path = request.raw_path or request.path
        kind = path.rpartition("/")[2]
        if request.method != "POST" or path not in (PURGES_PATH, OBJECT_PATH, BODY_PATH):
            return _plain(404, "There is nothing here.")
        try:
            sibling = self._keys.claimed(request.headers)
            if path == PURGES_PATH:
                async with self._reading:
                    answer = await self._purges(sibling, request, path)
            else:
                answer = await self._object(sibling, request, path)
        except (NotASibling, BadInput):
            self._refused += 1
            self._counted.add(1, kind, "refused")
            return _plain(403, "This door is for the siblings of this node.")
        self._answered[kind] += 1
        self._counted.add(1, kind, "answered")
        return answer

    def statistics(self) -> SiblingDoorStatistics:
        return SiblingDoorStatistics(dict(self._answered), self._refused)

    async def _purges(self, sibling: str, request: Request, path: str) -> Answer:
        body = await _read(request, LETTER_BYTES_MAX)
        self._keys.prove(sibling, request.headers, path, body)
        letter = read(Purged, body)
        self._mine(letter.to)
        return self._sealed(path, write(await self._siblings.receive(sibling, letter)))

    async def _object(self, sibling: str, request: Request, path: str) -> Answer:
        body = await _read(request, QUESTION_BYTES_MAX)
        self._keys.prove(sibling, request.headers, path, body)
        wanted = read(Wanted, body)
        self._mine(wanted.to)
        if path == OBJECT_PATH:
            found = self._giver.find(wanted, to=self._keys.of(sibling))
            return self._sealed(path, write(found))
        given = self._giver.body(wanted)
        if given is None:
            return _plain(404, "It is not here any more.")
        segment, size = given
        fields = Headers((("Content-Type", "application/octet-stream"), _NO_STORE))
        if not wanted.offset_bytes:
            return Answer(200, fields, segment)
        part = f"bytes {wanted.offset_bytes}-{size - 1}/{size}"
        return Answer(206, fields.with_fields(("Content-Range", part)), segment)

    def _mine(self, to: str) -> None:
        if to != self._keys.me:
            raise self._keys.no_sibling("the letter is for another node")

    def _sealed(self, path: str, body: bytes) -> Answer:
        seal = self._keys.sealed(path, body, answer=True)
        return Answer(200, Headers((_JSON, _NO_STORE, *seal)), body)


async def _read(request: Request, bytes_max: int) -> bytes:
    body = bytearray()
    async for chunk in request.body:
        body += chunk
        if len(body) > bytes_max:
            raise BadInput("the letter is too long")
    return bytes(body)


def _plain(status: int, sentence: str) -> Answer:
    kind = ("Content-Type", "text/plain; charset=utf-8")
    return Answer(status, Headers((kind, _NO_STORE)), f"{sentence}\n".encode())
