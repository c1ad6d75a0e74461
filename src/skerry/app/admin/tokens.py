"""The admin door's routes about robots, revocations, keys and its own tokens.

Owns their JSON, and that nobody gets or takes what is another's (known failures T44): tokens of the
admin door are for who asks, in a role of theirs; the tokens of others only an admin revokes.
"""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING, Literal

import msgspec

from skerry.app.admin.access import Access
from skerry.app.admin.replies import Forbidden, Routes, json_answer, read_body
from skerry.app.admin.sessions import Asker
from skerry.app.settings.checks.access import ACTIONS, REPOSITORY_PATTERN
from skerry.base.errors import BadInput, Party, SkerryError
from skerry.telemetry.events import Events
from skerry.trust.tokens.core.rules import Grant, Identity, Kind, Role
from skerry.trust.tokens.core.scopes import known_actions
from skerry.trust.tokens.identities import ROBOT, secret_hash
from skerry.trust.tokens.ports import ROBOTS_MAX, TOKEN_SECONDS_MAX, Robot
from skerry.wire.message import Answer, Request

if TYPE_CHECKING:
    from skerry.registry.access import Access as Known

LIFETIME_SECONDS_MIN, LIFETIME_SECONDS_MAX = 60.0, 10 * 365 * 86400.0
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}\Z")


class RobotRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of POST /api/v1/robots. Without a lifetime it does not expire."""

    name: str
    repositories: tuple[str, ...]
    actions: tuple[str, ...] = ("pull",)
    lifetime_seconds: float | None = None


class RobotRow(msgspec.Struct, frozen=True):
    """A robot; `login` is the name that it logs in with."""

    name: str
    login: str
    repositories: tuple[str, ...]
    actions: tuple[str, ...]
    made_at: float
    made_by: str
    expires_at: float | None
    expired: bool


class RobotMade(msgspec.Struct, frozen=True):
    """A new robot with its secret, which is shown this once."""

    robot: RobotRow
    secret: str


class RobotList(msgspec.Struct, frozen=True):
    """The answer of GET /api/v1/robots."""

    robots: list[RobotRow]


class RobotGone(msgspec.Struct, frozen=True):
    """The answer of DELETE /api/v1/robots."""

    name: str


class RevokeRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of POST /api/v1/revocations: one of them."""

    token_id: str | None = None
    identity: str | None = None
    group: str | None = None


class Revoked(msgspec.Struct, frozen=True):
    """What is believed no more, when it was made up to `at`."""

    kind: Literal["token", "identity", "group"]
    name: str
    at: float


class KeysRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of POST /api/v1/keys."""

    compromised: bool = False


class KeyRow(msgspec.Struct, frozen=True):
    """A key that tokens are signed with."""

    kid: str
    algorithm: str
    phase: str
    since: float
    until: float | None


class Keys(msgspec.Struct, frozen=True):
    """The keys, and what this node is called in tokens."""

    service: str
    keys: list[KeyRow]
    issued_count: int
    refused_count: int


class TokenRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of POST /api/v1/tokens: a token of this door, in a role of the asker's."""

    role: Role = Role.VIEWER


class TokenMade(msgspec.Struct, frozen=True):
    """A token of the admin door."""

    token: str
    role: Role
    expires_in: int


class TokenDesk:
    """The routes."""

    def __init__(self, access: Access, events: Events) -> None:
        self._access = access
        self._events = events

    @property
    def routes(self) -> Routes:
        """Path, method, route."""
        return {
            "/api/v1/robots": {"GET": self._list, "POST": self._new, "DELETE": self._delete},
            "/api/v1/revocations": {"POST": self._revoke},
            "/api/v1/keys": {"GET": self._keys, "POST": self._rotate},
            "/api/v1/tokens": {"POST": self._mint},
        }

    @property
    def _known(self) -> Known:
        if self._access.known is None:
            raise SkerryError(
                "this node knows nobody and makes no tokens",
                next_step="set registry.users_file, or access.robots = true, and restart it",
                party=Party.OPERATOR,
            )
        return self._access.known

    def _asker(self, request: Request) -> Asker:
        asker, _ = self._access.asker(request)
        if asker is None:
            raise Forbidden("nobody in particular asks", next_step="log in")
        return asker

    # robots

    async def _list(self, request: Request) -> Answer:
        return json_answer(
            RobotList([self._row(each) for each in self._known.tokens.book.robots()])
        )

    async def _new(self, request: Request) -> Answer:
        asker, wanted = self._asker(request), await read_body(request, RobotRequest)
        _check(wanted)
        now = self._known.tokens.now()
        secret = f"skr_{secrets.token_urlsafe(32)}"
        lifetime = wanted.lifetime_seconds
        robot = Robot(
            name=wanted.name,
            secret_hash=secret_hash(secret),
            grants=(Grant(wanted.repositories, known_actions(wanted.actions)),),
            made_at=now,
            expires_at=None if lifetime is None else now + lifetime,
            made_by=asker.name,
        )
        if not await self._known.tokens.book.put_robot(robot):
            step = f"revoke it first, or choose another name; {ROBOTS_MAX} can be kept"
            raise SkerryError("there is a robot of that name", next_step=step, party=Party.CLIENT)
        self._tell("access.robot_made", robot.name, asker)
        return json_answer(RobotMade(self._row(robot), secret))

    async def _delete(self, request: Request) -> Answer:
        asker, name = self._asker(request), request.query_value("name") or ""
        tokens = self._known.tokens
        if not await tokens.book.delete_robot(name):
            raise BadInput("there is no robot of that name", next_step="see skerry robots list")
        await tokens.book.revoke_subject(f"{ROBOT}{name}", at=tokens.now())
        self._tell("access.robot_revoked", name, asker)
        return json_answer(RobotGone(name))

    def _row(self, robot: Robot) -> RobotRow:
        repositories = tuple(each for grant in robot.grants for each in grant.repositories)
        actions = {each for grant in robot.grants for each in grant.actions}
        ends = robot.expires_at
        return RobotRow(
            robot.name,
            f"{ROBOT}{robot.name}",
            repositories,
            tuple(sorted(actions)),
            robot.made_at,
            robot.made_by,
            ends,
            ends is not None and self._known.tokens.now() >= ends,
        )

    # revocations

    async def _revoke(self, request: Request) -> Answer:
        asker, wanted = self._asker(request), await read_body(request, RevokeRequest)
        given = [
            (kind, name)
            for kind, name in (
                ("token", wanted.token_id),
                ("identity", wanted.identity),
                ("group", wanted.group),
            )
            if name
        ]
        if len(given) != 1:
            raise BadInput("one of token_id, identity and group is needed", next_step="send one")
        kind, name = given[0]
        if not asker.role.includes(Role.ADMIN) and (kind, name) != ("identity", asker.name):
            raise Forbidden("only an admin revokes what is another's", next_step="ask one")
        tokens = self._known.tokens
        now = tokens.now()
        if kind == "token":
            await tokens.book.revoke_token(name, until=now + TOKEN_SECONDS_MAX)
        elif kind == "identity":
            await self._revoke_identity(name, now)
        else:
            await tokens.book.revoke_group(name, at=now)
            for member in self._known.identities.members(name):
                await self._revoke_identity(member, now)
            await self._access.sessions.end_all(lambda each: name in each.groups)
        self._tell("access.revoked", f"{kind} {name}", asker)
        return json_answer({"kind": kind, "name": name, "at": now})

    async def _revoke_identity(self, name: str, now: float) -> None:
        await self._known.tokens.book.revoke_subject(name, at=now)
        await self._access.sessions.end_all(lambda each: each.name == name)

    # keys and tokens

    async def _keys(self, request: Request) -> Answer:
        tokens = self._known.tokens
        rows = [
            KeyRow(key.name, key.algorithm, key.phase.value, key.since, key.until)
            for key in tokens.ring
        ]
        seen = tokens.statistics()
        return json_answer(Keys(tokens.service, rows, seen.issued_count, seen.refused_count))

    async def _rotate(self, request: Request) -> Answer:
        asker, wanted = self._asker(request), await read_body(request, KeysRequest)
        await self._known.tokens.rotate(compromised=wanted.compromised)
        if wanted.compromised:
            await self._access.sessions.end_all(lambda each: True)
        self._tell("access.keys_changed", "compromised" if wanted.compromised else "rotated", asker)
        return await self._keys(request)

    async def _mint(self, request: Request) -> Answer:
        asker, wanted = self._asker(request), await read_body(request, TokenRequest)
        if not asker.role.includes(wanted.role):
            raise Forbidden(f"your role is {asker.role}", next_step=f"ask for {asker.role} or less")
        tokens = self._known.tokens
        identity = Identity(asker.name, Kind.USER, asker.groups)
        issued = tokens.issue(identity, audience=tokens.admin_service, role=wanted.role)
        return json_answer(TokenMade(issued.text, wanted.role, issued.expires_in_seconds))

    def _tell(self, kind: str, subject: str, asker: Asker) -> None:
        self._events.emit(kind, subject, cause=f"asked for by {asker.name}")


def _check(wanted: RobotRequest) -> None:
    if not _NAME.match(wanted.name):
        step = "use lower-case letters, digits, dots, dashes and underscores, 64 at most"
        raise BadInput("that cannot be a robot's name", next_step=step)
    if not wanted.repositories or not all(map(REPOSITORY_PATTERN.match, wanted.repositories)):
        step = 'write patterns such as "local/team/*" or "docker.io/library/*"'
        raise BadInput("the repositories can match none", next_step=step)
    if not wanted.actions or not set(wanted.actions) <= set(ACTIONS):
        raise BadInput("the actions are none", next_step=f"write {', '.join(ACTIONS)}")
    lifetime = wanted.lifetime_seconds
    if lifetime is not None and not LIFETIME_SECONDS_MIN <= lifetime <= LIFETIME_SECONDS_MAX:
        raise BadInput("the lifetime is out of bounds", next_step="use 60 s to ten years")
