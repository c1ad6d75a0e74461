"""Transcripts as values, and reading them from text.

A file is a category. `== clause: title` begins a transcript; below it, one a line:

    also RFC 9111 5.2.2.10          further clauses it shows
    optional                        a cache may do otherwise
    own                             about this node, or what it decided: no other is held to it
    memory                          only in memory: it names what the node there is called
    route fresh_seconds=60          the route's settings
    origin [/path] 200 text         the origin answers just so from now on ("pages" instead of
                                    "origin": it also honours conditions and ranges)
    GET [/path] -> 200 fetched      a client asks; what must come of it
    wait 30                         seconds go by

Indented below `origin`: `Name: value`, `!Date` for an answer without one, `% cut 5`, `% down`,
`% size 70000` (a body of so many bytes), `% unsized`. Below a request: its fields, `% body text`,
and what must hold: `> Name: value`, `> !Name`, `> Name ~ part`, `> body text`, `> origin Name: v`,
`> origin !Name`, `> origin Name ~ part`, `> origin count 2`, `> cs hit; ttl=30` (pieces of our
member of Cache-Status; `!stored` for one that must be missing). `{now-10}` is a date, `{p}` the
path before every path, `{site}` scheme and authority.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random

from skerry.cdn.core.dates import format_date

FOLDER = Path(__file__).parent
Fields = tuple[tuple[str, str], ...]
METHODS = "GET|HEAD|POST|PUT|DELETE|PATCH|OPTIONS|TRACE|LINK|BREW"
_ASK = re.compile(rf"(?P<method>{METHODS})(?: (?P<path>/\S*))?(?: -> (?P<words>.*))?\Z")
_ORIGIN = re.compile(
    r"(?P<kind>origin|pages)(?: (?P<path>/\S*))? (?P<status>\d{3})(?: (?P<body>.*))?\Z"
)
_TIME = re.compile(r"\{now([+-]\d+)?\}")


@dataclass(frozen=True)
class Says:
    """What the origin answers from now on at a path."""

    path: str
    status: int
    body: bytes
    fields: Fields = ()
    truthful: bool = False
    dated: bool = True
    sized: bool = True
    cut_at: int | None = None
    down: bool = False


@dataclass(frozen=True)
class Asks:
    """One request and what must come of it; each of `expected` is one line."""

    method: str
    path: str
    fields: Fields = ()
    body: bytes = b""
    expected: tuple[str, ...] = ()
    line: int = 0


@dataclass(frozen=True)
class Waits:
    """So many seconds go by."""

    seconds: float


Step = Says | Asks | Waits


@dataclass(frozen=True)
class Transcript:
    """One conversation."""

    category: str
    clauses: tuple[str, ...]
    title: str
    steps: tuple[Step, ...] = ()
    route: dict[str, str] = field(default_factory=dict)
    optional: bool = False
    own: bool = False
    memory: bool = False

    @property
    def optimal(self) -> bool:
        """Whether it asks for more than a cache must do: to store, to reuse, to validate."""
        words = {word for step in self.steps if isinstance(step, Asks) for word in step.expected}
        return self.optional or bool(words & {"cached", "validated"})

    @property
    def waits(self) -> float:
        """Seconds that it takes."""
        return sum(step.seconds for step in self.steps if isinstance(step, Waits))

    def __str__(self) -> str:
        return f"{self.category}: {self.title}"


def placed(text: str, *, now: float, prefix: str, site: str) -> str:
    """Text with its dates and places filled in."""

    def date(match: re.Match[str]) -> str:
        return format_date(now + int(match[1] or 0))

    return _TIME.sub(date, text).replace("{p}", prefix).replace("{site}", site)


def everything() -> list[Transcript]:
    """All transcripts, by file name."""
    return [each for file in sorted(FOLDER.glob("[a-z]*.txt")) for each in read(file)]


def read(file: Path) -> list[Transcript]:
    """A file's transcripts. Raises ValueError with the line that cannot be read."""
    found: list[Transcript] = []
    for number, line in enumerate(file.read_text().splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            if line.startswith("== "):
                clause, _, title = line[3:].partition(": ")
                found.append(Transcript(file.stem, (clause,), title))
            else:
                found[-1] = _with(found[-1], line, number)
        except (ValueError, IndexError, KeyError) as error:
            raise ValueError(f"{file.name}:{number}: {line!r}: {error}") from error
    return found


def _with(made: Transcript, line: str, number: int) -> Transcript:
    if line.startswith("  "):
        step = made.steps[-1]
        more = _asks(step, line.strip()) if isinstance(step, Asks) else _says(step, line.strip())
        return replace(made, steps=(*made.steps[:-1], more))
    word, _, rest = line.partition(" ")
    match word:
        case "also":
            return replace(made, clauses=(*made.clauses, rest))
        case "optional":
            return replace(made, optional=True)
        case "own":
            return replace(made, own=True)
        case "memory":
            return replace(made, memory=True)
        case "route":
            pairs = (pair.partition("=") for pair in rest.split())
            return replace(made, route={name: value for name, _, value in pairs})
        case "wait":
            return replace(made, steps=(*made.steps, Waits(float(rest))))
    return replace(made, steps=(*made.steps, _step(line, number)))


def _step(line: str, number: int) -> Step:
    if match := _ASK.match(line):
        words = tuple((match["words"] or "").split())
        return Asks(match["method"], match["path"] or "/a", expected=words, line=number)
    if match := _ORIGIN.match(line):
        body = (match["body"] or "").encode("latin-1")
        truthful = match["kind"] == "pages"
        return Says(match["path"] or "/a", int(match["status"]), body, truthful=truthful)
    raise ValueError("is no step")


def _asks(step: Asks, line: str) -> Asks:
    if line.startswith("> "):
        return replace(step, expected=(*step.expected, line[2:]))
    if line.startswith("% body "):
        return replace(step, body=line[7:].encode())
    return replace(step, fields=(*step.fields, _field(line)))


def _says(step: Step, line: str) -> Says:
    if not isinstance(step, Says):
        raise ValueError("belongs to nothing")
    word, _, rest = line.removeprefix("% ").partition(" ")
    if not line.startswith("% "):
        if line == "!Date":
            return replace(step, dated=False)
        return replace(step, fields=(*step.fields, _field(line)))
    match word:
        case "cut":
            return replace(step, cut_at=int(rest))
        case "down":
            return replace(step, down=True)
        case "size":
            return replace(step, body=Random(rest).randbytes(int(rest)))
        case "unsized":
            return replace(step, sized=False)
    raise ValueError("is not known")


def _field(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    if not colon:
        raise ValueError("is no field")
    return name, value.strip()
