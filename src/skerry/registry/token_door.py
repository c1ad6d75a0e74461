"""Where tokens are to be had: the registry token protocol, both ways, and the public keys.

Owns the requests and answers of distribution `spec/auth/token.md` (GET) and `spec/auth/oauth.md`
(POST; RFC 6749, token exchange by RFC 8693), and RFC 7517 for the keys. Never decides who may have
what.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import parse_qsl

from skerry.base.clock import Clock
from skerry.base.errors import BadInput, SkerryError
from skerry.registry.access import Access, Rights
from skerry.registry.core.errors import Code, RegistryError, error_answer
from skerry.registry.core.users import parse_basic
from skerry.registry.gate import BASIC, TOKEN_PATH, certified, login_error
from skerry.registry.meters import PUBLIC, Meters
from skerry.registry.replies import Outcome
from skerry.registry.steward import Steward
from skerry.trust.tokens.core.claims import TokenRefused
from skerry.trust.tokens.core.rules import Identity, Kind
from skerry.trust.tokens.core.scopes import Scope, parse_scopes
from skerry.trust.tokens.identities import LoginRefused
from skerry.trust.tokens.service import Issued
from skerry.trust.tokens.turns import Busy
from skerry.wire.message import Answer, Headers, Request, announced_bytes

BELOW = "/auth/"
JWKS_PATH = f"{BELOW}jwks.json"
JWKS_SECONDS = 300
FORM_BYTES_MAX = 64 * 1024
FIELDS_MAX = 64
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ID_TOKEN_TYPES = (
    "urn:ietf:params:oauth:token-type:id_token",
    "urn:ietf:params:oauth:token-type:jwt",
)
_REFRESHED = (Kind.USER, Kind.ROBOT)
"""Who gets refresh tokens: the others have something to show at any time."""
_NO_STORE = ("Cache-Control", "no-store")
_JSON = ("Content-Type", "application/json")


class OAuthError(SkerryError):
    """A refusal in the words of RFC 6749 section 5.2."""

    def __init__(self, error: str, what: str, status: int = 400) -> None:
        super().__init__(what)
        self.error = error
        self.status = status


@dataclass(frozen=True, slots=True)
class _Form:
    """The fields of one request; those that may come once have their first value."""

    pairs: tuple[tuple[str, str], ...]

    def one(self, name: str) -> str:
        return next((value for key, value in self.pairs if key == name), "")

    def scopes(self) -> tuple[Scope, ...]:
        return parse_scopes(value for key, value in self.pairs if key == "scope")


class TokenDoor:
    """Handler of what is below `/auth/` at the registry's door."""

    def __init__(
        self, access: Access, rights: Rights, *, meters: Meters, steward: Steward, clock: Clock
    ) -> None:
        self._access = access
        self._rights = rights
        self._meters = meters
        self._steward = steward
        self._clock = clock

    async def __call__(self, request: Request) -> Answer:
        began = self._clock.monotonic()
        outcome = Outcome.LOCAL
        try:
            answer = await self._route(request)
        except OAuthError as error:
            outcome = Outcome.REFUSED
            said = {"error": error.error, "error_description": error.what}
            fields = Headers((_JSON, _NO_STORE))
            answer = Answer(error.status, fields, json.dumps(said).encode())
        except (LoginRefused, Busy) as error:
            outcome = Outcome.REFUSED
            answer = error_answer(login_error(error, (BASIC,)))
        except RegistryError as error:
            outcome = Outcome.REFUSED
            answer = error_answer(error)
        except BadInput as error:
            outcome = Outcome.REFUSED
            answer = error_answer(RegistryError(Code.UNSUPPORTED, str(error), status=400))
        seconds = self._clock.monotonic() - began
        size = 0 if request.method == "HEAD" else announced_bytes(answer)
        self._meters.answered(PUBLIC, "token", outcome, size_bytes=size, seconds=seconds)
        self._steward.tally(None, outcome, 1, size)
        return answer

    async def _route(self, request: Request) -> Answer:
        match request.method, request.path:
            case (("GET" | "HEAD"), path) if path == JWKS_PATH:
                kept = ("Cache-Control", f"public, max-age={JWKS_SECONDS}")
                fields = Headers((("Content-Type", "application/jwk-set+json"), kept))
                return Answer(200, fields, self._access.tokens.jwks())
            case "GET", path if path == TOKEN_PATH:
                return await self._get(request)
            case "POST", path if path == TOKEN_PATH:
                try:
                    return await self._post(request)
                except (LoginRefused, TokenRefused) as error:
                    if isinstance(error, LoginRefused) and error.wait_seconds:
                        raise
                    # 401 and not 400: some clients try the other way then (oauth.md).
                    raise OAuthError("invalid_grant", str(error), status=401) from error
        if request.path in (TOKEN_PATH, JWKS_PATH):
            allowed = "GET, POST" if request.path == TOKEN_PATH else "GET, HEAD"
            told = f"{request.method[:16]} is not possible here"
            raise RegistryError(Code.UNSUPPORTED, told, headers=(("Allow", allowed),))
        raise RegistryError(Code.UNSUPPORTED, "there is no such route", status=404)

    async def _get(self, request: Request) -> Answer:
        form = _Form(_fields(request.query))
        self._check_service(form)
        identity = await self._identity(request)
        granted = self._rights.grant(identity, form.scopes())
        refresh = ""
        if identity is not None and form.one("offline_token") == "true":
            # Clients keep this one as it is, in their credential store: it is not rotated.
            refresh = await self._family(identity, rotates=False)
        return _answer(self._access.tokens.issue(identity, granted), refresh)

    async def _post(self, request: Request) -> Answer:
        form = _Form(_fields(await _text(request.body)))
        self._check_service(form)
        refresh = ""
        match form.one("grant_type"):
            case "password":
                identity = await self._access.identities.prove(
                    form.one("username"), form.one("password"), request.client
                )
                if form.one("access_type") == "offline":
                    refresh = await self._family(identity, rotates=True)
            case "refresh_token":
                identity, refresh = await self._refreshed(form.one("refresh_token"))
            case grant if grant == EXCHANGE:
                if form.one("subject_token_type") not in ID_TOKEN_TYPES:
                    raise OAuthError("invalid_request", "subject_token_type is no ID token's")
                identity = await self._access.identities.exchange(form.one("subject_token"))
            case _:
                known = "password, refresh_token and token exchange are understood"
                raise OAuthError("unsupported_grant_type", known)
        granted = self._rights.grant(identity, form.scopes())
        return _answer(self._access.tokens.issue(identity, granted), refresh, granted)

    async def _refreshed(self, text: str) -> tuple[Identity, str]:
        family, following = await self._access.tokens.use_refresh(text)
        identity = self._access.identities.again(family.subject, family.kind)
        if identity is None:
            raise LoginRefused("there is no such identity any more")
        return identity, following

    async def _identity(self, request: Request) -> Identity | None:
        found = parse_basic(request.headers.get("Authorization"))
        if found is not None and found != ("", ""):
            return await self._access.identities.prove(*found, request.client)
        return certified(self._access, request)

    async def _family(self, identity: Identity, *, rotates: bool) -> str:
        if identity.kind not in _REFRESHED:
            return ""
        return await self._access.tokens.begin_family(identity, rotates=rotates)

    def _check_service(self, form: _Form) -> None:
        """A client that means another service must not think that it has spoken to it."""
        service = form.one("service")
        if service and service != self._access.tokens.service:
            raise OAuthError("invalid_target", "this node makes no tokens for that service")


def _answer(issued: Issued, refresh: str, granted: list[Scope] | None = None) -> Answer:
    said: dict[str, object] = {
        "token": issued.text,
        "access_token": issued.text,
        "token_type": "Bearer",
        "expires_in": issued.expires_in_seconds,
        "issued_at": _rfc3339(issued.issued_at),
    }
    if refresh:
        said["refresh_token"] = refresh
    if granted is not None:
        said["scope"] = " ".join(str(scope) for scope in granted if scope.actions)
    return Answer(200, Headers((_JSON, _NO_STORE)), json.dumps(said).encode())


def _rfc3339(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _fields(text: str) -> tuple[tuple[str, str], ...]:
    try:
        return tuple(parse_qsl(text, keep_blank_values=True, max_num_fields=FIELDS_MAX))
    except ValueError as error:
        raise BadInput(f"over {FIELDS_MAX} fields", next_step="send fewer") from error


async def _text(body: AsyncIterator[bytes]) -> str:
    data = bytearray()
    async for piece in body:
        data += piece
        if len(data) > FORM_BYTES_MAX:
            raise BadInput("the form is too long", next_step="ask for fewer scopes")
    return data.decode("utf-8", "replace")
