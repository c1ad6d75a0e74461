"""DNS answers and what is thought of them, as values.

Owns the words: RFC 4033 section 5 (secure, insecure, bogus, indeterminate), RFC 8914 (extended
errors). Never judges.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from enum import IntEnum, StrEnum

import dns.message
import dns.name
import dns.rdatatype
import dns.rrset

Name = dns.name.Name
Kind = dns.rdatatype.RdataType
RRset = dns.rrset.RRset
Message = dns.message.Message

TTL_SECONDS_MAX = 7 * 86400
"""RFC 8767 section 4."""
NEGATIVE_TTL_SECONDS_MAX = 3 * 3600
"""RFC 2308 section 5."""


UNBOUNDED_DENIAL_SECONDS = 30.0
"""How long a denial lives that has no SOA to say so: some forwarders leave it out."""


class Security(StrEnum):
    """What a chain of signatures says of an answer. Bounded: a metric label."""

    SECURE = "secure"
    INSECURE = "insecure"
    BOGUS = "bogus"
    INDETERMINATE = "indeterminate"


class Ede(IntEnum):
    """Why, for those who can read it (RFC 8914 section 4, and 27 of its registry)."""

    UNSUPPORTED_ALGORITHM = 1
    UNSUPPORTED_DIGEST = 2
    STALE_ANSWER = 3
    BOGUS = 6
    SIGNATURE_EXPIRED = 7
    NOT_YET_VALID = 8
    DNSKEY_MISSING = 9
    RRSIGS_MISSING = 10
    NSEC_MISSING = 12
    CACHED_ERROR = 13
    BLOCKED = 15
    PROHIBITED = 18
    STALE_NXDOMAIN = 19
    NOT_SUPPORTED = 21
    NO_REACHABLE_AUTHORITY = 22
    NETWORK_ERROR = 23
    ITERATIONS = 27


@dataclass(frozen=True, slots=True)
class Why:
    """Why an answer is not more than it is: a code and a sentence that names what was found."""

    ede: Ede
    what: str


@dataclass(frozen=True, slots=True)
class Ask:
    """A question that a judgement needs answered: to be asked with checking disabled."""

    name: Name
    kind: Kind


@dataclass(frozen=True, slots=True)
class Answer:
    """What is known of one question.

    Attributes:
        rcode: 0 or 3 for an answer; SERVFAIL when bogus.
        answer, authority: with their signatures; what has nothing to do with the question is left
            out.
        ttl_seconds: for the whole.
        signed_until: when the first of its signatures ends, in seconds since the epoch; None
            without.
        why: what keeps it from being secure, or None.
    """

    name: Name
    kind: Kind
    rcode: int
    answer: tuple[RRset, ...] = ()
    authority: tuple[RRset, ...] = ()
    security: Security = Security.INDETERMINATE
    ttl_seconds: float = 0.0
    signed_until: float | None = None
    why: Why | None = None


class Unanswered(Exception):
    """Nobody answered a question that a judgement needs; the answer cannot be judged now."""

    def __init__(self, ask: Ask) -> None:
        super().__init__(f"no answer for {ask.name} {dns.rdatatype.to_text(ask.kind)}")


Judging = Generator[Ask, "Message | None", Answer]
"""Asks, is sent what was answered (None: nobody did), and returns its judgement. Raises
Unanswered."""


def sections(rrsets: list[RRset], name: Name, kind: Kind) -> RRset | None:
    """The set of a name and type in a section."""
    return next((each for each in rrsets if each.name == name and each.rdtype == kind), None)


def signatures(rrsets: list[RRset], name: Name, kind: Kind) -> RRset | None:
    """The signatures over the set of a name and type in a section."""
    for each in rrsets:
        if each.name == name and each.rdtype == Kind.RRSIG and each.covers == kind:
            return each
    return None
