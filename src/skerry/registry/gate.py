"""Who may pull, push and delete.

Owns what a request shows (a token, a password, a client certificate), and how a refusal says what
is missing: RFC 6750 section 3, distribution `spec/auth/token.md`. What is open to everybody is
answered without a look at what was shown. Never forwards a client's credentials to an upstream
(requirements D2).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from urllib.parse import parse_qsl, urlencode

from skerry.base.errors import Party
from skerry.registry.access import Access, Rights
from skerry.registry.core.errors import Code, RegistryError
from skerry.registry.core.users import parse_basic, parse_bearer
from skerry.registry.ports import LOCAL, Repository
from skerry.telemetry.validation import Cause, ValidationFailures
from skerry.trust.tokens.core.claims import Claims, TokenRefused
from skerry.trust.tokens.core.rules import NOTHING, Identity
from skerry.trust.tokens.core.scopes import REPOSITORY, Action, Actions, Scope
from skerry.trust.tokens.identities import LoginRefused
from skerry.trust.tokens.turns import Busy
from skerry.wire.message import Request

TOKEN_PATH = "/auth/token"
VERSION = ("Docker-Distribution-Api-Version", "registry/2.0")
BASIC = ("WWW-Authenticate", 'Basic realm="skerry", charset="UTF-8"')
Fields = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Asker:
    """Who sends a request: an identity, or the holder of a token; neither for nobody."""

    identity: Identity | None = None
    claims: Claims | None = None


NOBODY = Asker()


class Gate:
    """Checks requests of the registry's door. `access` is None when nobody is known."""

    def __init__(
        self,
        *,
        access: Access | None,
        rights: Rights,
        local_enabled: bool,
        failures: ValidationFailures,
    ) -> None:
        self._access = access
        self._rights = rights
        self._local_enabled = local_enabled
        self._failures = failures

    @property
    def asks(self) -> bool:
        """Whether anybody is known, so that who asks matters."""
        return self._access is not None

    def is_private(self, repository: Repository) -> bool:
        """Whether pulling needs to be allowed to somebody."""
        return self._rights.is_private(repository)

    async def greet(self, request: Request) -> None:
        """For `/v2/`: clients learn here how to log in, and a login with wrong credentials fails.

        Where somebody is known, nobody passes without showing something: clients ask for a token
        only where this is refused, and the token of nobody in particular is had for the asking.
        Only `Bearer` is offered: some clients fail on `Basic` when they have no password.
        Raises RegistryError (401).
        """
        if self._access is None:
            return
        if await self._asker(self._access, request) is NOBODY:
            raise RegistryError(
                Code.UNAUTHORIZED,
                "a token is needed",
                headers=(VERSION, _bearer(self._access, request)),
                next_step="ask for one where WWW-Authenticate says, without credentials if you"
                " have none",
            )

    async def check(self, request: Request, repository: Repository, action: Action) -> None:
        """Raises RegistryError: 401 without good credentials, 403 for who may not do that, 405
        where nobody can push."""
        self._check_possible(repository, action)
        if action is Action.PULL and not self.is_private(repository):
            return
        if self._access is None:
            raise RegistryError(
                Code.DENIED,
                f"{repository} needs credentials and this node knows no users",
                next_step="set registry.users_file",
                party=Party.OPERATOR,
            )
        asker = await self._asker(self._access, request, _scope(repository, action))
        if action in self._actions(asker, repository):
            return
        raise self._refusal(self._access, request, repository, action, asker)

    def name_of(self, request: Request) -> str:
        """The name that a request has proven, as far as that can be told at once; "" for none.
        For who pays, never for who may."""
        if self._access is None:
            return ""
        shown = request.headers.get("Authorization")
        token, found = parse_bearer(shown), parse_basic(shown)
        if token is not None:
            return self._access.tokens.holder(token)
        if found is not None:
            return found[0] if self._access.identities.is_proven(*found) else ""
        identity = certified(self._access, request)
        return identity.name if identity else ""

    async def may_mount(self, request: Request, source: str) -> bool:
        """Whether who asks may pull the local repository that a blob is to be mounted from: its
        digest alone is no right to it (known failures T17)."""
        repository = Repository(LOCAL, source)
        if not self.is_private(repository):
            return True
        if self._access is None:
            return False
        asker = await self._asker(self._access, request)
        return Action.PULL in self._actions(asker, repository)

    def _check_possible(self, repository: Repository, action: Action) -> None:
        if action is Action.PULL:
            return
        if not repository.local:
            raise RegistryError(
                Code.UNSUPPORTED,
                f"{repository} mirrors an upstream and takes no pushes",
                next_step="push to the upstream, or to a namespace of registry.local.namespaces",
            )
        if not self._local_enabled:
            raise RegistryError(
                Code.UNSUPPORTED,
                "local repositories are off",
                next_step="set registry.local.enabled and registry.users_file",
                party=Party.OPERATOR,
            )

    def _actions(self, asker: Asker, repository: Repository) -> Actions:
        if asker.claims is not None:
            everybody = self._rights.allowed(None, repository)
            return everybody | asker.claims.access.get(str(repository), NOTHING)
        if asker.identity is not None:
            return self._rights.allowed(asker.identity, repository)
        return NOTHING

    async def _asker(self, access: Access, request: Request, scope: Scope | None = None) -> Asker:
        """Raises RegistryError (401) for what was shown and is wrong."""
        shown = request.headers.get("Authorization")
        token = parse_bearer(shown)
        if token is not None:
            try:
                return Asker(claims=access.tokens.verify(token))
            except TokenRefused as error:
                raise RegistryError(
                    Code.UNAUTHORIZED,
                    f"the token {error}",
                    headers=_challenges(access, request, scope, "invalid_token"),
                    next_step="ask for a new one",
                ) from error
        # Some clients send an empty pair for "nobody".
        found = parse_basic(shown)
        if found not in (None, ("", "")):
            assert found is not None  # noqa: S101
            return Asker(identity=await self._proved(access, request, scope, found))
        identity = certified(access, request)
        return NOBODY if identity is None else Asker(identity=identity)

    async def _proved(
        self, access: Access, request: Request, scope: Scope | None, found: tuple[str, str]
    ) -> Identity:
        try:
            return await access.identities.prove(*found, request.client)
        except (LoginRefused, Busy) as error:
            raise login_error(error, _challenges(access, request, scope)) from error

    def _refusal(
        self,
        access: Access,
        request: Request,
        repository: Repository,
        action: Action,
        asker: Asker,
    ) -> RegistryError:
        scope = _scope(repository, action)
        if asker is NOBODY:
            challenges = _challenges(access, request, scope)
            return RegistryError(
                Code.UNAUTHORIZED, "credentials are needed or wrong", headers=challenges
            )
        self._failures.failed(Cause.SCOPE_EXCEEDED)
        if asker.claims is not None:
            challenges = _challenges(access, request, scope, "insufficient_scope")
            # 401 and not 403 (RFC 6750): its clients ask for another token only then.
            what = f"the token gives no leave to {action} {repository}"
            return RegistryError(Code.UNAUTHORIZED, what, headers=challenges)
        return RegistryError(
            Code.DENIED,
            f"no rule lets you {action} {repository}",
            next_step="ask the operator for an access rule",
        )


def certified(access: Access, request: Request) -> Identity | None:
    """Whose client certificate it is. Its end is judged by the clock that does not go back, each
    time: a connection may outlive the certificate."""
    certificate = request.certificate
    if certificate is None or access.tokens.now() >= certificate.ends_at:
        return None
    return access.identities.certified(certificate.names)


def login_error(error: LoginRefused | Busy, challenges: Fields) -> RegistryError:
    """A refused login in the registry's words."""
    if isinstance(error, Busy):
        code, wait = Code.UNAVAILABLE, 1.0
    else:
        code, wait = Code.UNAUTHORIZED, error.wait_seconds
        if wait:
            code = Code.TOOMANYREQUESTS
    if code is Code.UNAUTHORIZED:
        return RegistryError(code, "credentials are needed or wrong", headers=challenges)
    retry = ("Retry-After", str(max(1, round(wait))))
    return RegistryError(code, error.what, next_step=error.next_step, headers=(retry,))


def without_mount(request: Request) -> Request:
    """The request for an upload, without the wish to mount a blob instead."""
    pairs = parse_qsl(request.query, keep_blank_values=True)
    kept = [(name, value) for name, value in pairs if name not in ("mount", "from")]
    return replace(request, query=urlencode(kept))


def _scope(repository: Repository, action: Action) -> Scope:
    """What a client should ask a token for: who pushes looks first what is there."""
    wanted = {action, Action.PULL} if action is Action.PUSH else {action}
    return Scope(REPOSITORY, str(repository), frozenset(wanted))


def _challenges(
    access: Access, request: Request, scope: Scope | None = None, error: str = ""
) -> Fields:
    """`Bearer` first: clients that know both take what comes first."""
    return (_bearer(access, request, scope, error), BASIC)


def _bearer(
    access: Access, request: Request, scope: Scope | None = None, error: str = ""
) -> tuple[str, str]:
    realm = access.realm or f"{request.scheme}://{_authority(request)}{TOKEN_PATH}"
    said = f'Bearer realm="{realm}",service="{access.tokens.service}"'
    if scope is not None:
        said += f',scope="{scope}"'
    if error:
        said += f',error="{error}"'
    return ("WWW-Authenticate", said)


def _authority(request: Request) -> str:
    """What the client called this door, told to nobody but that client; never a quote's end."""
    host = request.headers.get("Host") or ""
    return host if _is_authority(host) else "localhost"


def _is_authority(text: str) -> bool:
    good = text.isascii() and 0 < len(text) <= 255
    return good and all(each.isalnum() or each in "-._:[]" for each in text)
