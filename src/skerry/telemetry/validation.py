"""What was asked to be believed and was not, by cause.

Owns the causes and who is to blame for each: a count of attacks that also rises when an operator
lets a certificate run out is a count nobody looks at (requirements S4). Never holds a name.
"""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType

from skerry.telemetry.metrics import Registry


class Blame(StrEnum):
    """What a failure points at. Bounded: a metric label."""

    ATTACK = "attack"
    MISCONFIGURATION = "misconfiguration"


class Cause(StrEnum):
    """Why something was not believed. Bounded: a metric label."""

    # content
    DIGEST_MISMATCH = "digest_mismatch"
    MANIFEST_REFUSED = "manifest_refused"
    PUSH_REFUSED = "push_refused"
    # signatures
    SIGNATURE_MISSING = "signature_missing"
    SIGNATURE_INVALID = "signature_invalid"
    SIGNATURE_THRESHOLD = "signature_threshold"
    SIGNATURE_UNREACHABLE = "signature_unreachable"
    DOWNGRADE = "downgrade"
    ROOT_INVALID = "root_invalid"
    ROOT_ROLLBACK = "root_rollback"
    ROOT_EXPIRED = "root_expired"
    # tokens
    TOKEN_INVALID = "token_invalid"
    TOKEN_EXPIRED = "token_expired"
    TOKEN_REPLAYED = "token_replayed"
    SCOPE_EXCEEDED = "scope_exceeded"
    ANSWER_REFUSED = "answer_refused"
    # where a server wants to send us
    REALM_REFUSED = "realm_refused"
    REDIRECT_REFUSED = "redirect_refused"
    ADDRESS_REFUSED = "address_refused"
    # other nodes
    SIBLING_REFUSED = "sibling_refused"
    # names
    DNS_BOGUS = "dns_bogus"
    DNS_SIGNATURE_EXPIRED = "dns_signature_expired"
    DNS_SERVFAIL = "dns_servfail"
    DNS_NXDOMAIN_FLOOD = "dns_nxdomain_flood"
    DNS_REBINDING = "dns_rebinding"
    DELEGATION_DRIFT = "delegation_drift"
    CATALOG_ROLLBACK = "catalog_rollback"


_M = Blame.MISCONFIGURATION

BLAMES = MappingProxyType(
    dict.fromkeys(Cause, Blame.ATTACK)
    | {
        Cause.PUSH_REFUSED: _M,
        Cause.ANSWER_REFUSED: _M,
        Cause.SIGNATURE_MISSING: _M,
        Cause.SIGNATURE_THRESHOLD: _M,
        Cause.SIGNATURE_UNREACHABLE: _M,
        Cause.ROOT_EXPIRED: _M,
        Cause.TOKEN_EXPIRED: _M,
        Cause.SCOPE_EXCEEDED: _M,
        Cause.DNS_SIGNATURE_EXPIRED: _M,
        Cause.DNS_SERVFAIL: _M,
    }
)
"""What each cause most likely is. An image without signatures is one that somebody forgot to sign;
a signature that does not verify is one that somebody made up."""

STRANGERS = frozenset(
    {
        Cause.TOKEN_INVALID,
        Cause.TOKEN_REPLAYED,
        Cause.SIBLING_REFUSED,
        Cause.DNS_NXDOMAIN_FLOOD,
    }
)
"""Attacks that whoever reaches a door can try, as often as they like. Refusing them is daily work:
nobody is to be woken for one."""

OF_OUTAGES = frozenset({Cause.SIGNATURE_UNREACHABLE, Cause.DNS_SERVFAIL})
"""Mistakes that look the same as an outage: while something is lost, they are not told of."""


class ValidationFailures:
    """Counts what was not believed; one of them per node, handed to all that judge."""

    def __init__(self, metrics: Registry) -> None:
        self._failed = metrics.counter(
            "skerry_validation_failures",
            "What was not believed, by cause and by what that points at.",
            {"cause": Cause, "blame": Blame},
        )
        for cause in Cause:  # or the first of a kind would be a series that never rose
            self._failed.add(0, cause, BLAMES[cause])

    def failed(self, cause: Cause) -> None:
        """Counts one."""
        self._failed.add(1, cause, BLAMES[cause])

    def statistics(self) -> dict[Cause, int]:
        """How often each cause was met since start; causes that never were are 0."""
        return {cause: int(self._failed.value(cause, BLAMES[cause])) for cause in Cause}
