"""What happened around one edge, as facts in the order they happened."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from sim.edge.scenario import Scenario, Visit
from skerry.wire.message import Headers


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that happened; `at` is in virtual seconds."""

    at: float


@dataclass(frozen=True, slots=True)
class Asked(Fact):
    """The origin was asked. `open_count` counts this thing's open requests, this one included."""

    number: int
    thing: int
    open_count: int
    failed: bool


@dataclass(frozen=True, slots=True)
class Answered(Fact):
    """A visit got a whole answer; `asked_at` is when it asked."""

    asked_at: float
    visit: Visit
    status: int
    headers: Headers = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def cache(self) -> str:
        return self.headers.joined("Cache-Status")


@dataclass(frozen=True, slots=True)
class Broken(Fact):
    """A visit's body ended before its end."""

    visit: Visit


@dataclass(frozen=True, slots=True)
class Left(Fact):
    """A visitor went away, or the node under it did."""

    visit: Visit


@dataclass(frozen=True, slots=True)
class Purged(Fact):
    """A purge's call returned; it was ordered at `ordered_at` and means these things."""

    ordered_at: float
    things: tuple[int, ...]
    hard: bool


@dataclass(frozen=True, slots=True)
class Crashed(Fact):
    """The node was killed and started again."""


@dataclass(frozen=True, slots=True)
class Stored(Fact):
    """What the disk holds, looked at directly: bodies, and the fields of every entry."""

    bodies: tuple[bytes, ...] = field(repr=False)
    fields: str = field(repr=False)


F = TypeVar("F", bound=Fact)


@dataclass(slots=True)
class History:
    """One world's scenario, facts and remains; `ready_count` answers came from the door's table."""

    scenario: Scenario
    facts: list[Fact] = field(default_factory=list)
    ready_count: int = 0
    remains: tuple[str, ...] = ("the world never came to its end",)

    def of(self, kind: type[F]) -> Iterator[F]:
        """The facts of one kind."""
        return (fact for fact in self.facts if isinstance(fact, kind))

    def transcript(self) -> str:
        """For people: the scenario and what came of it."""
        scenario = self.scenario
        lines = [f"edge seed {scenario.seed}: sliced {scenario.sliced}, cuts {scenario.cuts}"]
        lines += [f"{each}" for each in (*scenario.things, *scenario.outages, *scenario.orders)]
        for fact in self.facts:
            more = ""
            if isinstance(fact, Answered):
                told = [fact.headers.joined(n) for n in ("ETag", "Age", "X-Fetch")]
                more = f" {told} {fact.cache} {fact.body[:9]!r}"
            lines.append(f"{fact.at:9.4f} {fact}{more}")
        return "\n".join([*lines, *self.remains])
