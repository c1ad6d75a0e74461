"""Whether a root may be used for something new now (requirements section 7, decision 1).

Owns the judgement. TUF forbids to trust expired metadata, and an outage forbids to renew it: so
what was admitted stays servable for ever, nothing new is admitted, and the way to go on is a grace
that the root's own threshold has signed, for this root, with an end.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from skerry.base.errors import BadInput
from skerry.trust.core.root import Fault, RootRefused, TrustRoot
from skerry.trust.core.statements import (
    AHEAD_SECONDS_MAX,
    Grace,
    read_grace,
    read_statement,
    signers_of,
)


class Standing(StrEnum):
    """How a root stands. Bounded: a metric label."""

    VALID = "valid"
    GRACE = "grace"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class GraceGiven:
    """A grace that enough holders signed.

    Attributes:
        holders: their names.
        body: the statement as it came.
    """

    grace: Grace
    holders: tuple[str, ...]
    body: bytes


def standing(root: TrustRoot, given: GraceGiven | None, now: float) -> Standing:
    """`now` in seconds since the epoch. A grace holds for its own root alone."""
    if now < root.expires_at:
        return Standing.VALID
    if given is None or given.grace.root_digest != root.digest:
        return Standing.EXPIRED
    inside = given.grace.begins_at - AHEAD_SECONDS_MAX <= now < given.grace.ends_at
    return Standing.GRACE if inside else Standing.EXPIRED


def given_grace(root: TrustRoot, data: bytes, now: float) -> GraceGiven:
    """A grace for a root, if enough of its holders signed it and it has not ended.

    Raises RootRefused.
    """
    try:
        statement = read_statement(data)
        grace = read_grace(statement)
    except BadInput as error:
        raise RootRefused(f"the grace cannot be read: {error.what}") from error
    if (grace.root_version, grace.root_digest) != (root.version, root.digest):
        raise RootRefused(
            f"the grace is for root {grace.root_version}, and root {root.version} is trusted"
        )
    made = signers_of(statement, (each.key for each in root.holders))
    holders = tuple(each.name for each in root.holders if each.key.fingerprint in made)
    if (lacking := root.threshold - len(holders)) > 0:
        raise RootRefused(f"the grace lacks signatures of {lacking} more holders")
    if grace.ends_at <= now:
        raise RootRefused("the grace has ended", fault=Fault.EXPIRED)
    return GraceGiven(grace, holders, data)
