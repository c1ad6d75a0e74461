"""Who somebody is, from what they show.

Owns the ways to prove it: a password of the users file, a robot's secret, an ID token of a
configured issuer, a client certificate. Never logs or keeps what was shown: keyed hashes alone.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Protocol

from skerry.base.address import near_of
from skerry.base.clock import Clock
from skerry.base.errors import Party, SkerryError
from skerry.trust.tokens.core.rules import Identity, Kind
from skerry.trust.tokens.core.throttle import Throttle
from skerry.trust.tokens.ports import Robot, TokenBook
from skerry.trust.tokens.turns import Turns

ROBOT = "robot+"
"""Begins the name that a robot logs in with. A colon would end it (RFC 7617 section 2)."""
ID_TOKEN = "oidc"
"""The user name with which an ID token is sent as a password, by clients that know no other way."""


class LoginRefused(SkerryError):
    """What was shown proves nothing. `wait_seconds` is how long the next try is not looked at."""

    party = Party.CLIENT

    def __init__(self, what: str, *, wait_seconds: float = 0.0) -> None:
        step = f"try again in {wait_seconds:.0f} s" if wait_seconds else ""
        super().__init__(what, next_step=step)
        self.wait_seconds = wait_seconds


class Passwords(Protocol):
    """The people of the users file."""

    def proven(self, name: str, password: str) -> bool:
        """Whether this pair was already proven: quick."""

    def check(self, name: str, password: str) -> bool:
        """Whether the password is right: slow, for a thread."""

    def knows(self, name: str) -> bool:
        """Whether there is such a person."""


class IdTokens(Protocol):
    """The issuers whose word is taken."""

    async def identity(self, token: str) -> Identity:
        """Whose ID token that is. Raises LoginRefused."""


@dataclass(frozen=True, slots=True)
class CertificateName:
    """A client certificate that is somebody: `match` is a pattern for one of its names, such as
    `cn:node-7` or `uri:spiffe://site/*`."""

    match: str
    identity: str
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Known:
    """Who there is, as the settings say."""

    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    certificates: Sequence[CertificateName] = ()

    def groups_of(self, name: str) -> tuple[str, ...]:
        """The groups of an identity."""
        return tuple(group for group, members in self.groups.items() if name in members)


class Identities:
    """Proves identities."""

    def __init__(
        self,
        *,
        passwords: Passwords | None,
        book: TokenBook,
        id_tokens: IdTokens | None,
        known: Known,
        clock: Clock,
        now: Callable[[], float],
    ) -> None:
        """`now` is the high-water clock's."""
        self._passwords = passwords
        self._book = book
        self._id_tokens = id_tokens
        self._known = known
        self._clock = clock
        self._now = now
        self._turns = Turns()
        self._throttle = Throttle()
        self._key = secrets.token_bytes(32)

    async def prove(self, name: str, password: str, client: str) -> Identity:
        """Who shows a name and a password; `client` is an address. Raises LoginRefused, Busy."""
        if name == ID_TOKEN and self._id_tokens is not None:
            return await self._id_tokens.identity(password)
        if self._passwords is not None and self._passwords.proven(name, password):
            return self.person(name)
        near, mark, at = near_of(client), self._mark(name, password), self._clock.monotonic()
        if self._throttle.refused_lately(mark, at):
            raise LoginRefused("the name or the password is wrong")
        wait = self._throttle.wait_seconds(name, near, at)
        if wait > 0:
            raise LoginRefused("too many wrong passwords for this name", wait_seconds=wait)
        found = self._robot(name, password)
        if found is None and not name.startswith(ROBOT):
            found = await self._person(name, password, near)
        if found is None:
            self._throttle.failed(name, near, mark, self._clock.monotonic())
            raise LoginRefused("the name or the password is wrong")
        self._throttle.succeeded(name, near)
        return found

    def is_proven(self, name: str, password: str) -> bool:
        """Whether that is right, as far as it can be told at once."""
        if self._robot(name, password) is not None:
            return True
        return self._passwords is not None and self._passwords.proven(name, password)

    def people_changed(self) -> None:
        """There are other people, or other passwords, than a moment ago."""
        self._throttle.look_again()

    def person(self, name: str) -> Identity:
        """Somebody of the users file, as the settings describe them now."""
        return Identity(name, Kind.USER, self._known.groups_of(name))

    def again(self, name: str, kind: str) -> Identity | None:
        """Somebody who has proved it before and holds on to that (a refresh token), as they are
        now; None when there is no such identity any more."""
        if kind == Kind.ROBOT:
            robot = self._book.robot(name.removeprefix(ROBOT))
            return self._as_identity(robot) if robot else None
        known = self._passwords is not None and self._passwords.knows(name)
        return self.person(name) if kind == Kind.USER and known else None

    def members(self, group: str) -> tuple[str, ...]:
        """Who the settings put into a group."""
        return self._known.groups.get(group, ())

    def certified(self, names: Sequence[str]) -> Identity | None:
        """Whose client certificate has these names; None when the settings name nobody."""
        for entry in self._known.certificates:
            if any(fnmatchcase(name, entry.match) for name in names):
                groups = (*entry.groups, *self._known.groups_of(entry.identity))
                return Identity(entry.identity, Kind.CERTIFICATE, tuple(dict.fromkeys(groups)))
        return None

    async def exchange(self, id_token: str) -> Identity:
        """Whose ID token that is. Raises LoginRefused."""
        if self._id_tokens is None:
            raise LoginRefused("this node takes no ID tokens")
        return await self._id_tokens.identity(id_token)

    def _robot(self, name: str, password: str) -> Identity | None:
        robot = self._book.robot(name.removeprefix(ROBOT)) if name.startswith(ROBOT) else None
        if robot is None or not hmac.compare_digest(robot.secret_hash, secret_hash(password)):
            return None
        return self._as_identity(robot)

    def _as_identity(self, robot: Robot) -> Identity | None:
        if robot.expires_at is not None and self._now() >= robot.expires_at:
            return None
        name = f"{ROBOT}{robot.name}"
        return Identity(name, Kind.ROBOT, self._known.groups_of(name), robot.grants)

    async def _person(self, name: str, password: str, near: str) -> Identity | None:
        if self._passwords is None:
            return None
        async with self._turns.turn(near, name):
            right = await asyncio.to_thread(self._passwords.check, name, password)
        # Asked again on the loop: the person may have been removed meanwhile.
        return self.person(name) if right and self._passwords.knows(name) else None

    def _mark(self, name: str, password: str) -> bytes:
        text = f"{len(name)}:{name}{password}".encode("utf-8", "surrogatepass")
        return hmac.digest(self._key, text, hashlib.sha256)


def secret_hash(secret: str) -> bytes:
    """What is kept of a secret of 256 random bits."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
