"""Which workloads of an issuer are somebody here.

Owns the conditions on an ID token's claims and what follows from them. Never sees a signature.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from skerry.trust.tokens.core.rules import Grant, Identity, Kind

SUBJECT_CHARS_MAX = 255


@dataclass(frozen=True, slots=True)
class Condition:
    """A claim and a pattern (fnmatch) for its value."""

    claim: str
    pattern: str

    @classmethod
    def parse(cls, text: str) -> Condition:
        """`repository=org/*`."""
        claim, _, pattern = text.partition("=")
        return cls(claim, pattern)

    def holds(self, claims: Mapping[str, object]) -> bool:
        """Of a list one member is enough; what is not there matches nothing."""
        value = claims.get(self.claim)
        values = value if isinstance(value, list) else [value]
        return any(fnmatchcase(text, self.pattern) for text in map(_text, values) if text)


@dataclass(frozen=True, slots=True)
class WorkloadGrant:
    """What workloads for which all conditions hold may do, and the groups they belong to."""

    conditions: tuple[Condition, ...]
    grant: Grant
    groups: tuple[str, ...] = ()


def workload(
    issuer: str, claims: Mapping[str, object], grants: Sequence[WorkloadGrant]
) -> Identity | None:
    """Who the holder of an ID token is; None when no grant is for them.

    The name begins with the issuer's and a colon, which no other identity's has.
    """
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= SUBJECT_CHARS_MAX:
        return None
    mine = [each for each in grants if all(one.holds(claims) for one in each.conditions)]
    if not mine or not subject.isprintable():
        return None
    groups = tuple(dict.fromkeys(name for each in mine for name in each.groups))
    given = tuple(each.grant for each in mine)
    return Identity(f"{issuer}:{subject}", Kind.WORKLOAD, groups, given)


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, str | int) else ""
