"""Refresh tokens: what one buys, and what using one twice means.

Owns the life of a family, the tokens that follow from one login. A family that rotates gives a new
refresh token for each that is used; one that was used before can only have been copied, so the
whole family ends (RFC 9700 section 4.14.2, RFC 6749 section 10.4). A family that does not rotate
is the `offline_token` of the registry protocol, which its clients keep as it is (distribution
`spec/auth/token.md`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum


class Outcome(StrEnum):
    """What came of using a refresh token."""

    GOOD = "good"
    UNKNOWN = "unknown"
    EXPIRED = "expired"
    REPLAYED = "replayed"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class Family:
    """The refresh tokens of one login. Times are seconds since the epoch.

    Attributes:
        generation: the one that is good now.
        subject, groups: whose they are, as proved at the login.
    """

    name: str
    subject: str
    kind: str
    groups: tuple[str, ...]
    service: str
    generation: int
    rotates: bool
    issued_at: float
    expires_at: float
    revoked: bool = False


def used(
    family: Family | None, generation: int, *, service: str, now: float
) -> tuple[Outcome, Family | None]:
    """What using a token of a generation means, and the family to keep (None for no change).

    The token is known to be one that this node made.
    """
    if family is None or family.service != service or generation > family.generation:
        return Outcome.UNKNOWN, None
    if family.revoked:
        return Outcome.REVOKED, None
    if generation < family.generation:
        return Outcome.REPLAYED, replace(family, revoked=True)
    if now >= family.expires_at:
        return Outcome.EXPIRED, None
    if not family.rotates:
        return Outcome.GOOD, None
    return Outcome.GOOD, replace(family, generation=generation + 1)
