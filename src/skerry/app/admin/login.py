"""Proving who one is at the admin door, for its pages and for programs.

Owns who may log in and `/api/v1/session`. People are proved by the same identities as at the
registry's door, with the same bounds on guessing; the admin token, under an empty name, is how a
node begins.
"""

from __future__ import annotations

import msgspec

from skerry.app.admin.access import ADMIN, Access
from skerry.app.admin.replies import Routes, failure, headers_of, json_answer, read_body
from skerry.app.admin.sessions import Asker, cookie_of
from skerry.base.errors import Party
from skerry.trust.tokens.core.rules import Role
from skerry.trust.tokens.identities import LoginRefused
from skerry.trust.tokens.turns import Busy
from skerry.wire.message import Answer, Request

WRONG = "the name or the password is wrong"


class LoginRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of POST /api/v1/session; an empty name with the admin token as password."""

    password: str
    name: str = ""


class Who(msgspec.Struct, frozen=True):
    """Who is logged in; `csrf` goes into `X-CSRF-Token` of whatever changes something, "" where
    that is not needed."""

    name: str
    role: Role
    csrf: str


class NoRole(LoginRefused):
    """Somebody who is known, and has no role here."""


class AdminLogin:
    """The way in."""

    def __init__(self, access: Access) -> None:
        self._access = access

    @property
    def routes(self) -> Routes:
        """`/api/v1/session`."""
        return {"/api/v1/session": {"GET": self._who, "POST": self._begin, "DELETE": self._end}}

    async def prove(self, request: Request, name: str, password: str) -> Asker:
        """Who that is (`admin_sessions.Prove`). Raises LoginRefused."""
        if not name:
            if self._access.is_token(password):
                return ADMIN
            raise LoginRefused(WRONG)
        known = self._access.known
        if known is None:
            raise LoginRefused(WRONG)
        try:
            identity = await known.identities.prove(name, password, request.client)
        except Busy as error:
            raise LoginRefused(error.what, wait_seconds=1.0) from error
        role = self._access.roles.of(identity.name, identity.groups)
        if role is None:
            raise NoRole(f"{identity.name} has no role at this door")
        return Asker(identity.name, role, identity.groups)

    # for programs

    async def _begin(self, request: Request) -> Answer:
        wanted = await read_body(request, LoginRequest)
        try:
            asker = await self.prove(request, wanted.name, wanted.password)
        except LoginRefused as error:
            return _refused(error)
        secret, session = self._access.sessions.begin(asker)
        await self._access.sessions.keep()
        answer = json_answer(Who(asker.name, asker.role, session.csrf))
        cookie = ("Set-Cookie", cookie_of(secret, request))
        return Answer(200, answer.headers.with_fields(cookie), answer.body)

    async def _who(self, request: Request) -> Answer:
        asker, csrf = self._access.asker(request)
        assert asker is not None  # noqa: S101 - the door has let it in
        return json_answer(Who(asker.name, asker.role, csrf))

    async def _end(self, request: Request) -> Answer:
        await self._access.sessions.end(request)
        gone = ("Set-Cookie", cookie_of("", request))
        return Answer(200, headers_of("application/json").with_fields(gone), b"{}")


def _refused(error: LoginRefused) -> Answer:
    if isinstance(error, NoRole):
        return failure(403, Party.CLIENT, error.what, "ask the operator for one (access.roles)")
    answer = failure(429 if error.wait_seconds else 401, Party.CLIENT, error.what, error.next_step)
    if not error.wait_seconds:
        return answer
    retry = ("Retry-After", str(max(1, round(error.wait_seconds))))
    return Answer(429, answer.headers.with_fields(retry), answer.body)
