"""Playing a transcript on a stage, and saying in sentences what was not as it should be."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Protocol

import http_sf

from skerry.wire.message import Headers
from tests.cdn.transcripts.origin import Heard
from tests.cdn.transcripts.script import Asks, Says, Transcript, Waits, placed

NUMBERS = {"age", "ttl"}
_PARTS = re.compile(r"bytes (\d+)-(\d+)/(\d+)\Z")


@dataclass(frozen=True)
class Seen:
    """What a client got; `broken` when its body ended before its length."""

    status: int
    headers: Headers
    body: bytes
    broken: bool = False


class Stage(Protocol):
    """A cache with an origin behind it.

    `drift_seconds` is how much later than told it may be; `ours` whether Cache-Status is read.
    """

    prefix: str
    site: str
    drift_seconds: float
    ours: bool

    def now(self) -> float: ...
    def says(self, says: Says) -> None: ...
    async def ask(self, ask: Asks) -> Seen: ...
    async def wait(self, seconds: float) -> None: ...
    async def settled(self) -> list[Heard]:
        """What the origin heard so far, when no more will come by itself."""


async def play(transcript: Transcript, stage: Stage) -> list[str]:
    """Complaints, none when all was as it should be; stops after the first bad answer."""
    heard_before = 0
    bodies: set[bytes] = set()
    for step in transcript.steps:
        if isinstance(step, Says):
            bodies.add(step.body)
            stage.says(step)
        elif isinstance(step, Waits):
            await stage.wait(step.seconds)
        else:
            seen = await stage.ask(_placed(step, stage))
            heard = await stage.settled()
            view = View(step, stage, seen, heard[heard_before:])
            heard_before = len(heard)
            complaints = [text for text in view.complaints() if text]
            complaints += _untrue_parts(seen, bodies)
            if complaints:
                where = f"line {step.line}: {step.method} {step.path}"
                return [f"{where}: {text}" for text in complaints]
    return []


def _placed(ask: Asks, stage: Stage) -> Asks:
    place: Callable[[str], str] = lambda text: placed(  # noqa: E731
        text, now=stage.now(), prefix=stage.prefix, site=stage.site
    )
    return replace(ask, fields=tuple((name, place(value)) for name, value in ask.fields))


def _untrue_parts(seen: Seen, bodies: set[bytes]) -> list[str]:
    """Whatever a transcript expects: a part is of one representation, at the place it names."""
    match = _PARTS.match(seen.headers.get("Content-Range") or "")
    if seen.status != 206 or match is None or seen.broken or not seen.body:
        return []
    start, stop, total = int(match[1]), int(match[2]) + 1, int(match[3])
    right = any(len(body) == total and body[start:stop] == seen.body for body in bodies)
    told = any(seen.body == body for body in bodies)  # an origin that was told to say a 206
    return [] if right or told else [f"bytes {start}-{stop} are of no representation"]


@dataclass(frozen=True)
class View:
    """One answer beside what was expected of it."""

    ask: Asks
    stage: Stage
    seen: Seen
    heard: list[Heard]

    def complaints(self) -> Iterator[str]:
        for line in self.ask.expected:
            yield self._complaint(line)

    def _complaint(self, line: str) -> str:
        word, _, rest = line.partition(" ")
        if not rest:
            return self._word(word)
        match word:
            case "body":
                right = self.seen.body == rest.encode() and not self.seen.broken
                return "" if right else f"body {rest!r}, not {self.seen.body[:80]!r}"
            case "origin":
                return self._origin(rest)
            case "cs":
                return self._cache_status(rest) if self.stage.ours else ""
        return self._field(line, self.seen.headers, "")

    def _word(self, word: str) -> str:
        count = len(self.heard)
        conditional = [
            h for h in self.heard
            if "If-None-Match" in h.headers or "If-Modified-Since" in h.headers
        ]  # fmt: skip
        match word:
            case "cached":
                return f"the origin was asked {count} times" if count else ""
            case "fetched":
                return "" if count else "the origin was not asked"
            case "validated":
                return "" if conditional else "the origin was asked for no validation"
            case "plain":
                return "the request had conditions" if conditional else ""
            case "broken":
                told = self.seen.broken or self.seen.status >= 500
                return "" if told else "the body seems whole"
            case "whole":
                return "the body broke" if self.seen.broken else ""
            case "empty":
                return f"a body: {self.seen.body[:80]!r}" if self.seen.body else ""
        if word.startswith("!"):
            return self._field(word, self.seen.headers, "")
        if re.fullmatch(r"\d{3}", word):
            return "" if self.seen.status == int(word) else f"{word}, not {self.seen.status}"
        if re.fullmatch(r"\dxx", word):
            return "" if self.seen.status // 100 == int(word[0]) else f"not {self.seen.status}"
        raise ValueError(f"{word!r} means nothing")

    def _origin(self, rest: str) -> str:
        if rest.startswith("count "):
            right = len(self.heard) == int(rest[6:])
            return "" if right else f"the origin was asked {len(self.heard)} times, {rest}"
        if not self.heard:
            return "the origin was not asked"
        if rest.startswith("method "):
            return "" if self.heard[-1].method == rest[7:] else f"not {self.heard[-1].method}"
        if rest.startswith("path "):
            return "" if self.heard[-1].path == rest[5:] else f"not {self.heard[-1].path}"
        if rest.startswith("body "):
            right = self.heard[-1].body == rest[5:].encode()
            return "" if right else f"the origin got {self.heard[-1].body!r}"
        return self._field(rest, self.heard[-1].headers, "to the origin: ")

    def _field(self, line: str, headers: Headers, where: str) -> str:
        if line.startswith("!"):
            there = headers.get(line[1:])
            return "" if there is None else f"{where}{line[1:]}: {there}"
        name, _, part = line.partition(" ~ ")
        if part:
            part = self._place(part)
            return (
                ""
                if part in headers.joined(name)
                else f"{where}{name}: {headers.joined(name)!r}, without {part!r}"
            )
        name, _, value = line.partition(":")
        value = self._place(value.strip())
        found = headers.joined(name)
        if value == "*":
            return "" if name in headers else f"{where}no {name}"
        if name.lower() in NUMBERS and found.isdigit():
            return self._number(int(value), int(found), f"{where}{name}", later=1)
        return "" if found == value else f"{where}{name}: {found!r}, not {value!r}"

    def _place(self, text: str) -> str:
        return placed(text, now=self.stage.now(), prefix=self.stage.prefix, site=self.stage.site)

    def _number(self, wanted: int, found: int, what: str, *, later: int) -> str:
        gap = (found - wanted) * later
        return "" if 0 <= gap <= self.stage.drift_seconds else f"{what}: {found}, not {wanted}"

    def _cache_status(self, rest: str) -> str:
        line = self.seen.headers.joined("Cache-Status")
        try:
            members = http_sf.parse(line.encode("latin-1"), tltype="list")
        except ValueError as error:
            return f"Cache-Status {line!r}: {error}"
        parameters = {n: str(v) for n, v in members[-1][1].items()} if members else {}
        told, detail, words = rest.partition("detail=")
        pieces = [piece for piece in told.split("; ") if piece]
        for piece in [*pieces, *([detail + words] if detail else [])]:
            name, _, value = piece.partition("=")
            found = parameters.get(name.removeprefix("!"))
            if name.startswith("!"):
                if found is not None:
                    return f"Cache-Status {line!r} has {piece}"
            elif found is None:
                return f"Cache-Status {line!r} lacks {piece}"
            elif name == "ttl":
                if wrong := self._number(int(value), int(found), "ttl", later=-1):
                    return wrong
            elif value and found.strip('"') != value.strip('"'):
                return f"Cache-Status {line!r}: {found}, not {piece}"
        return ""
