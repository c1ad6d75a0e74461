"""What happened in one world, as facts in the order they happened.

Owns the transcript. The world writes it, the checkers read it; neither knows the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from sim.scenario import Scenario


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that happened to one content; `at` is in virtual seconds."""

    at: float
    content: int


@dataclass(frozen=True, slots=True)
class Asked(Fact):
    """A place was opened. `now_open` counts this content's open bodies, this one included."""

    place: str
    offset_bytes: int
    now_open: int


@dataclass(frozen=True, slots=True)
class Served(Fact):
    """A client got all it asked for. `since` is the number of facts before it asked."""

    client: str
    since: int
    offset_bytes: int
    size_bytes: int | None
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Broken(Fact):
    """A client's connection was aborted by the node after it had seen the bytes up to here."""

    client: str
    seen_to: int


@dataclass(frozen=True, slots=True)
class Refused(Fact):
    """A client got an error instead of an answer."""

    client: str
    error: str


@dataclass(frozen=True, slots=True)
class Left(Fact):
    """A client went away, or the node under it did."""

    client: str


@dataclass(frozen=True, slots=True)
class Kept(Fact):
    """The node said that the content is durable."""


@dataclass(frozen=True, slots=True)
class Evicted(Fact):
    """The content was thrown out on purpose."""


@dataclass(frozen=True, slots=True)
class Rotted(Fact):
    """A bit of the stored content turned."""


@dataclass(frozen=True, slots=True)
class Healed(Fact):
    """A bad copy was found and put away."""


@dataclass(frozen=True, slots=True)
class Crashed(Fact):
    """The node was killed with so many fills in flight; it means no content."""

    in_flight: int


@dataclass(frozen=True, slots=True)
class Found(Fact):
    """What the store holds under the content's name, looked at directly; None for nothing."""

    data: bytes | None = field(repr=False)
    occasion: str


@dataclass(frozen=True, slots=True)
class Stray(Fact):
    """The store holds what no content of this world is called."""

    called: str
    occasion: str


@dataclass(frozen=True, slots=True)
class Remains:
    """What is left when the world has come to its end; all of it should be nothing."""

    tasks: tuple[str, ...]
    spools: int
    open_bodies: int
    crashes: tuple[str, ...]
    stuck: str = ""


F = TypeVar("F", bound=Fact)


@dataclass(slots=True)
class History:
    """One world's scenario, facts and remains.

    Attributes:
        sent_bytes: by content, what its places gave.
        fills: by content, how many fetches the node started.
    """

    scenario: Scenario
    facts: list[Fact] = field(default_factory=list)
    remains: Remains | None = None
    sent_bytes: list[int] = field(default_factory=list)
    fills: list[int] = field(default_factory=list)

    def note(self, fact: Fact) -> None:
        self.facts.append(fact)

    def of(self, kind: type[F]) -> Iterator[F]:
        """The facts of one kind."""
        return (fact for fact in self.facts if isinstance(fact, kind))

    def transcript(self) -> str:
        """For people: the scenario and what came of it."""
        scenario = self.scenario
        lines = [f"seed {scenario.seed}: {scenario.mood}, budget {scenario.budget_bytes}"]
        for number, content in enumerate(scenario.contents):
            lines.append(f"content {number}: {len(content.data)} bytes, {content.digest.short}")
            for place, acts in enumerate(content.places):
                lines.extend(f"  place {place}: {act}" for act in acts)
        lines.extend(f"{visit}" for visit in scenario.visits)
        lines.extend(f"{fact.at:9.4f} {fact}" for fact in self.facts)
        lines.append(f"sent {self.sent_bytes}, fills {self.fills}, {self.remains}")
        return "\n".join(lines)
