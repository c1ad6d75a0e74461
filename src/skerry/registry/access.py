"""Who is known at the registry's door, and what their tokens may hold.

Owns the translation between repositories and the names in scopes. What somebody may do is
`trust.tokens.core.rules`'s to say.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from skerry.registry.core.errors import RegistryError
from skerry.registry.core.names import NameTable, resolve
from skerry.registry.core.users import Users
from skerry.registry.ports import Repository
from skerry.trust.tokens.core.rules import Identity, Rules
from skerry.trust.tokens.core.scopes import REPOSITORY, Actions, Scope
from skerry.trust.tokens.identities import Identities

if TYPE_CHECKING:
    from skerry.trust.tokens.service import Tokens


@dataclass(frozen=True, slots=True)
class Access:
    """What a node has that knows somebody.

    Attributes:
        realm: where tokens are to be had, as clients reach it; "" for this door, as the client
            called it.
        users: the people of the users file; None without one.
    """

    identities: Identities
    tokens: Tokens
    rules: Rules = field(default_factory=Rules)
    realm: str = ""
    users: Users | None = None


class Rights:
    """Who may do what, by repository. `private` says whether an upstream is."""

    def __init__(
        self, rules: Rules, *, names: NameTable, private: Callable[[str], bool], open_to_all: bool
    ) -> None:
        """`open_to_all`: no rule and no upstream shuts anybody out."""
        self._rules = rules
        self._names = names
        self._private = private
        self.open_to_all = open_to_all

    def allowed(self, identity: Identity | None, repository: Repository) -> Actions:
        """What somebody may do, or anybody for None."""
        private = self._private(repository.upstream)
        return self._rules.allowed(identity, str(repository), private=private)

    def is_private(self, repository: Repository) -> bool:
        """Whether not everybody may pull."""
        return not self.open_to_all and not self.allowed(None, repository)

    def grant(self, identity: Identity | None, wanted: Sequence[Scope]) -> list[Scope]:
        """What of the wanted scopes somebody gets, under the repositories' full names.

        Less than was wanted is no error (distribution `spec/auth/token.md`).
        """
        granted: list[Scope] = []
        for scope in wanted:
            if scope.kind != REPOSITORY:
                continue
            try:
                repository = resolve(scope.name, None, self._names)
            except RegistryError:
                continue
            actions = scope.actions & self.allowed(identity, repository)
            granted.append(Scope(REPOSITORY, str(repository), actions))
        return granted
