"""Who may do what to which repository.

Owns the rules of `[[registry.access]]` and their default. Never knows how somebody proved who they
are, nor what a repository holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase

from skerry.trust.tokens.core.scopes import EVERY, Action, Actions

NOTHING: Actions = frozenset()
PULL: Actions = frozenset((Action.PULL,))


class Kind(StrEnum):
    """How somebody is known here."""

    USER = "user"
    ROBOT = "robot"
    WORKLOAD = "workload"
    CERTIFICATE = "certificate"


class Role(StrEnum):
    """What somebody may do at the admin door; each includes the ones before it."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"

    def includes(self, other: Role) -> bool:
        """Whether who has this role may do what needs the other."""
        order = tuple(Role)
        return order.index(self) >= order.index(other)


@dataclass(frozen=True, slots=True)
class Grant:
    """Actions on the repositories that match a pattern (fnmatch, whole names)."""

    repositories: tuple[str, ...]
    actions: Actions

    def gives(self, repository: str) -> Actions:
        """The actions on one repository."""
        return self.actions if matches(self.repositories, repository) else NOTHING


@dataclass(frozen=True, slots=True)
class Identity:
    """Somebody who has proved who they are.

    Attributes:
        name: unique over all kinds: only people have names without `+` and `:`.
        groups: what they belong to.
        grants: what they may do, whatever the rules say; None for who is under the rules.
    """

    name: str
    kind: Kind
    groups: tuple[str, ...] = ()
    grants: tuple[Grant, ...] | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """One `[[registry.access]]`: what these identities and groups may do to these repositories."""

    repositories: tuple[str, ...]
    identities: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    actions: Actions = PULL
    anonymous_pull: bool = False

    def names(self, identity: Identity) -> bool:
        """Whether the rule is about somebody."""
        return identity.name in self.identities or not self.groups.isdisjoint(identity.groups)


@dataclass(frozen=True, slots=True)
class Rules:
    """All of them. A repository that one matches is under the rules that match it, added up;
    any other is as ever: pulled by everybody unless its upstream is private, and by everybody
    who is known, who may also write where writing is possible at all."""

    rules: Sequence[Rule] = ()

    def allowed(self, identity: Identity | None, repository: str, *, private: bool) -> Actions:
        """What somebody, or anybody for None, may do. `private` is the upstream's."""
        about = [rule for rule in self.rules if matches(rule.repositories, repository)]
        if about:
            everybody = PULL if any(rule.anonymous_pull for rule in about) else NOTHING
        else:
            everybody = NOTHING if private else PULL
        if identity is None:
            return everybody
        if identity.grants is not None:
            own = NOTHING.union(*(grant.gives(repository) for grant in identity.grants))
        elif about:
            own = NOTHING.union(*(rule.actions for rule in about if rule.names(identity)))
        else:
            own = EVERY
        return everybody | own


def matches(patterns: Sequence[str], repository: str) -> bool:
    """Whether one of the patterns is the repository's."""
    return any(fnmatchcase(repository, pattern) for pattern in patterns)
