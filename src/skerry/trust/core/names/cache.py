"""Which answer is used: the one at hand, a new one, or an old one while there is no new one.

Owns the rule of RFC 8767 (stale answers) and RFC 9520 (failures are remembered), and the bounded
memory. Never asks anybody. Ages are monotonic, ends of signatures are not.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from enum import Enum

import dns.rcode

from skerry.trust.core.names.values import (
    TTL_SECONDS_MAX,
    Answer,
    Ede,
    Kind,
    Name,
    Security,
    Why,
)

CLIENT_SECONDS = 1.8
"""How long an asker waits for a new answer before it gets an old one (RFC 8767 section 5)."""
RECHECK_SECONDS = 30.0
"""Between two tries of a question that failed, while an old answer is there."""
STALE_TTL_SECONDS = 30
FAILED_SECONDS = 5.0
"""How long a failure without an old answer is remembered (RFC 9520: 1 s to 5 minutes)."""
STALE_SECONDS_MAX = 3 * 86400.0
PREFETCH_SHARE = 0.1
"""Of its lifetime that an answer has left when the next one is fetched ahead."""
PREFETCH_TTL_SECONDS_MIN = 10.0
ENTRIES_MAX = 20_000
RECORDS_MAX = 200_000

Key = tuple[Name, Kind]


@dataclass(frozen=True, slots=True)
class Policy:
    """How long old answers are kept, and new ones at most (RFC 8767 section 4)."""

    stale_seconds: float = STALE_SECONDS_MAX
    ttl_seconds_max: float = float(TTL_SECONDS_MAX)


@dataclass(frozen=True, slots=True)
class Now:
    """Both clocks at one moment."""

    monotonic: float
    wall: float


@dataclass(frozen=True, slots=True)
class Entry:
    """An answer and when it came; `monotonic` for its age."""

    answer: Answer
    at: float
    ttl_seconds: float

    def left(self, now: Now) -> float:
        """Seconds of its lifetime; negative when it is stale. Never past its signatures."""
        left = self.at + self.ttl_seconds - now.monotonic
        if self.answer.security is Security.SECURE and self.answer.signed_until is not None:
            left = min(left, self.answer.signed_until - now.wall)
        return left


@dataclass(frozen=True, slots=True)
class Failure:
    """The last try of a question failed, and why."""

    why: Why
    at: float
    bogus: bool


class Use(Enum):
    """What to do for one asker."""

    FRESH = "answer with what is here"
    AHEAD = "answer with what is here, and fetch the next"
    ASK = "wait for an answer"
    ASK_OR_STALE = "wait a moment for an answer, then use the old one"
    STALE = "use the old one at once: a try has failed just now"
    FAIL = "fail at once: a try has failed just now"


class AnswerCache:
    """Answers by question. Bounded by entries and by records; the least used go."""

    def __init__(self, policy: Policy | None = None, *, entries_max: int = ENTRIES_MAX) -> None:
        self._policy = policy or Policy()
        self._entries_max = entries_max
        self._entries: OrderedDict[Key, Entry] = OrderedDict()
        self._failures: OrderedDict[Key, Failure] = OrderedDict()
        self._records = 0

    def __len__(self) -> int:
        return len(self._entries)

    def entries(self) -> tuple[Entry, ...]:
        """All, the least used first."""
        return tuple(self._entries.values())

    def entry(self, key: Key) -> Entry | None:
        """What is here, stale or not."""
        return self._entries.get(key)

    def failure(self, key: Key) -> Failure | None:
        """The last try's failure, if it failed."""
        return self._failures.get(key)

    def use(self, key: Key, now: Now, *, signatures: bool = False) -> Use:
        """What one asker gets; `signatures`: it checks them itself (the DO bit)."""
        entry, failure = self._entries.get(key), self._failures.get(key)
        if entry is not None:
            self._entries.move_to_end(key)
            left = entry.left(now)
            if left > 0:
                return Use.AHEAD if self._is_ending(entry, left) and failure is None else Use.FRESH
        if failure is not None and failure.bogus:
            # What is forged is told, not papered over with what was true yesterday.
            return Use.FAIL if now.monotonic < failure.at + FAILED_SECONDS else Use.ASK
        if entry is not None and self.may_be_stale(entry, now, signatures=signatures):
            recent = failure is not None and now.monotonic < failure.at + RECHECK_SECONDS
            return Use.STALE if recent else Use.ASK_OR_STALE
        if failure is not None and now.monotonic < failure.at + FAILED_SECONDS:
            return Use.FAIL
        return Use.ASK

    def may_be_stale(self, entry: Entry, now: Now, *, signatures: bool = False) -> bool:
        """Whether an old answer may still be used for want of a new one."""
        age = now.monotonic - entry.at - entry.ttl_seconds
        if age > self._policy.stale_seconds:
            return False
        until = entry.answer.signed_until
        # Who checks the signatures would call it bogus once they have ended.
        return not (signatures and until is not None and until <= now.wall)

    def put(self, answer: Answer, now: Now) -> None:
        """Keeps a new answer; a bogus one is never kept, only that it was (RFC 4035 4.7)."""
        key = (answer.name, answer.kind)
        if answer.security is Security.BOGUS:
            why = answer.why or Why(Ede.BOGUS, "no signature holds")
            self._fail(key, Failure(why, now.monotonic, bogus=True))
            return
        self._failures.pop(key, None)
        self._drop(key)
        ttl = min(answer.ttl_seconds, self._policy.ttl_seconds_max)
        self._entries[key] = Entry(answer, now.monotonic, ttl)
        self._records += _records(answer)
        while len(self._entries) > self._entries_max or self._records > RECORDS_MAX:
            self._drop(next(iter(self._entries)))

    def failed(self, key: Key, why: Why, now: Now) -> None:
        """A question got no answer."""
        self._fail(key, Failure(why, now.monotonic, bogus=False))

    def forget(self, name: Name) -> int:
        """Forgets a name and all below it; how many answers that were."""
        gone = [key for key in self._entries if key[0].is_subdomain(name)]
        for key in gone:
            self._drop(key)
        for key in [key for key in self._failures if key[0].is_subdomain(name)]:
            del self._failures[key]
        return len(gone)

    def _fail(self, key: Key, failure: Failure) -> None:
        self._failures[key] = failure
        self._failures.move_to_end(key)
        if len(self._failures) > self._entries_max:
            self._failures.popitem(last=False)

    def _drop(self, key: Key) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._records -= _records(entry.answer)

    def _is_ending(self, entry: Entry, left: float) -> bool:
        whole = entry.ttl_seconds
        return whole >= PREFETCH_TTL_SECONDS_MIN and left < whole * PREFETCH_SHARE


def stale_why(answer: Answer) -> Why:
    """What is told with an old answer (RFC 8914 sections 4.4 and 4.20)."""
    if answer.rcode == dns.rcode.NXDOMAIN:
        return Why(Ede.STALE_NXDOMAIN, "nobody answers; there was no such name")
    return Why(Ede.STALE_ANSWER, "nobody answers; this is the last answer")


def _records(answer: Answer) -> int:
    return 1 + sum(len(each) for each in (*answer.answer, *answer.authority))
