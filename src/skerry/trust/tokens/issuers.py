"""ID tokens of configured issuers, checked without asking anybody (OpenID Connect Core 1.0 section
3.1.3.7, RFC 8725).

Owns the issuers' public keys: fetched now and then, kept on the disk, believed through an outage
up to a limit, in time that does not go back. Never fetches what a token names: the issuer is looked
up among the configured ones.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import jwt
from jwt.exceptions import PyJWTError

from skerry.base.clock import Clock
from skerry.base.errors import SkerryError
from skerry.telemetry.events import Events, Level
from skerry.telemetry.horizon import Expires, Expiry
from skerry.telemetry.validation import Cause, ValidationFailures
from skerry.trust.tokens.core.rules import Identity
from skerry.trust.tokens.core.workloads import WorkloadGrant, workload
from skerry.trust.tokens.identities import LoginRefused
from skerry.trust.tokens.ports import KeptKeys, KeyShelf, KeySource
from skerry.trust.tokens.signing import TOKEN_CHARS_MAX

RETRY_SECONDS = 60.0
KEYS_MAX = 64
_ALGORITHMS: Mapping[str, tuple[str, ...]] = {
    "RSA": ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    "EC": ("ES256", "ES384", "ES512"),
    "OKP": ("EdDSA",),
}
"""What each kind of key may have signed with: never a MAC, whatever the token says."""


@dataclass(frozen=True, slots=True)
class IssuerRules:
    """What an issuer's tokens must say, and what follows. Times in seconds.

    Attributes:
        refresh_seconds: how often its keys are fetched.
        outage_seconds: how long those fetched last are believed; None for ever (from a file).
    """

    name: str
    url: str
    audience: str
    grants: tuple[WorkloadGrant, ...]
    refresh_seconds: float
    outage_seconds: float | None


class Issuer:
    """One issuer with its keys."""

    def __init__(
        self,
        rules: IssuerRules,
        *,
        source: KeySource,
        shelf: KeyShelf,
        clock: Clock,
        now: Callable[[], float],
        events: Events,
    ) -> None:
        """`now` is the high-water clock's."""
        self.rules = rules
        self._source = source
        self._shelf = shelf
        self._clock = clock
        self._now = now
        self._events = events
        self._keys: Mapping[str, jwt.PyJWK] = {}
        self._fetched_at = 0.0
        self._next_try = 0.0
        self._failing = False
        self._fetching = asyncio.Lock()

    async def open(self) -> None:
        """Takes up the keys that an earlier process has fetched."""
        kept = await asyncio.to_thread(self._shelf.read)
        if kept is not None:
            self._keys, self._fetched_at = _read(kept.jwks), kept.fetched_at

    async def keep_up(self) -> None:
        """Fetches the keys if it is time."""
        if self._now() >= self._fetched_at + self.rules.refresh_seconds:
            await self._fetch()

    async def key(self, name: str) -> jwt.PyJWK | None:
        """A key by its `kid`. An unknown one may be new: the issuer is asked, once a minute."""
        if name not in self._keys or self.stale:
            await self._fetch()
        return None if self.stale else self._keys.get(name)

    @property
    def stale(self) -> bool:
        """Whether the keys are too old to be believed."""
        return self._now() >= self.ends_at

    @property
    def ends_at(self) -> float:
        """Until when the keys that are here are believed; seconds since the epoch."""
        limit = self.rules.outage_seconds
        return float("inf") if limit is None and self._keys else self._fetched_at + (limit or 0.0)

    async def _fetch(self) -> None:
        async with self._fetching:
            if self._clock.monotonic() < self._next_try:
                return
            self._next_try = self._clock.monotonic() + RETRY_SECONDS
            try:
                jwks = await self._source.fetch()
                keys = _read(jwks)
                if not keys:
                    raise SkerryError("it gave no usable key")
                at = self._now()
                await asyncio.to_thread(self._shelf.write, KeptKeys(jwks, at))
            except (SkerryError, OSError) as error:
                self._tell(error)
                return
            self._keys, self._fetched_at, self._failing = keys, at, False

    def _tell(self, error: Exception) -> None:
        if self._failing:
            return
        self._failing = True
        self._events.emit(
            "issuer.keys_not_fetched",
            self.rules.name,
            cause=getattr(error, "what", "") or getattr(error, "strerror", "") or "no answer",
            next_step="those fetched before are believed until `skerry horizon` says",
            level=Level.WARNING,
        )


class Issuers:
    """All of them: `identities.IdTokens`."""

    def __init__(
        self,
        issuers: Sequence[Issuer],
        *,
        leeway_seconds: float,
        clock: Clock,
        now: Callable[[], float],
        failures: ValidationFailures,
    ) -> None:
        self._issuers = {issuer.rules.url: issuer for issuer in issuers}
        self._leeway_seconds = leeway_seconds
        self._clock = clock
        self._now = now
        self._failures = failures

    async def run(self) -> None:
        """For ever: keeps the keys fresh."""
        while True:
            for issuer in self._issuers.values():
                await issuer.keep_up()
            await self._clock.sleep(RETRY_SECONDS)

    def expiries(self) -> Iterable[Expiry]:
        """Until when each issuer's keys are believed (`telemetry.horizon.Source`)."""
        for issuer in self._issuers.values():
            if issuer.rules.outage_seconds is not None and issuer.ends_at > 0:
                yield Expiry(Expires.JWKS, issuer.rules.name, issuer.ends_at)

    async def identity(self, token: str) -> Identity:
        """Whose ID token that is. Raises LoginRefused; counts what is refused."""
        try:
            issuer = self._issuer(token)
            claims = await self._claims(issuer, token)
        except PyJWTError as error:
            expired = isinstance(error, jwt.ExpiredSignatureError)
            self._failures.failed(Cause.TOKEN_EXPIRED if expired else Cause.TOKEN_INVALID)
            raise LoginRefused("the ID token is not believed") from error
        found = workload(issuer.rules.name, claims, issuer.rules.grants)
        if found is None:
            self._failures.failed(Cause.SCOPE_EXCEEDED)
            raise LoginRefused("no grant is for this workload")
        return found

    def _issuer(self, token: str) -> Issuer:
        if len(token) > TOKEN_CHARS_MAX:
            raise jwt.InvalidTokenError("too long")
        unproven = jwt.decode(token, options={"verify_signature": False})
        issuer = self._issuers.get(str(unproven.get("iss")))
        if issuer is None:
            raise jwt.InvalidIssuerError("nobody's")
        return issuer

    async def _claims(self, issuer: Issuer, token: str) -> Mapping[str, object]:
        name = jwt.get_unverified_header(token).get("kid")
        key = await issuer.key(name) if isinstance(name, str) else None
        if key is None:
            if issuer.stale:
                raise LoginRefused("the issuer's keys are too old to be believed")
            raise jwt.InvalidKeyError("nobody's")
        claims: Mapping[str, object] = jwt.decode(
            token,
            key.key,
            algorithms=list(_ALGORITHMS[key.key_type or ""]),
            audience=issuer.rules.audience,
            issuer=issuer.rules.url,
            options={
                "require": ["exp", "iat", "sub", "aud", "iss"],
                # By the clock that does not go back, below.
                "verify_exp": False,
                "verify_nbf": False,
                "verify_iat": False,
            },
        )
        self._judge_times(claims)
        return claims

    def _judge_times(self, claims: Mapping[str, object]) -> None:
        now, leeway = self._now(), self._leeway_seconds
        ends, begins = claims["exp"], claims.get("nbf", claims["iat"])
        for time in (ends, begins):
            if isinstance(time, bool) or not isinstance(time, int | float):
                raise jwt.InvalidTokenError("an odd time")
        if now >= float(ends) + leeway:  # type: ignore[arg-type]
            raise jwt.ExpiredSignatureError("over")
        if now < float(begins) - leeway:  # type: ignore[arg-type]
            raise jwt.ImmatureSignatureError("not yet")


def _read(jwks: bytes) -> Mapping[str, jwt.PyJWK]:
    """The usable keys of a set by `kid`; what is none is passed over (RFC 7517 section 5)."""
    try:
        listed = json.loads(jwks)["keys"]
    except (ValueError, KeyError, TypeError):
        return {}
    found: dict[str, jwt.PyJWK] = {}
    for entry in listed[:KEYS_MAX] if isinstance(listed, list) else ():
        if not isinstance(entry, dict) or entry.get("kty") not in _ALGORITHMS or "d" in entry:
            continue
        name = entry.get("kid")
        if isinstance(name, str) and entry.get("use", "sig") == "sig":
            try:
                found[name] = jwt.PyJWK.from_dict(entry)
            except (PyJWTError, ValueError, KeyError):
                continue
    return found
