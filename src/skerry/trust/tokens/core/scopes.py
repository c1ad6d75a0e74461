"""What a token may do, and how a client asks for it.

Owns the scope strings of the registry token protocol ("Docker Registry v2 authentication",
distribution `spec/auth/scope.md`) and the `access` claim (`spec/auth/jwt.md`). Never decides who
may have what.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from skerry.base.errors import BadInput

SCOPES_MAX = 32
SCOPE_CHARS_MAX = 1024
REPOSITORY = "repository"


class Action(StrEnum):
    """What can be done to a repository."""

    PULL = "pull"
    PUSH = "push"
    DELETE = "delete"


EVERY = frozenset(Action)
Actions = frozenset[Action]


@dataclass(frozen=True, slots=True)
class Scope:
    """One resource and what is wanted of it; `actions` of unknown names are left out."""

    kind: str
    name: str
    actions: Actions

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}:{','.join(sorted(self.actions))}"


def parse_scopes(values: Iterable[str]) -> tuple[Scope, ...]:
    """The `scope` parameters of a token request, each of which may hold several.

    Actions of one resource are put together. Raises BadInput.
    """
    found: dict[tuple[str, str], Actions] = {}
    for text in (part for value in values for part in value.split(" ") if part):
        scope = _parse(text)
        key = (scope.kind, scope.name)
        found[key] = found.get(key, frozenset()) | scope.actions
        if len(found) > SCOPES_MAX:
            raise BadInput(f"over {SCOPES_MAX} scopes are asked for", next_step="ask for fewer")
    return tuple(Scope(kind, name, actions) for (kind, name), actions in found.items())


def _parse(text: str) -> Scope:
    kind, first, rest = text.partition(":")
    # A name may hold a port: what is wanted comes behind the last colon.
    name, last, actions = rest.rpartition(":")
    if not first or not last or not kind or not name or len(text) > SCOPE_CHARS_MAX:
        raise BadInput(
            "a scope is not type:name:actions", next_step="write repository:NAME:pull,push"
        )
    wanted = actions.split(",")
    # `kind(class)` is from a time when plugins were images (scope.md "Resource Class").
    return Scope(kind.partition("(")[0], name, EVERY if "*" in wanted else known_actions(wanted))


def known_actions(names: Iterable[str]) -> Actions:
    """Those of the names that are actions."""
    return frozenset(Action(name) for name in names if name in EVERY)


def access_claim(granted: Iterable[Scope]) -> list[dict[str, object]]:
    """The `access` claim: what was granted, nothing for what was not."""
    return [
        {"type": scope.kind, "name": scope.name, "actions": sorted(scope.actions)}
        for scope in granted
        if scope.actions
    ]


def read_access(claim: object) -> Mapping[str, Actions]:
    """Repository -> actions of an `access` claim. Anything of another shape grants nothing."""
    found: dict[str, Actions] = {}
    for entry in claim if isinstance(claim, list) else ():
        if not isinstance(entry, dict) or entry.get("type") != REPOSITORY:
            continue
        name, actions = entry.get("name"), entry.get("actions")
        if isinstance(name, str) and isinstance(actions, list):
            named = known_actions(each for each in actions if isinstance(each, str))
            found[name] = found.get(name, frozenset()) | named
    return found
