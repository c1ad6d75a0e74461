"""When something outside counts as lost, and when as back.

Owns the decision as a table, with hysteresis: a breaker that tries a dead upstream every few
seconds makes one outage, not hundreds. Never looks at a breaker or a clock: both are arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

LOST_SECONDS = 2.0
"""Silence for so long is an outage."""
BACK_SECONDS = 10.0
"""Answers for so long end it."""


class State(StrEnum):
    UP = "up"
    DOUBTED = "doubted"
    LOST = "lost"
    RETURNING = "returning"


@dataclass(frozen=True, slots=True)
class Outage:
    """One thing outside.

    Attributes:
        since: when the state was doubted last, in monotonic seconds.
        began_at: when it failed first, in seconds since the epoch.
        back_at: when it answered first, in seconds since the epoch.
    """

    state: State = State.UP
    since: float = 0.0
    began_at: float = 0.0
    back_at: float = 0.0
    cause: str = ""


@dataclass(frozen=True, slots=True)
class Silent:
    """It does not answer. `failing_since` is when that began, `at` is now; since the epoch."""

    at: float
    failing_since: float
    cause: str = ""


@dataclass(frozen=True, slots=True)
class Answers:
    """It answers, as far as anybody has asked; `at` is now, since the epoch."""

    at: float


Event = Silent | Answers


@dataclass(frozen=True, slots=True)
class Began:
    """To be told: it is lost."""

    began_at: float
    cause: str


@dataclass(frozen=True, slots=True)
class Ended:
    """To be told: it is back."""

    began_at: float
    back_at: float


Command = Began | Ended
Step = tuple[Outage, tuple[Command, ...]]
Rule = Callable[[Outage, Event, float], Step]


def _stay(outage: Outage, event: Event, now: float) -> Step:
    return outage, ()


def _doubt(outage: Outage, event: Event, now: float) -> Step:
    silent = _as_silent(event)
    began_at = min(silent.failing_since, silent.at)
    return Outage(State.DOUBTED, now, began_at, cause=silent.cause), ()


def _lose(outage: Outage, event: Event, now: float) -> Step:
    if now - outage.since < LOST_SECONDS:
        return outage, ()
    cause = _as_silent(event).cause or outage.cause
    return replace(outage, state=State.LOST, cause=cause), (Began(outage.began_at, cause),)


def _trust(outage: Outage, event: Event, now: float) -> Step:
    return Outage(), ()


def _return(outage: Outage, event: Event, now: float) -> Step:
    return replace(outage, state=State.RETURNING, since=now, back_at=event.at), ()


def _relapse(outage: Outage, event: Event, now: float) -> Step:
    return replace(outage, state=State.LOST, back_at=0.0), ()


def _end(outage: Outage, event: Event, now: float) -> Step:
    if now - outage.since < BACK_SECONDS:
        return outage, ()
    return Outage(), (Ended(outage.began_at, outage.back_at),)


def _as_silent(event: Event) -> Silent:
    if not isinstance(event, Silent):
        raise TypeError(f"{type(event).__name__} is no silence")
    return event


RULES: Mapping[State, Mapping[type[Event], Rule]] = {
    State.UP: {Silent: _doubt, Answers: _stay},
    State.DOUBTED: {Silent: _lose, Answers: _trust},
    State.LOST: {Silent: _stay, Answers: _return},
    State.RETURNING: {Silent: _relapse, Answers: _end},
}


def step(outage: Outage, event: Event, now: float) -> Step:
    """The outage after an event, and what to tell. `now` is monotonic seconds."""
    return RULES[outage.state][type(event)](outage, event, now)
