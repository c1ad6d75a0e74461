"""Which route of the admin door needs which role.

Owns the one table (known failures T44). A route that is not in it is nobody's: default deny.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from skerry.trust.tokens.core.rules import Role

VIEWER, OPERATOR, ADMIN = Role.VIEWER, Role.OPERATOR, Role.ADMIN

NEEDED: Mapping[tuple[str, str], Role] = {
    ("GET", "/api/v1/status"): VIEWER,
    ("GET", "/api/v1/overview"): VIEWER,
    ("GET", "/api/v1/openapi.json"): VIEWER,
    ("GET", "/api/v1/horizon"): VIEWER,
    ("GET", "/api/v1/images"): VIEWER,
    ("DELETE", "/api/v1/images"): OPERATOR,
    ("POST", "/api/v1/warm"): OPERATOR,
    ("POST", "/api/v1/pins"): OPERATOR,
    ("DELETE", "/api/v1/pins"): OPERATOR,
    ("POST", "/api/v1/scrub"): OPERATOR,
    ("POST", "/api/v1/evict"): OPERATOR,
    # They name paths of the machine: whoever may use them reads and writes what the node can.
    ("POST", "/api/v1/export"): ADMIN,
    ("POST", "/api/v1/import"): ADMIN,
    ("GET", "/api/v1/events"): VIEWER,
    ("GET", "/api/v1/incidents"): VIEWER,
    ("GET", "/api/v1/bundles"): VIEWER,
    ("GET", "/api/v1/bundles/lines"): VIEWER,
    ("POST", "/api/v1/reload"): ADMIN,
    ("POST", "/api/v1/purge"): OPERATOR,
    ("GET", "/api/v1/purges"): VIEWER,
    ("POST", "/api/v1/prewarm"): OPERATOR,
    ("GET", "/api/v1/signatures"): VIEWER,
    ("POST", "/api/v1/signatures"): OPERATOR,
    ("GET", "/api/v1/domains"): VIEWER,
    ("POST", "/api/v1/domains/check"): OPERATOR,
    ("GET", "/api/v1/domains/snapshot"): VIEWER,
    ("GET", "/api/v1/names"): VIEWER,
    # It has the node ask the outside: who may only look could have it ask for anything.
    ("GET", "/api/v1/names/look"): OPERATOR,
    ("POST", "/api/v1/names/hold"): OPERATOR,
    ("POST", "/api/v1/names/release"): OPERATOR,
    ("GET", "/api/v1/root"): VIEWER,
    ("POST", "/api/v1/root"): ADMIN,
    # What opens it is the word of two owners, whoever carries it here.
    ("GET", "/api/v1/break-glass"): VIEWER,
    ("POST", "/api/v1/break-glass"): OPERATOR,
    ("GET", "/api/v1/audit"): VIEWER,
    ("GET", "/api/v1/alarms"): VIEWER,
    ("POST", "/api/v1/alarms"): OPERATOR,
    ("GET", "/api/v1/budget"): VIEWER,
    ("GET", "/api/v1/report"): VIEWER,
    ("GET", "/api/v1/baseline"): VIEWER,
    ("GET", "/api/v1/costs"): VIEWER,
    ("GET", "/api/v1/ledger"): VIEWER,
    ("GET", "/api/v1/ledger/focus"): VIEWER,
    ("GET", "/api/v1/ledger/verify"): VIEWER,
    ("GET", "/api/v1/outcomes"): VIEWER,
    ("POST", "/api/v1/outcomes"): OPERATOR,
    ("GET", "/api/v1/vault"): VIEWER,
    ("POST", "/api/v1/vault/verify"): OPERATOR,
    ("POST", "/api/v1/vault/repair"): OPERATOR,
    ("POST", "/api/v1/vault/restore"): OPERATOR,
    # Of others; one's own tokens anybody may revoke, and get one for a role of theirs.
    ("GET", "/api/v1/robots"): ADMIN,
    ("POST", "/api/v1/robots"): ADMIN,
    ("DELETE", "/api/v1/robots"): ADMIN,
    ("GET", "/api/v1/keys"): ADMIN,
    ("POST", "/api/v1/keys"): ADMIN,
    ("POST", "/api/v1/revocations"): VIEWER,
    ("POST", "/api/v1/tokens"): VIEWER,
    ("GET", "/api/v1/session"): VIEWER,
    ("DELETE", "/api/v1/session"): VIEWER,
}

OPEN = frozenset((("POST", "/api/v1/session"),))
"""What nobody in particular may ask for: to become somebody."""


def may(role: Role, method: str, path: str) -> bool:
    """Whether a role may use a route."""
    needed = NEEDED.get(("GET" if method == "HEAD" else method, path))
    return needed is not None and role.includes(needed)


@dataclass(frozen=True, slots=True)
class Roles:
    """Who has which role: names, and groups as `@name`."""

    viewers: Sequence[str] = ()
    operators: Sequence[str] = ()
    admins: Sequence[str] = ()

    def of(self, name: str, groups: Sequence[str]) -> Role | None:
        """The highest role of an identity; None for none."""
        mine = {name, *(f"@{group}" for group in groups)}
        listed = ((ADMIN, self.admins), (OPERATOR, self.operators), (VIEWER, self.viewers))
        return next((role for role, names in listed if not mine.isdisjoint(names)), None)
