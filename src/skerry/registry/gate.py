"""Who may pull and push.

Owns the decision by repository: pulling is open unless the upstream is private; pushing needs a
known user. Never forwards a client's credentials to an upstream (requirements D2).
"""

from __future__ import annotations

import asyncio
from collections import Counter

from skerry.base.address import near_of
from skerry.base.errors import Party
from skerry.registry.core.errors import Code, RegistryError
from skerry.registry.core.users import Users, parse_basic
from skerry.registry.ports import Repository
from skerry.wire.message import Request

_CHALLENGE = ("WWW-Authenticate", 'Basic realm="skerry", charset="UTF-8"')

CHECKS_MAX = 64
CLIENT_CHECKS_MAX = 16
"""Passwords that wait to be checked, of everybody and of one client; more are refused unread."""


class Gate:
    """Checks requests of the registry's door. `users` is None when nobody is known."""

    def __init__(
        self, *, users: Users | None, private: frozenset[str], local_enabled: bool
    ) -> None:
        self._users = users
        self._private = private
        self._local_enabled = local_enabled
        # bcrypt costs a tenth of a second of a core: guessing must leave the others theirs.
        self._turn = asyncio.Semaphore(1)
        self._checks: Counter[str] = Counter()

    def is_private(self, repository: Repository) -> bool:
        """Whether pulling needs a user."""
        return repository.upstream in self._private

    async def greet(self, request: Request) -> tuple[tuple[str, str], ...]:
        """For `/v2/`: proves credentials if there are any, so that a login with wrong ones fails.

        Returns the challenge that tells clients credentials are understood here; anonymous pulls
        go on working. Raises RegistryError (401).
        """
        if self._users is None:
            return ()
        if _credentials(request) is not None:
            await self._prove(request, self._users)
        return (_CHALLENGE,)

    async def check(self, request: Request, repository: Repository, *, writing: bool) -> None:
        """Raises RegistryError: 401 without good credentials, 405 where nobody can push."""
        if writing and not repository.local:
            raise RegistryError(
                Code.UNSUPPORTED,
                f"{repository} mirrors an upstream and takes no pushes",
                next_step="push to the upstream, or to a namespace of registry.local.namespaces",
            )
        if writing and not self._local_enabled:
            raise RegistryError(
                Code.UNSUPPORTED,
                "local repositories are off",
                next_step="set registry.local.enabled and registry.users_file",
                party=Party.OPERATOR,
            )
        if not writing and not self.is_private(repository):
            return
        if self._users is None:
            raise RegistryError(
                Code.DENIED,
                f"{repository} needs credentials and this node knows no users",
                next_step="set registry.users_file",
                party=Party.OPERATOR,
            )
        await self._prove(request, self._users)

    async def _prove(self, request: Request, users: Users) -> None:
        found = _credentials(request)
        if found is not None:
            if users.proven(*found):
                return
            if await self._checked(near_of(request.client), users, found):
                return
        raise RegistryError(
            Code.UNAUTHORIZED, "credentials are needed or wrong", headers=(_CHALLENGE,)
        )

    async def _checked(self, near: str, users: Users, found: tuple[str, str]) -> bool:
        if self._checks[near] >= CLIENT_CHECKS_MAX or self._checks.total() >= CHECKS_MAX:
            raise RegistryError(
                Code.UNAVAILABLE,
                "too many passwords wait to be checked",
                next_step="try again in 1 s",
                headers=(("Retry-After", "1"),),
            )
        self._checks[near] += 1
        try:
            async with self._turn:
                return await asyncio.to_thread(users.check, *found)
        finally:
            self._checks[near] -= 1
            if not self._checks[near]:
                del self._checks[near]


def _credentials(request: Request) -> tuple[str, str] | None:
    """Name and password, None for none; some clients send an empty pair for "anonymous"."""
    found = parse_basic(request.headers.get("Authorization"))
    return None if found in (None, ("", "")) else found
