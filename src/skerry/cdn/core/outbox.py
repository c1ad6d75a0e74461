"""One copy in the vault: what it waits for, and when it is tried again.

Owns the states of a copy and the backoff. Never touches a store, a file or a clock, and draws no
chance: the shell passes both. What is being done is not a state: after a crash it has not been
done. A revision tells an answer that comes late from one to what is wanted now.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TypeVar

BACKOFF_SECONDS_MIN = 2.0
BACKOFF_SECONDS_MAX = 600.0
REWRITE_SECONDS = 900.0
"""A record whose body is there is written again no sooner: each 304 would be a request."""


class State(StrEnum):
    """Where a copy stands. WANTED and LEAVING have work to do."""

    WANTED = "wanted"
    THERE = "there"
    LEAVING = "leaving"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Standing:
    """How one copy stands.

    Attributes:
        revision: counts what was wanted of it, so that late answers are told apart.
        attempts: failures since the last success.
        due_at: when it is worked on next, seconds since the epoch.
        sent_at: when it was last confirmed, 0 for never.
    """

    state: State = State.WANTED
    revision: int = 1
    attempts: int = 0
    due_at: float = 0.0
    sent_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Changed:
    """What it is a copy of has changed; `urgent` when the change must not wait (a soft purge)."""

    at: float
    urgent: bool = False


@dataclass(frozen=True, slots=True)
class Confirmed:
    """The store has what was wanted at that revision."""

    at: float
    revision: int


@dataclass(frozen=True, slots=True)
class Failed:
    """It could not be done now. `chance` is drawn evenly from [0, 1)."""

    at: float
    chance: float


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """It must not be there: purged, expired, no longer public, or its body was lost unsent."""

    at: float


@dataclass(frozen=True, slots=True)
class Removed:
    """The store has it no more."""

    at: float
    revision: int


@dataclass(frozen=True, slots=True)
class Damaged:
    """What is there is not what was sent."""

    at: float


Event = Changed | Confirmed | Failed | Withdrawn | Removed | Damaged
E = TypeVar("E", Changed, Confirmed, Failed, Removed)
Rule = Callable[[Standing, Event], Standing]


class IllegalEvent(RuntimeError):
    """The shell told a copy what cannot happen to it."""


def step(standing: Standing, event: Event) -> Standing:
    """The copy after an event. Raises IllegalEvent."""
    rule = RULES[standing.state].get(type(event))
    if rule is None:
        raise IllegalEvent(f"{type(event).__name__} while {standing.state.value}")
    return rule(standing, event)


def backoff_seconds(attempts: int, chance: float) -> float:
    """Between half and all of a wait that doubles: whoever failed together tries apart."""
    whole = min(BACKOFF_SECONDS_MAX, BACKOFF_SECONDS_MIN * 2.0 ** min(attempts, 16))
    return whole * (0.5 + chance / 2)


def _as(kind: type[E], event: Event) -> E:
    if not isinstance(event, kind):
        raise TypeError(f"{type(event).__name__} is not {kind.__name__}")
    return event


def _want(standing: Standing, event: Event) -> Standing:
    return replace(
        standing, state=State.WANTED, revision=standing.revision + 1, attempts=0, due_at=event.at
    )


def _rewrite(standing: Standing, event: Event) -> Standing:
    wanted = _want(standing, event)
    if _as(Changed, event).urgent:
        return wanted
    return replace(wanted, due_at=max(event.at, standing.sent_at + REWRITE_SECONDS))


def _renew(standing: Standing, event: Event) -> Standing:
    """Already wanted: the newest is what will be sent, at the time that was set."""
    hurries = not isinstance(event, Changed) or event.urgent
    due_at = min(standing.due_at, event.at) if hurries else standing.due_at
    return replace(standing, revision=standing.revision + 1, due_at=due_at)


def _confirm(standing: Standing, event: Event) -> Standing:
    confirmed = _as(Confirmed, event)
    newest = confirmed.revision == standing.revision  # else that one goes when it is due
    state = State.THERE if newest else standing.state
    return replace(standing, state=state, sent_at=event.at, attempts=0)


def _try_again(standing: Standing, event: Event) -> Standing:
    wait = backoff_seconds(standing.attempts, _as(Failed, event).chance)
    return replace(standing, attempts=standing.attempts + 1, due_at=event.at + wait)


def _leave(standing: Standing, event: Event) -> Standing:
    return replace(
        standing, state=State.LEAVING, revision=standing.revision + 1, attempts=0, due_at=event.at
    )


def _gone(standing: Standing, event: Event) -> Standing:
    newest = _as(Removed, event).revision == standing.revision
    return replace(standing, state=State.GONE) if newest else standing


def _stay(standing: Standing, event: Event) -> Standing:
    return standing


RULES: Mapping[State, Mapping[type[Event], Rule]] = {
    State.WANTED: {
        Changed: _renew,
        Confirmed: _confirm,
        Failed: _try_again,
        Withdrawn: _leave,
        Removed: _stay,
        Damaged: _renew,
    },
    State.THERE: {
        Changed: _rewrite,
        Confirmed: _stay,
        Failed: _stay,
        Withdrawn: _leave,
        Damaged: _want,
    },
    State.LEAVING: {
        Changed: _want,
        Confirmed: _stay,  # it was under way when it was withdrawn: there, and still has to go
        Failed: _try_again,
        Withdrawn: _stay,
        Removed: _gone,
        Damaged: _stay,
    },
    State.GONE: {Changed: _want, Confirmed: _stay, Failed: _stay, Withdrawn: _stay, Removed: _stay},
}
