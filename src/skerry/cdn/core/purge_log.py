"""When a purge is in force: a log of purges with sequence numbers, and what they say of an object.

Owns the order. A purge is a rule from the moment it is taken: whatever was asked of an origin
before is bound by it, also what arrives afterwards, and no object has to be found or touched for
that. Order is by position in the log, never by a clock, which an operator may step. Every node
numbers its own purges; a node applies another's in their order and knows by the number what it
missed. When the log forgets, it forgets towards safety: what was fetched before counts as purged.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from skerry.cdn.core.purge import Kind, Mode, Names, Target

RULES_MAX = 200_000
"""Distinct targets in force; beyond it the older half is folded into one rule over everything."""
MISSED_MAX = 5_000
"""One who missed more adopts the number: that costs less than hearing of each."""


@dataclass(frozen=True, slots=True)
class Record:
    """One purge. `at_seconds` (since the epoch) is for people; nothing is decided by it."""

    node: str
    sequence: int
    target: Target
    mode: Mode
    at_seconds: float


class Verdict(StrEnum):
    """What the log says of an object: nothing, validate before use, or never use."""

    NONE = "none"
    SOFT = "soft"
    HARD = "hard"


class Took(StrEnum):
    """What became of a record; GAP means: ask for those between (`since`), then again."""

    APPLIED = "applied"
    KNOWN = "known"
    GAP = "gap"


@dataclass(frozen=True, slots=True)
class Missed:
    """What another node has not heard of: numbers to `adopt` first, then records in order."""

    records: tuple[Record, ...] = ()
    adopt: Mapping[str, int] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.records or self.adopt)


@dataclass(frozen=True, slots=True)
class LogStatistics:
    """A snapshot. `folded_count` are the purges that were widened because the log was full."""

    position: int
    rule_count: int
    record_count: int
    floor: int
    folded_count: int


@dataclass(slots=True)
class _Rule:
    hard: int = 0  # position of the last hard purge, 0 for none
    soft: int = 0

    def take(self, mode: Mode, position: int) -> None:
        if mode is Mode.HARD:
            self.hard = position
        else:
            self.soft = position


@dataclass(slots=True)
class _Node:
    """A path segment of the prefixes purged; `below` is the rule of the prefix with a slash."""

    at: _Rule = field(default_factory=_Rule)
    below: _Rule = field(default_factory=_Rule)
    children: dict[str, _Node] = field(default_factory=dict)


class PurgeLog:
    """The purges of this node and of those it hears from.

    `position` counts all that were ever applied here. Whoever begins to fetch an object notes the
    position before the request leaves, and keeps it with the object for as long as it is stored.
    `node` is drawn with the log's file, so that a lost log is another node, not an old number.
    """

    def __init__(
        self,
        node: str,
        *,
        position: int = 0,
        vector: Mapping[str, int] | None = None,
        rules_max: int = RULES_MAX,
    ) -> None:
        """`position` and `vector` are the `base` kept with the records that are `apply`d again."""
        self.node = node
        self._position = position
        self._floor = position
        self._vector = dict(vector or {})
        self._base = dict(self._vector)
        self._rules_max = rules_max
        self._applied: deque[tuple[int, Record]] = deque()
        self._rules: dict[tuple[Kind, str, str], _Rule] = {}
        self._prefixes: dict[str, _Node] = {}
        self._folded = 0

    @property
    def position(self) -> int:
        """How many purges were ever applied here."""
        return self._position

    @property
    def vector(self) -> dict[str, int]:
        """The last sequence number applied of every node."""
        return dict(self._vector)

    @property
    def base(self) -> tuple[int, dict[str, int]]:
        """Position and vector before the oldest record still held: what a restart begins with."""
        return self._floor, dict(self._base)

    def order(self, target: Target, mode: Mode, *, at_seconds: float) -> Record:
        """A purge of this node's own, in force when this returns."""
        sequence = self._vector.get(self.node, 0) + 1
        record = Record(self.node, sequence, target, mode, at_seconds)
        self.apply(record)
        return record

    def apply(self, record: Record) -> Took:
        """Puts a record in force: another node's, or a kept one of any node after a restart."""
        known = self._vector.get(record.node, 0)
        if record.sequence <= known:
            return Took.KNOWN
        if record.sequence != known + 1:
            return Took.GAP
        self._vector[record.node] = record.sequence
        self._position += 1
        self._applied.append((self._position, record))
        self._enforce(record, self._position)
        if len(self._applied) > self._rules_max:
            half = self._applied[len(self._applied) // 2][0]
            self._folded += sum(1 for position, _ in self._applied if position <= half)
            self.forget(half)
        return Took.APPLIED

    def since(self, vector: Mapping[str, int], *, records_max: int = MISSED_MAX) -> Missed:
        """What one who knows `vector` has missed of all that was ever applied here."""
        adopt: dict[str, int] = {}
        known: dict[str, int] = {}
        count = 0
        for node, last in self._vector.items():
            theirs, base = vector.get(node, 0), self._base.get(node, 0)
            if theirs >= last:
                continue
            if theirs < base:
                adopt[node] = theirs = base
            known[node] = theirs
            count += last - theirs
        if count > records_max:
            return Missed((), {node: self._vector[node] for node in known})
        found: list[Record] = []
        for _, record in reversed(self._applied):
            if len(found) == count:
                break
            if record.sequence > known.get(record.node, record.sequence):
                found.append(record)
        return Missed(tuple(reversed(found)), adopt)

    def adopt(self, node: str, sequence: int) -> bool:
        """Goes on from `sequence` of a node whose records between are lost: all here is purged.

        Whether it was news.
        """
        if sequence <= self._vector.get(node, 0):
            return False
        self._vector[node] = sequence
        self._position += 1
        self.forget(self._position)
        self._base = dict(self._vector)
        return True

    def forget(self, position: int) -> None:
        """Drops the records up to `position`. What was fetched before it counts as purged hard.

        Harmless once a sweep has removed, or moved to `position`, every object that was fetched
        before it, no fetch from before it is under way, and the siblings have caught up.
        """
        self._floor = max(self._floor, min(position, self._position))
        while self._applied and self._applied[0][0] <= self._floor:
            _, record = self._applied.popleft()
            self._base[record.node] = record.sequence
        self._rules.clear()
        self._prefixes.clear()
        for at, record in self._applied:
            self._enforce(record, at)

    def verdict(self, names: Names, *, as_of: int) -> Verdict:
        """What the purges applied after position `as_of` say of an object.

        Costs one look-up per name and per path segment that a purged prefix shares. On NONE the
        object may be moved up to the present position, so that it is not asked again.
        """
        if as_of >= self._position:
            return Verdict.NONE
        if as_of < self._floor:
            return Verdict.HARD
        soft = False
        for rule in self._meant(names):
            if rule.hard > as_of:
                return Verdict.HARD
            soft = soft or rule.soft > as_of
        return Verdict.SOFT if soft else Verdict.NONE

    def statistics(self) -> LogStatistics:
        """A snapshot."""
        return LogStatistics(
            position=self._position,
            rule_count=len(self._rules),
            record_count=len(self._applied),
            floor=self._floor,
            folded_count=self._folded,
        )

    def _enforce(self, record: Record, position: int) -> None:
        target = record.target
        place = (target.kind, target.scope, target.value)
        rule = self._rules.get(place)
        if rule is None:
            rule = self._rules[place] = self._new_rule(target)
        rule.take(record.mode, position)

    def _new_rule(self, target: Target) -> _Rule:
        if target.kind is not Kind.PREFIX:
            return _Rule()
        node = self._prefixes.setdefault(target.scope, _Node())
        for segment in target.value.removesuffix("/").split("/")[1:]:
            node = node.children.setdefault(segment, _Node())
        return node.below if target.value.endswith("/") else node.at

    def _meant(self, names: Names) -> Iterable[_Rule]:
        key, rules = names.key, self._rules
        origin = key.origin
        places = [(Kind.URL, origin, key.target), (Kind.HOST, "", key.host)]
        for surrogate in names.surrogate_keys:
            places += ((Kind.KEY, key.host, surrogate), (Kind.KEY, "", surrogate))
        places += ((Kind.GROUP, origin, group) for group in names.groups)
        for place in places:
            if place in rules:
                yield rules[place]
        node = self._prefixes.get(origin)
        if node is None:
            return
        yield node.below
        segments = key.path.split("/")[1:]
        for depth, segment in enumerate(segments):
            node = node.children.get(segment)
            if node is None:
                return
            yield node.at
            if depth + 1 < len(segments):
                yield node.below


def covers(theirs: Mapping[str, int], ours: Mapping[str, int]) -> bool:
    """Whether a sibling knows every purge that we know.

    A copy from one that does not may be of before a purge: it must not be taken, and not served
    on, before it has caught up.
    """
    return all(theirs.get(node, 0) >= sequence for node, sequence in ours.items())
