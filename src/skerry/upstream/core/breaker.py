"""When a source is left alone, and when it is tried again.

Owns the decision as a table. Never reads a clock and draws no chance: both are arguments. What an
outcome weighs is `judge.weight`'s business.

A request that was allowed carries a ticket, so that a late answer from before an outage is never
taken for the probe's (known failures T30).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

FAILURES_MAX = 3
"""Consecutive failures that open a breaker."""
COOLDOWN_SECONDS = 2.0
COOLDOWN_SECONDS_MAX = 30.0
"""A healed source is tried again within this (requirements L4: live again within 30 s)."""
PROBE_SECONDS_MAX = 15.0
"""A probe that has said nothing for this long gives its place to the next one."""


class State(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True)
class Breaker:
    """One source's breaker.

    Attributes:
        failures: consecutive ones while closed.
        openings: consecutive ones without a whole success in between; sets the cooldown.
        until: while open, when the next probe may go; monotonic seconds.
        opened_at: when the outage began; monotonic seconds.
        probe: the ticket of the probe under way, 0 for none.
        probe_until: when that probe counts as stalled.
        ticket: the last one given out.
    """

    state: State = State.CLOSED
    failures: int = 0
    openings: int = 0
    until: float = 0.0
    opened_at: float = 0.0
    probe: int = 0
    probe_until: float = 0.0
    ticket: int = 0


@dataclass(frozen=True, slots=True)
class Asked:
    """Somebody wants to send a request."""


@dataclass(frozen=True, slots=True)
class Alive:
    """The first bytes of a good body are there; the rest may still fail."""

    ticket: int


@dataclass(frozen=True, slots=True)
class Succeeded:
    """A whole answer, 404 included: the source is alive."""

    ticket: int


@dataclass(frozen=True, slots=True)
class Failed:
    """A failure that counts. `jitter` is from 0 to 1, drawn by the caller."""

    ticket: int
    cause: str
    jitter: float = 1.0


@dataclass(frozen=True, slots=True)
class Released:
    """The request ended and says nothing about health: cancelled, denied, rate limited."""

    ticket: int


Event = Asked | Alive | Succeeded | Failed | Released


@dataclass(frozen=True, slots=True)
class Allow:
    """Send it; outcomes carry this ticket."""

    ticket: int


@dataclass(frozen=True, slots=True)
class Refuse:
    """Do not send it; ask again after so many seconds."""

    retry_after_seconds: float


@dataclass(frozen=True, slots=True)
class Opened:
    """To be told: the source is left alone for `cooldown_seconds`."""

    cause: str
    cooldown_seconds: float


@dataclass(frozen=True, slots=True)
class Closed:
    """To be told: the source is back after `outage_seconds`."""

    outage_seconds: float


Command = Allow | Refuse | Opened | Closed
Step = tuple[Breaker, tuple[Command, ...]]
Rule = Callable[[Breaker, Event, float], Step]


def cooldown_seconds(openings: int, jitter: float) -> float:
    """How long the n-th opening in a row lasts: doubling, at most a bound, spread by jitter."""
    longest = min(COOLDOWN_SECONDS_MAX, COOLDOWN_SECONDS * 2.0 ** min(openings - 1, 16))
    return longest * (0.75 + 0.25 * min(max(jitter, 0.0), 1.0))


def _ignore(breaker: Breaker, event: Event, now: float) -> Step:
    return breaker, ()


def _allow(breaker: Breaker, event: Event, now: float) -> Step:
    ticket = breaker.ticket + 1
    return replace(breaker, ticket=ticket), (Allow(ticket),)


def _refuse_or_probe(breaker: Breaker, event: Event, now: float) -> Step:
    if now < breaker.until:
        return breaker, (Refuse(breaker.until - now),)
    return _probe(breaker, now)


def _wait_for_probe(breaker: Breaker, event: Event, now: float) -> Step:
    if breaker.probe and now < breaker.probe_until:
        return breaker, (Refuse(breaker.probe_until - now),)
    return _probe(breaker, now)


def _probe(breaker: Breaker, now: float) -> Step:
    ticket = breaker.ticket + 1
    probing = replace(
        breaker,
        state=State.HALF_OPEN,
        ticket=ticket,
        probe=ticket,
        probe_until=now + PROBE_SECONDS_MAX,
    )
    return probing, (Allow(ticket),)


def _reset(breaker: Breaker, event: Event, now: float) -> Step:
    if not (breaker.failures or breaker.openings):
        return breaker, ()
    return replace(breaker, failures=0, openings=0), ()


def _count(breaker: Breaker, event: Event, now: float) -> Step:
    failures = breaker.failures + 1
    if failures < FAILURES_MAX:
        return replace(breaker, failures=failures), ()
    return _open(breaker, _as_failed(event), now, began=now)


def _reopen(breaker: Breaker, event: Event, now: float) -> Step:
    failed = _as_failed(event)
    if failed.ticket != breaker.probe:
        return breaker, ()
    return _open(breaker, failed, now, began=breaker.opened_at)


def _open(breaker: Breaker, failed: Failed, now: float, *, began: float) -> Step:
    openings = breaker.openings + 1
    seconds = cooldown_seconds(openings, failed.jitter)
    opened = replace(
        breaker,
        state=State.OPEN,
        failures=0,
        openings=openings,
        until=now + seconds,
        opened_at=began,
        probe=0,
    )
    return opened, (Opened(failed.cause, seconds),)


def _close(breaker: Breaker, event: Event, now: float) -> Step:
    if _ticket(event) != breaker.probe:
        return breaker, ()
    closed = replace(breaker, state=State.CLOSED, failures=0, openings=0, probe=0)
    return closed, (Closed(now - breaker.opened_at),)


def _close_on_parole(breaker: Breaker, event: Event, now: float) -> Step:
    """Others may go while the probe's body still flows, but the next failure opens again."""
    if _ticket(event) != breaker.probe:
        return breaker, ()
    closed = replace(breaker, state=State.CLOSED, failures=FAILURES_MAX - 1, probe=0)
    return closed, (Closed(now - breaker.opened_at),)


def _release(breaker: Breaker, event: Event, now: float) -> Step:
    if _ticket(event) != breaker.probe:
        return breaker, ()
    return replace(breaker, probe=0), ()


def _ticket(event: Event) -> int:
    return 0 if isinstance(event, Asked) else event.ticket


def _as_failed(event: Event) -> Failed:
    if not isinstance(event, Failed):
        raise TypeError(f"{type(event).__name__} is not a failure")
    return event


RULES: Mapping[State, Mapping[type[Event], Rule]] = {
    State.CLOSED: {
        Asked: _allow,
        Alive: _ignore,  # the end of the body decides: heads alone must not hide cut bodies
        Succeeded: _reset,
        Failed: _count,
        Released: _ignore,
    },
    State.OPEN: {
        Asked: _refuse_or_probe,
        Alive: _ignore,
        Succeeded: _ignore,
        Failed: _ignore,
        Released: _ignore,
    },
    State.HALF_OPEN: {
        Asked: _wait_for_probe,
        Alive: _close_on_parole,
        Succeeded: _close,
        Failed: _reopen,
        Released: _release,
    },
}


def step(breaker: Breaker, event: Event, now: float) -> Step:
    """The breaker after an event, and what to do about it. `now` is monotonic seconds."""
    return RULES[breaker.state][type(event)](breaker, event, now)


def refused_seconds(breaker: Breaker, now: float) -> float:
    """How long a request would be refused from now; 0 when one may go."""
    if breaker.state is State.OPEN:
        return max(0.0, breaker.until - now)
    if breaker.state is State.HALF_OPEN and breaker.probe:
        return max(0.0, breaker.probe_until - now)
    return 0.0
