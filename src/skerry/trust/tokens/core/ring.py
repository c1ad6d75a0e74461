"""The keys that tokens are signed with: which one now, which are still believed, when to change.

Owns the life of a key as a table. Never holds a private key: `name` stands for one. A key is shown
to others (JWKS) before it signs and believed after it has stopped, so that a change of keys loses
no token and no transfer. Keys that somebody may have read are not rotated but dropped, all of them:
whoever has read one has read the next one too.

NEXT -> SIGNING -> BELIEVED -> gone
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum


class Phase(StrEnum):
    """Where a key is in its life."""

    NEXT = "next"
    SIGNING = "signing"
    BELIEVED = "believed"


@dataclass(frozen=True, slots=True)
class RingKey:
    """One key. Times are seconds since the epoch.

    Attributes:
        since: when it came into its phase.
        until: when it is believed no more; None while it is not on its way out.
    """

    name: str
    algorithm: str
    phase: Phase
    since: float
    until: float | None = None


Ring = tuple[RingKey, ...]

FOLLOWS: Mapping[Phase, Phase | None] = {
    Phase.NEXT: Phase.SIGNING,
    Phase.SIGNING: Phase.BELIEVED,
    Phase.BELIEVED: None,
}
"""What a key becomes when the keys change."""


def rotated(ring: Ring, *, now: float, token_seconds: float) -> Ring:
    """Every key goes on by one phase; the one that signed is believed until the last token it
    signed has ended, `token_seconds` from now."""
    kept: list[RingKey] = []
    for key in without_gone(ring, now):
        phase = FOLLOWS[key.phase]
        if phase is Phase.SIGNING:
            kept.append(replace(key, phase=phase, since=now))
        elif phase is Phase.BELIEVED:
            kept.append(replace(key, phase=phase, since=now, until=now + token_seconds))
        else:
            kept.append(key)  # two changes in a row: its tokens have not ended yet
    return tuple(kept)


def completed(ring: Ring, make: Callable[[], tuple[str, str]], now: float) -> Ring:
    """With a key that signs and one that is next, made where they are missing: `make` gives name
    and algorithm of a new key."""
    for phase in (Phase.SIGNING, Phase.NEXT):
        if not any(key.phase is phase for key in ring):
            name, algorithm = make()
            ring = (*ring, RingKey(name, algorithm, phase, now))
    return ring


def signing(ring: Ring) -> RingKey | None:
    """The key that signs."""
    return next((key for key in ring if key.phase is Phase.SIGNING), None)


def believed(ring: Ring, name: str, now: float) -> RingKey | None:
    """The key of a name, while what it signed is believed. One that is next has signed nothing."""
    for key in ring:
        if key.name == name and key.phase is not Phase.NEXT:
            return key if key.until is None or now < key.until else None
    return None


def due(ring: Ring, *, now: float, period_seconds: float, algorithm: str) -> bool:
    """Whether the keys should change: there is none, it has signed long enough, or the operator
    wants another algorithm."""
    current = signing(ring)
    if current is None or current.algorithm != algorithm:
        return True
    return now >= current.since + period_seconds


def without_gone(ring: Ring, now: float) -> Ring:
    """Without the keys that nothing believes any more."""
    return tuple(key for key in ring if key.until is None or now < key.until)
