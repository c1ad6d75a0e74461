"""What is going to happen in one world: drawn from a seed before it starts.

Owns the dice. A scenario is a value: the same seed is the same scenario, and it can be printed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from random import Random

from skerry.base.digest import Digest, digest_of
from skerry.store.ports import HELD_BACK_BYTES
from skerry.upstream.ports import Trouble
from skerry.upstream.testing import HONEST, Act, absent, dead, denied

WORLD_SECONDS = 60.0
"""Visits and disturbances fall into the first minute; then everything may come to its end."""


class Mood(StrEnum):
    """How bad the world is."""

    CALM = "calm"
    FLAKY = "flaky"
    LYING = "lying"
    STORMY = "stormy"


class Harm(StrEnum):
    """What can befall the node itself."""

    CRASH = "crash"
    EVICT = "evict"
    ROT = "rot"
    SCRUB = "scrub"
    FULL = "full"
    ROOM = "room"


AFTERWARDS = {Harm.FULL: Harm.ROOM, Harm.ROT: Harm.SCRUB}
"""What ends a lasting harm."""


@dataclass(frozen=True, slots=True)
class Content:
    """One content and the places that may have it, each with the acts it will play.

    Of one that is not `named` nobody knows the digest: what a place gives is what it is. Its
    places never lie about where it ends, since nobody could find that out.
    """

    data: bytes
    digest: Digest
    places: tuple[tuple[Act, ...], ...]
    chunk_bytes: int
    pause_seconds: float
    size_known: bool
    named: bool = True

    @property
    def representations(self) -> tuple[bytes, ...]:
        """What may rightly be served and kept in its name."""
        if self.named:
            return (self.data,)
        return (self.data, *(act.body(self.data) for acts in self.places for act in acts))

    @property
    def digests(self) -> frozenset[Digest]:
        """What it may be called in the store."""
        return frozenset({self.digest} if self.named else map(digest_of, self.representations))

    @property
    def steady(self) -> bool:
        """Whether a fill must succeed: nobody lies and the last place gives it whole."""
        return not self.lied_about and self.places[-1] in ((HONEST,), (Act(sized=False),))

    @property
    def lied_about(self) -> bool:
        """Whether some place may give something else in its name."""
        return any(deceives(act) for acts in self.places for act in acts)

    @property
    def longest_bytes(self) -> int:
        """The length of the longest body that some place gives for it."""
        return max(len(act.body(self.data)) for acts in self.places for act in acts)


@dataclass(frozen=True, slots=True)
class Visit:
    """One client asks for one content, whole or in part, at its own pace."""

    client: str
    at: float
    content: int
    offset_bytes: int
    size_bytes: int | None
    pace_seconds: float
    leaves_after: float | None
    warms: bool


@dataclass(frozen=True, slots=True)
class Disturbance:
    """Something befalls the node; EVICT, ROT and SCRUB mean one content."""

    at: float
    harm: Harm
    content: int


@dataclass(frozen=True, slots=True)
class Scenario:
    """One world, before it starts. `budget_bytes` is None when the disk is large."""

    seed: int
    mood: Mood
    contents: tuple[Content, ...]
    visits: tuple[Visit, ...]
    disturbances: tuple[Disturbance, ...]
    budget_bytes: int | None

    @property
    def always_room(self) -> bool:
        """Whether whatever is fetched can be kept."""
        return self.budget_bytes is None and not self.suffers(Harm.FULL)

    def suffers(self, *harms: Harm) -> bool:
        """Whether any of these happens."""
        return any(disturbance.harm in harms for disturbance in self.disturbances)


def draw(seed: int) -> Scenario:
    """The scenario of a seed."""
    chance = Random(seed)
    mood = chance.choice(list(Mood))
    drawn = [_content(chance, mood) for _ in range(chance.randint(1, 3))]
    drawn = [_perhaps_without_name(seed, content) for content in drawn]
    contents = tuple({content.data: content for content in drawn}.values())
    visits = tuple(
        _visit(chance, mood, number, contents) for number in range(chance.randint(2, 10))
    )
    disturbances: tuple[Disturbance, ...] = ()
    budget: int | None = None
    if mood is Mood.STORMY:
        disturbances = _disturbances(chance, visits)
        if chance.random() < 0.3:
            budget = int(sum(len(content.data) for content in contents) * chance.uniform(0.4, 1.1))
    return Scenario(seed, mood, contents, visits, disturbances, budget)


def _content(chance: Random, mood: Mood) -> Content:
    size = chance.choice(
        [
            0,
            1,
            chance.randint(2, 20_000),
            HELD_BACK_BYTES + chance.randint(-1, 1),
            chance.randint(HELD_BACK_BYTES, 300_000),
            chance.randint(100_000, 500_000),
        ]
    )
    data = chance.randbytes(size)
    places = [_acts(chance, mood, size) for _ in range(chance.randint(1, 3))]
    if mood is not Mood.STORMY or chance.random() < 0.5:
        places.append((HONEST,))
    return Content(
        data,
        digest_of(data, chance.choice(["sha256", "sha256", "sha512"])),
        tuple(places),
        chunk_bytes=chance.choice([8192, 16384, 65536]),
        pause_seconds=chance.choice([0.001, 0.01, 0.1]),
        size_known=chance.random() < 0.7,
    )


def _acts(chance: Random, mood: Mood, size: int) -> tuple[Act, ...]:
    if mood is Mood.CALM:
        return (HONEST,)
    return tuple(_act(chance, mood, size) for _ in range(chance.randint(1, 4)))


def _act(chance: Random, mood: Mood, size: int) -> Act:
    at = chance.randint(0, size)
    trouble = chance.choice([Trouble.REFUSED, Trouble.DNS, Trouble.CONNECT_TIMEOUT])
    failing = [
        HONEST,
        Act(cut_at=at),
        Act(cut_at=at, ignores_range=True),
        Act(ends_at=at),
        Act(ignores_range=True),
        Act(sized=False),
        Act(stall_at=at, stall_seconds=5.0),
        dead(trouble),
        absent(),
        denied(),
    ]
    lying = [
        Act(flip_at=at),
        Act(size_lie_bytes=chance.randint(0, size + 10)),
        Act(extra_bytes=chance.randint(1, 50_000)),
        Act(extra_bytes=chance.randint(1, 50_000), sized=False),
        Act(instead=b"<html>please log in</html>"),
        Act(coding="gzip"),
        Act(sized=False, ends_at=at),
    ]
    return chance.choice(failing if mood is Mood.FLAKY or chance.random() < 0.5 else lying)


def _perhaps_without_name(seed: int, content: Content) -> Content:
    chance = Random(f"{seed} {content.digest}")
    if chance.random() > 1 / 3:
        return content
    chunked = chance.random() < 0.5

    def behave(act: Act) -> Act:
        if _hides_the_end(act):
            return HONEST
        # Generated pages do not say how long they are.
        return replace(act, sized=False) if chunked and act.ends_at is None else act

    places = tuple(tuple(map(behave, acts)) for acts in content.places)
    return replace(content, places=places, named=False, size_known=False)


def _hides_the_end(act: Act) -> bool:
    """Whether the act makes another end pass for that of what it gives."""
    if act.sized:
        return act.size_lie_bytes is not None or act.extra_bytes > 0
    return act.ends_at is not None


def deceives(act: Act) -> bool:
    """Whether the act can put wrong bytes, or a wrong end, into a fill."""
    unproven_end = act.ends_at is not None and not act.sized
    odd = act.size_lie_bytes is not None or act.extra_bytes > 0
    return unproven_end or odd or act.flip_at is not None or act.instead is not None


def _visit(chance: Random, mood: Mood, number: int, contents: tuple[Content, ...]) -> Visit:
    which = chance.randrange(len(contents))
    size = len(contents[which].data)
    offset, length = 0, None
    if chance.random() < 0.2 and size:
        offset = chance.randrange(size)
        length = chance.randint(1, size - offset)
    leaves = mood is not Mood.CALM and chance.random() < 0.2
    return Visit(
        client=f"client{number}",
        at=chance.choice([0.0, chance.uniform(0, 0.2), chance.uniform(0, WORLD_SECONDS)]),
        content=which,
        offset_bytes=offset,
        size_bytes=length,
        pace_seconds=chance.choice([0.0, 0.0, chance.uniform(0, 0.1), chance.uniform(0, 3)]),
        leaves_after=chance.uniform(0, 2) if leaves else None,
        warms=chance.random() < 0.2,
    )


def _disturbances(chance: Random, visits: tuple[Visit, ...]) -> tuple[Disturbance, ...]:
    """Harm, mostly while some visit is being answered: at rest nothing is at stake."""
    found = []
    for _ in range(chance.randint(0, 6)):
        visit = chance.choice(visits)
        at = chance.choice([visit.at + chance.expovariate(10), chance.uniform(0, WORLD_SECONDS)])
        harm = chance.choice([*Harm, Harm.CRASH, Harm.EVICT])
        found.append(Disturbance(at, harm, visit.content))
        if harm in AFTERWARDS:
            later = at + chance.uniform(0, 20)
            found.append(Disturbance(later, AFTERWARDS[harm], visit.content))
    return tuple(sorted(found, key=lambda disturbance: disturbance.at))
