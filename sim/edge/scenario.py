"""What is going to happen around one edge: drawn from a seed before it starts.

Owns the dice and the contents. Every byte of a body tells object, user, language and version, so
that whoever looks at an answer knows what it was made of.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property, lru_cache
from random import Random

WORLD_SECONDS = 300.0
SLICE_BYTES = 64 * 1024
USERS = ("", "ann", "bob")
LANGUAGES = ("de", "en")
CANARY = b"SECRET-"
"""Begins every body that must not be stored."""


class Kind(StrEnum):
    """What an object is to a cache."""

    PAGE = "page"
    SPOKEN = "spoken"  # one variant for each language
    LARGE = "large"
    PRIVATE = "private"
    CREDENTIAL = "credential"  # silent about sharing, asked for with Authorization
    COOKIE = "cookie"  # sets a cookie
    UNKEPT = "unkept"  # no-store


SECRET = {Kind.PRIVATE, Kind.CREDENTIAL, Kind.COOKIE, Kind.UNKEPT}


@dataclass(frozen=True, slots=True)
class Thing:
    """One object of the site.

    Attributes:
        changes: when a new version comes; version n is there from `changes[n - 1]` on.
        tag: `strong`, `weak` or none.
    """

    number: int
    kind: Kind
    size_bytes: int
    fresh_seconds: int
    while_revalidate_seconds: int
    if_error_seconds: int | None
    must_revalidate: bool
    tag: str
    sized: bool
    changes: tuple[float, ...]

    @property
    def target(self) -> str:
        return f"/dir{self.number % 2}/thing{self.number}"

    @property
    def surrogate(self) -> str:
        return f"key{self.number % 2}"

    def secret_for(self, user: str) -> bool:
        """Whether what this user gets must not be kept: with a credential, silence forbids it."""
        return self.kind in SECRET and (bool(user) or self.kind is not Kind.CREDENTIAL)

    def version(self, at: float) -> int:
        """The version that is there at a time."""
        return sum(change <= at for change in self.changes)

    def until(self, version: int) -> float:
        """When a version was superseded; inf for the last one."""
        return self.changes[version] if version < len(self.changes) else float("inf")

    def body(self, version: int, user: str, language: str) -> bytes:
        """The representation for one user; of a public thing there is one for all."""
        secret = self.secret_for(user)
        user = user if secret else ""
        language = language if self.kind is Kind.SPOKEN else ""
        return _body(self.number, version, user, language, self.size_bytes, secret)

    def etag(self, version: int, user: str, language: str) -> str:
        language = language if self.kind is Kind.SPOKEN else ""
        user = user if self.secret_for(user) else ""
        return f'{"W/" if self.tag == "weak" else ""}"{self.number}.{version}.{user}.{language}"'


def credentials(thing: Thing, user: str) -> tuple[tuple[str, str], ...]:
    """How a user says who they are: ann by a cookie where that will do, bob never."""
    if not user:
        return ()
    if user == "ann" and thing.kind is not Kind.CREDENTIAL:
        return (("Cookie", f"user={user}"),)
    return (("Authorization", f"Bearer user={user}"),)


@lru_cache(maxsize=4096)
def _body(number: int, version: int, user: str, language: str, size: int, secret: bool) -> bytes:
    told = f"{number} {version} {user} {language}"
    mark = CANARY if secret else b""
    return (mark + Random(told).randbytes(size))[: max(size, len(mark))]


@dataclass(frozen=True, slots=True)
class Visit:
    """One request."""

    client: str
    at: float
    thing: int
    method: str
    user: str
    language: str
    span: tuple[int, int] | None
    no_cache: bool
    has_copy: bool
    leaves_after: float | None
    pace_seconds: float


class Act(StrEnum):
    """What is done to the node or ordered of it."""

    CRASH = "crash"
    EVICT = "evict"
    PURGE_URL = "purge url"
    PURGE_KEY = "purge key"
    PURGE_HOST = "purge host"
    PURGE_PREFIX = "purge prefix"


@dataclass(frozen=True, slots=True)
class Order:
    """One act at a time; `hard` is of purges."""

    at: float
    act: Act
    thing: int
    hard: bool


@dataclass(frozen=True, slots=True)
class Outage:
    """The origin fails: with a status, or (0) by not answering."""

    start: float
    stop: float
    status: int


@dataclass(frozen=True)
class Scenario:
    """One world, before it starts. `doored` lets visitors come by the node's own door, whose ready
    answers are then in play; else they ask the edge itself, and read at their own pace."""

    seed: int
    things: tuple[Thing, ...]
    visits: tuple[Visit, ...]
    orders: tuple[Order, ...]
    outages: tuple[Outage, ...]
    slow_seconds: float
    cuts: bool
    sliced: bool
    overrides_if_error_seconds: float | None = field(default=None)
    doored: bool = False

    @cached_property
    def calm(self) -> bool:
        """Whether nothing but visits happens, so that costs can be counted."""
        return not (self.orders or self.outages or self.cuts)


def draw(seed: int) -> Scenario:
    """The scenario of a seed."""
    chance = Random(f"edge {seed}")
    calm = chance.random() < 0.2
    things = tuple(_thing(chance, number) for number in range(chance.randint(1, 4)))
    moments = sorted(chance.uniform(0, WORLD_SECONDS) for _ in range(3))
    doored = chance.random() < 0.6
    count = chance.randint(12, 36) if doored else chance.randint(6, 24)
    visits = tuple(_visit(chance, n, things, moments) for n in range(count))
    orders = () if calm else tuple(_order(chance, things, moments) for _ in range(_few(chance)))
    outages = () if calm else tuple(_outage(chance) for _ in range(chance.randint(0, 2)))
    return Scenario(
        seed,
        things,
        visits,
        tuple(sorted(orders, key=lambda order: order.at)),
        outages,
        slow_seconds=chance.choice([0.001, 0.05, 2.0]),
        cuts=not calm and chance.random() < 0.3,
        sliced=chance.random() < 0.5,
        overrides_if_error_seconds=chance.choice([None, None, 30.0]),
        doored=doored,
    )


def _few(chance: Random) -> int:
    return chance.choice([0, 1, 2, 4, 8])


def _thing(chance: Random, number: int) -> Thing:
    kind = chance.choice([Kind.PAGE, Kind.PAGE, Kind.SPOKEN, Kind.LARGE, Kind.LARGE, *SECRET])
    large = kind is Kind.LARGE
    size = chance.randint(2 * SLICE_BYTES, 5 * SLICE_BYTES) if large else chance.randint(40, 9000)
    return Thing(
        number,
        kind,
        size,
        fresh_seconds=chance.choice([0, 5, 30, 120]),
        while_revalidate_seconds=chance.choice([0, 0, 20]),
        if_error_seconds=chance.choice([None, 0, 40]),
        must_revalidate=chance.random() < 0.3,
        tag=chance.choice(["strong", "strong", "weak", ""]),
        sized=chance.random() < 0.8,
        changes=tuple(
            sorted(chance.uniform(0, WORLD_SECONDS) for _ in range(chance.randint(0, 4)))
        ),
    )


def _near(chance: Random, moments: list[float]) -> float:
    """Mostly close together: far apart nothing meets."""
    if chance.random() < 0.6:
        return chance.choice(moments) + chance.choice([0.0, chance.uniform(0, 3)])
    return chance.uniform(0, WORLD_SECONDS)


def _visit(chance: Random, number: int, things: tuple[Thing, ...], moments: list[float]) -> Visit:
    thing = chance.choice(things)
    span = None
    if chance.random() < (0.6 if thing.kind is Kind.LARGE else 0.1):
        start = chance.randrange(thing.size_bytes)
        span = (start, min(thing.size_bytes, start + chance.choice([1, 500, 70_000])))
    return Visit(
        f"client{number}",
        _near(chance, moments),
        thing.number,
        method=chance.choices(["GET", "HEAD", "POST"], [20, 1, 1])[0],
        user=chance.choice(USERS),
        language=chance.choice(LANGUAGES),
        span=span,
        no_cache=chance.random() < 0.05,
        has_copy=chance.random() < 0.15,
        leaves_after=chance.uniform(0, 2) if chance.random() < 0.15 else None,
        pace_seconds=chance.choice([0.0, 0.0, 0.5]),
    )


def _order(chance: Random, things: tuple[Thing, ...], moments: list[float]) -> Order:
    act = chance.choice(list(Act))
    thing = chance.choice(things)
    at = _near(chance, [*moments, *thing.changes])
    return Order(at, act, thing.number, hard=chance.random() < 0.6)


def _outage(chance: Random) -> Outage:
    start = chance.uniform(0, WORLD_SECONDS)
    return Outage(start, start + chance.uniform(1, 90), chance.choice([0, 0, 500, 503]))
